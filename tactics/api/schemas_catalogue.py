"""What the routes of users, items and item sets are asked and what they answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from tactics.api.schemas import WHOLE, Asked
from tactics.domain.activity import Minor
from tactics.domain.catalogue import Attributes, Name, UserName

MOST_ROWS = 5_000
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Given = Annotated[Attributes, Field(description="what rules see; any JSON")]


class UserRequest(Asked):
    """A user's attributes, all of them."""

    attributes: Given


class UserRowRequest(UserRequest):
    """A user of many."""

    user_id: UserName
    attributes: Given = Field(default_factory=dict)


def _each_once(users: list[UserRowRequest]) -> list[UserRowRequest]:
    """Refuse an id that comes twice. The import does too, and names it: that is nothing for what may end in a log."""
    seen: dict[str, int] = {}
    for number, one in enumerate(users):
        if seen.setdefault(one.user_id, number) != number:
            raise ValueError(f"number {number} has the id that number {seen[one.user_id]} has")
    return users


class UsersRequest(Asked):
    """Users, each id once."""

    users: Annotated[list[UserRowRequest], Field(min_length=1, max_length=MOST_ROWS), AfterValidator(_each_once)]


class ItemRequest(Asked):
    """An item of the catalogue; the price is for one piece, in minor units."""

    category: Name | None = None
    title: Annotated[Name | None, Field(description="its id when left out")] = None
    price_minor: Annotated[Minor | None, WHOLE] = None
    currency: Currency | None = None
    attributes: Given = Field(default_factory=dict)


class ItemRowRequest(ItemRequest):
    """An item of many."""

    item_id: Name


class ItemsRequest(Asked):
    """Items, each id once."""

    items: Annotated[list[ItemRowRequest], Field(min_length=1, max_length=MOST_ROWS)]


class ItemSetRequest(Asked):
    """The items of a set, all of them."""

    item_ids: Annotated[list[Name], Field(min_length=1)]


class Saved(BaseModel):
    """How many were saved: all, or none."""

    saved: int


class UserAnswer(BaseModel):
    """A user."""

    user_id: str
    attributes: dict[str, Any]


class ErasedAnswer(BaseModel):
    """What became of a user: how many rows of each table are gone, and how many go on under the pseudonym."""

    pseudonym: str
    deleted: dict[str, int]
    moved: dict[str, int]


class ItemAnswer(BaseModel):
    """An item of the catalogue."""

    item_id: str
    category: str | None
    title: str
    price_minor: int | None
    currency: str | None
    attributes: dict[str, Any]
    updated_at: datetime


class ItemList(BaseModel):
    """A page of items, by id."""

    items: list[ItemAnswer]
    next_cursor: str | None


class ItemSetListed(BaseModel):
    """An item set, and how many items it has."""

    name: str
    items: int


class ItemSetList(BaseModel):
    """A page of item sets, by name."""

    item_sets: list[ItemSetListed]
    next_cursor: str | None


class ItemSetAnswer(BaseModel):
    """A set with its items, by id; they need not be in the catalogue."""

    name: str
    item_ids: list[str]

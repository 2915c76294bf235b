"""What is imported about users and items: one model for each kind of row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tactics.domain.activity import Minor, validation_problems
from tactics.domain.event import Text, UserId
from tactics.domain.plain import plain_problem
from tactics.errors import BadInput


def _storable(value: Any) -> Any:
    problem = plain_problem(value)
    if problem:
        raise ValueError(f"{problem['path']}: {problem['message']}" if problem["path"] else problem["message"])
    return value


Name = Annotated[Text, AfterValidator(_storable)]
UserName = Annotated[UserId, AfterValidator(_storable)]
Attributes = Annotated[dict[str, Any], AfterValidator(_storable)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UserRow(_Row):
    """A user: every key but `user_id` is an attribute; those under `attributes` are too."""

    user_id: UserName
    attributes: Attributes = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, row: object) -> object:
        if not isinstance(row, Mapping):
            return row
        given = row.get("attributes", {})
        beside = {key: value for key, value in row.items() if key not in {"user_id", "attributes"}}
        if not beside or not isinstance(given, Mapping):
            return row
        twice = sorted(beside.keys() & given.keys())
        if twice:
            raise ValueError(f"attribute {twice[0]!r} stands both in the row and in `attributes`")
        return {**{key: row[key] for key in row if key == "user_id"}, "attributes": {**given, **beside}}


class ItemRow(_Row):
    """An item of the catalogue; the price is for one unit, in minor units of `currency`. The title may be left out."""

    item_id: Name
    category: Name | None = None
    title: Name | None = None
    price_minor: Minor | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    attributes: Attributes = Field(default_factory=dict)


class ItemSetRow(_Row):
    """An item's place in a set."""

    item_set: Name
    item_id: Name


RowType = TypeVar("RowType", UserRow, ItemRow, ItemSetRow)


def parse_row(kind: type[RowType], row: object) -> RowType:
    """Read one row.

    Raises:
        BadInput: with `problems`, each with a `path` (JSON Pointer) and a `message`.
    """
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        raise BadInput(f"this is no {kind.__name__}", problems=validation_problems(error)) from None

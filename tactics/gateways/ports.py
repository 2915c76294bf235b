"""What Tactics asks of outer systems. `local.py` answers from its own tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from tactics.domain.asset import Asset
from tactics.domain.provider import Provider, ProviderAnswer, ProviderCall, ProviderPage


@dataclass(frozen=True, slots=True)
class Item:
    """One product of the catalogue. The price is for one unit, in minor units of `currency`."""

    item_id: str
    title: str
    category: str | None = None
    price_minor: int | None = None
    currency: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def to_fact(self) -> dict[str, Any]:
        """Give what contexts carry of it, and rules see."""
        return {
            "item_id": self.item_id,
            "title": self.title,
            "category": self.category,
            "price_minor": self.price_minor,
            "currency": self.currency,
        }


class ItemGateway(Protocol):
    """The catalogue, and what users did with it."""

    def of_user(self, conn: Connection, user_id: str, limit: int) -> Sequence[Item]:
        """Give the items that the user acted on or likes, favourites first, then the latest."""
        ...

    def sets_of(self, conn: Connection, item_ids: Sequence[str]) -> dict[str, list[str]]:
        """Give the item sets that each item belongs to."""
        ...

    def new_to_user(self, conn: Connection, user_id: str, item_ids: Sequence[str]) -> Sequence[Item]:
        """Give those of some items that the catalogue has and the user never acted on, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that was recalled. Scores compare within one answer: the higher, the better it fits."""

    item_id: str
    score: float


class RecallGateway(Protocol):
    """Which other items fit a user. Has its own connection and time limit: it may fail while the rest works."""

    def candidates(self, user_id: str, item_ids: Sequence[str], limit: int) -> Sequence[Candidate]:
        """Give items that go with those that the user acted on.

        Args:
            user_id: whose.
            item_ids: what the user acted on, favourites first, then the latest; some of it.
            limit: at most so many.

        Returns:
            The best first; none where nothing fits.

        Raises:
            GatewayError: there is no answer in time, or none that can be read.
        """
        ...


class UserGateway(Protocol):
    """Who users are."""

    def attributes(self, conn: Connection, user_id: str) -> dict[str, Any] | None:
        """Give the user's stored attributes; None when there is no such user."""
        ...


class AssetGateway(Protocol):
    """What users hold. Has its own connection and time limit: it may fail while the rest works."""

    def of_instance(self, user_id: str, activity_code: str) -> Sequence[Asset]:
        """Give the user's assets of this activity, newest first.

        Raises:
            GatewayError: there is no answer in time; how many grants there were is then unknown.
        """
        ...


class BenefitGateway(Protocol):
    """Outside benefit systems. What they do wrong is an answer of its kind, never an exception."""

    def grant(self, provider: Provider, call: ProviderCall) -> ProviderAnswer:
        """Ask for a grant. The same call again has no second effect, where the provider keeps its promise."""
        ...

    def look_up(self, provider: Provider, idempotency_id: str) -> ProviderAnswer:
        """Ask what became of a call; only where the provider has a `look_up_url`."""
        ...

    def listing(self, provider: Provider, begin: datetime, end: datetime, cursor: str | None = None) -> ProviderPage:
        """Read a page of the provider's own list of grants made from `begin` to before `end`.

        Raises:
            GatewayError: there is no list, or it cannot be read.
        """
        ...

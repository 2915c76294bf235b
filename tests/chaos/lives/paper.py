"""The life of grants on paper: what one activity's visits, assets and stock come to, written down once more in plain Python.

It shares no code with the engine, and knows nothing of rows, locks, retries or Redis: those must not show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

OPEN = ("pending", "unknown", "parked")
USABLE = ("available", "claimed")
FROM: Mapping[str, tuple[tuple[str, ...], str]] = {
    "claimed": (("available",), "claimed"),
    "redeemed": (USABLE, "redeemed"),
    "released": (("redeemed",), "available"),
    "expired": (USABLE, "expired"),
    "revoked": (USABLE, "revoked"),
}


@dataclass(frozen=True)
class Line:
    """What one line of a grant gives."""

    benefit: str
    value_minor: int


@dataclass(frozen=True)
class Terms:
    """What the activity's document says; None is no limit."""

    lines: tuple[Line, ...]
    per_user: int | None
    per_day: int | None
    budget_minor: int | None

    @property
    def value_minor(self) -> int:
        """What one grant costs."""
        return sum(line.value_minor for line in self.lines)


@dataclass
class PaperAsset:
    """One line in a user's hands."""

    line: int
    until: datetime
    status: str = "available"
    order: str | None = None
    last_heard: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether it has not come to an end, though its time may have."""
        return self.status in USABLE

    def usable(self, now: datetime) -> bool:
        """Whether its user can use it."""
        return self.live and now < self.until

    def change(self, what: str, now: datetime, at: datetime | None, order: str | None) -> bool:
        """Change it; tell whether whoever asked hears that all is well."""
        before, after = FROM[what]
        others = order is not None and self.order != order
        if what in ("redeemed", "released") and self.status == "redeemed" and others:
            return False
        if at is not None and self.last_heard is not None and min(at, now) < self.last_heard:
            return order is None or self.status == after
        heard = min(at, now) if at is not None else max(now, self.last_heard or now)
        if self.status in before:
            if self.live and self.until <= now:
                return False
            self.status = after
            self.order = order if after == "redeemed" else None
        elif self.status != after:
            return False
        self.last_heard = heard
        return True


@dataclass
class PaperGrant:
    """One grant of an instance."""

    count: int
    day: str
    made_at: datetime
    state: str
    until: datetime
    assets: list[PaperAsset] = field(default_factory=list)
    released: bool = False
    calls: int = 0
    attempts: int = 1
    forgotten: bool = False
    key: str = ""

    @property
    def usable(self) -> bool:
        """Whether any asset of it has not come to an end."""
        return any(one.live for one in self.assets)


@dataclass(frozen=True)
class Outside:
    """What an outside benefit system promises: repeats have no second effect; it can be asked what became of a call."""

    idempotent: bool
    can_be_asked: bool


@dataclass
class Attempt:
    """One attempt at settling a grant with its benefit system, step by step: what is asked, and what an answer means.

    The system's word is taken as it comes; what must be right is whether it is asked, and what is made of its word.
    """

    paper: Paper
    made: PaperGrant
    number: int
    last: tuple[str, str] | None = None
    died: bool = False

    def asked(self, kind: str) -> None:
        """The system is asked: that must be what comes next."""
        if self.last is None:
            assert kind == self._move(), f"{kind} instead of {self._move()}"
        else:
            self._apply(*self.last)
            assert kind == "call"
            assert self._calls_next(), "called after a look-up that did not allow it"
        self.last = None
        self.died = True  # until there is an answer
        self.made.calls += kind == "call"

    def answered(self, kind: str, said: str) -> None:
        """It has answered."""
        self.last, self.died = (kind, said), False

    def ended(self) -> None:
        """Nobody is asked any more."""
        if self.last is not None:
            self._apply(*self.last)
            assert not self._calls_next(), "not called, though it could be"
        elif not self.died:
            assert self._move() == "park", f"nobody was asked, and next was {self._move()}"
            self.made.state = "parked"

    def _calls_next(self) -> bool:
        found = self.last == ("look_up", "unknown_id") and self.made.state in OPEN
        return found and self.number == self.made.attempts and self._repeats()

    def _repeats(self) -> bool:
        return self.made.calls == 0 or (self._outside.idempotent and not self.made.forgotten)

    def _move(self) -> str:
        if self.made.calls == 0:
            return "call"
        if self._outside.can_be_asked:
            return "look_up"
        return "call" if self._repeats() else "park"

    def _apply(self, kind: str, said: str) -> None:
        made = self.made
        if kind == "call" and said == "not_sent":
            made.calls -= 1
            made.forgotten &= made.calls > 0
        if made.state not in OPEN:
            return
        if said in ("granted", "refused"):
            self.paper.settle(made, said)
        elif self.number == made.attempts and made.state != "parked":
            parks = self._move() == "park" or made.forgotten
            made.state = "parked" if parks else "pending" if said == "pending" or made.calls == 0 else "unknown"

    @property
    def _outside(self) -> Outside:
        assert self.paper.outside is not None
        return self.paper.outside


@dataclass(frozen=True)
class Told:
    """What a visitor is told: an outcome or reason, and the assets shown, as (count, line, status)."""

    outcome: str
    assets: tuple[tuple[int, int, str], ...] = ()


@dataclass
class Paper:
    """One activity, its users and its stock."""

    terms: Terms
    left: dict[str, int | None]
    outside: Outside | None = None
    grants: dict[str, list[PaperGrant]] = field(default_factory=lambda: defaultdict(list))
    per_day: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    spent: int = 0

    def visit(self, user: str, now: datetime, until: datetime, *, assets_known: bool) -> Told:
        """A user comes by, whose rule holds: give what there is to give."""
        held = self.grants[user]
        self._expire(held, now)
        usable = [one for one in held if any(asset.usable(now) for asset in one.assets)]
        if usable:
            return Told("reused", self._shown(usable, now))
        if any(one.state in OPEN for one in held):
            return Told("pending")
        taken = sum(one.state != "refused" for one in held)
        blind = not assets_known and taken > 0
        if self.terms.per_user is not None and taken >= self.terms.per_user and not blind:
            return Told("limit")
        if not assets_known and held:
            return self._repeat(held[0])
        return self._give(user, now, until)

    def _repeat(self, first: PaperGrant) -> Told:
        if first.state == "refused":
            return Told("error")
        return Told("replayed", tuple((first.count, one.line, one.status) for one in first.assets))

    def _give(self, user: str, now: datetime, until: datetime) -> Told:
        terms, day = self.terms, now.date().isoformat()
        if terms.per_day is not None and self.per_day[day] >= terms.per_day:
            return Told("limit")
        if terms.budget_minor is not None and self.spent + terms.value_minor > terms.budget_minor:
            return Told("limit")
        if any(left is not None and left < 1 for left in (self.left[line.benefit] for line in terms.lines)):
            return Told("sold_out")
        self._take(day, 1)
        made = PaperGrant(len(self.grants[user]) + 1, day, now, "pending", until)
        self.grants[user].append(made)
        if self.outside is not None:
            return Told("pending")
        self.settle(made, "granted")
        return Told("granted", self._shown([made], now))

    def settle(self, made: PaperGrant, state: str) -> None:
        """A grant comes to its end, or to another kind of not knowing."""
        made.state = state
        if state == "granted":
            made.assets = [PaperAsset(number, made.until) for number in range(1, len(self.terms.lines) + 1)]
        elif state == "refused":
            self._take(made.day, -1)

    def _take(self, day: str, times: int) -> None:
        self.per_day[day] += times
        self.spent += times * self.terms.value_minor
        for line in self.terms.lines:
            left = self.left[line.benefit]
            self.left[line.benefit] = None if left is None else left - times

    def move(self, benefit: str, delta: int) -> bool:
        """Add stock, or take some back; tell whether that can be."""
        left = self.left[benefit]
        if left is None or left + delta < 0:
            return False
        self.left[benefit] = left + delta
        return True

    def change(
        self, made: PaperGrant, asset: PaperAsset, what: str, now: datetime, at: datetime | None, order: str | None
    ) -> bool:
        """Change an asset; tell whether whoever asked hears that all is well."""
        was = asset.status
        done = asset.change(what, now, at, order)
        if was == "redeemed" and asset.status == "available":
            made.released = True
        return done

    def each(self) -> Iterator[tuple[str, PaperGrant]]:
        """Give all grants with their users."""
        return ((user, one) for user, held in self.grants.items() for one in held)

    def counters(self) -> dict[tuple[str, str], int]:
        """Give what the limits count, as far as there are limits."""
        days = {("day", day): used for day, used in self.per_day.items() if used and self.terms.per_day is not None}
        spent = {("budget", ""): self.spent} if self.spent and self.terms.budget_minor is not None else {}
        return {**days, **spent}

    def _expire(self, held: list[PaperGrant], now: datetime) -> None:
        for asset in (asset for one in held for asset in one.assets):
            if asset.live and asset.until <= now:
                asset.status = "expired"

    def _shown(self, grants: list[PaperGrant], now: datetime) -> tuple[tuple[int, int, str], ...]:
        return tuple(
            (one.count, asset.line, asset.status) for one in grants for asset in one.assets if asset.usable(now)
        )

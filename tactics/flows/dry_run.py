"""A dry run: what an activity would do with given facts, without doing it. Nothing is written, nothing is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from tactics import rules
from tactics.domain.activity import TacticsActivity
from tactics.domain.grant import GrantLine, lines_of, stock_needed
from tactics.domain.plain import plain_problem
from tactics.domain.promotion import lowers_prices
from tactics.errors import BadInput
from tactics.flows.reading import read_document
from tactics.runtime import Runtime
from tactics.store import activities, limits, stock, versions

Allow = Callable[[TacticsActivity], None]
FACTS = "facts"
"""Where a problem is that is none of the activity's document."""
_READ_ONLY = text("SET TRANSACTION READ ONLY")
_NOW = text("SELECT now()")


@dataclass(frozen=True, slots=True)
class AppliedLimit:
    """A limit that a grant would meet: how much there may be, how much is given, and how much this grant asks for.

    `used` is None where it depends on the user.
    """

    limit: str
    most: int
    used: int | None
    asks: int
    benefit: str | None = None

    @property
    def enough(self) -> bool:
        """Whether the grant would be within it."""
        return (self.used or 0) + self.asks <= self.most

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        named = {} if self.benefit is None else {"benefit": self.benefit}
        return {
            "limit": self.limit,
            **named,
            "most": self.most,
            "used": self.used,
            "asks": self.asks,
            "enough": self.enough,
        }


@dataclass(frozen=True, slots=True)
class DryRun:
    """What would happen. `version` is None of a document that is not saved; `prices` of a rule that leaves them alone."""

    activity: TacticsActivity
    version: int | None
    at: datetime
    evaluation: rules.Evaluation
    lines: tuple[GrantLine, ...]
    limits: tuple[AppliedLimit, ...]
    prices: rules.PriceAnswer | None

    @property
    def in_schedule(self) -> bool:
        """Whether the activity would run at the facts' time, once it is live."""
        return self.activity.live_at(self.at)

    @property
    def would_grant(self) -> bool:
        """Whether a user who holds nothing of the activity and is not held out would get something."""
        return bool(self.lines) and self.in_schedule and all(one.enough for one in self.limits)

    @property
    def value_minor(self) -> int:
        """What the grant would be worth."""
        return sum(line.value_minor for line in self.lines)

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        benefits = [
            {
                "benefit": line.benefit,
                "kind": line.kind,
                "value_minor": line.value_minor,
                "currency": self.currency_of(line),
                "details": line.details,
            }
            for line in self.lines
        ]
        return {
            "activity": self.activity.code,
            "version": self.version,
            "would_grant": self.would_grant,
            **self.evaluation.to_json(),
            "benefits": benefits,
            "value_minor": self.value_minor,
            "prices": self.prices,
            "in_schedule": self.in_schedule,
            "at": self.at.isoformat(),
            "limits": [one.to_json() for one in self.limits],
            "holdout_percent": self.activity.holdout_percent,
        }

    def currency_of(self, line: GrantLine) -> str:
        """Give the currency of a line's value."""
        benefit = self.activity.benefits.get(line.benefit) if line.benefit else None
        return (benefit.currency if benefit else None) or self.activity.currency


def dry_run(
    runtime: Runtime, code: str, facts: object, version: int | None = None, *, allow: Allow | None = None
) -> DryRun:
    """Work out what a stored activity would do.

    Args:
        runtime: the process's runtime.
        code: the activity's, whatever its status.
        facts: what the rule sees, as docs/reference/rules.md describes it; nothing is loaded for a user. Without `now`
            it is the database's clock, without `timezone` the activity's.
        version: which; the newest draft when left out, or else the current one.
        allow: sees the activity before its rule is evaluated, and may refuse.

    Raises:
        NotFound: there is no such activity, or no such version.
        BadInput: the facts are no object, hold what JSON cannot, or their `now` is no time.
    """
    with _reading(runtime) as conn:
        current = activities.current(conn, code).version
        chosen = version or versions.newest_draft(conn, versions.ACTIVITY, code, current) or current
        found = activities.load(conn, code, chosen)
        if allow:
            allow(found)
        return _run(conn, found, facts, version=chosen)


def dry_run_document(
    runtime: Runtime,
    document: object,
    facts: object,
    *,
    where: str = "the document",
    allow: Allow | None = None,
) -> DryRun:
    """Work out what an activity would do that is not saved; arguments and errors are those of `dry_run`.

    Limits and stock are those of the saved activity of this code, as far as there is one.

    Raises:
        BadInput: the document cannot be imported, with all its `problems`.
    """
    with _reading(runtime) as conn:
        activity = read_document(conn, document, where, draft=True).activity
        if activity is None:
            raise BadInput(f"{where}: behaviour rules alone have no dry run", problems=[])
        if allow:
            allow(activity)
        return _run(conn, activity, facts, version=None)


@contextmanager
def _reading(runtime: Runtime) -> Iterator[Connection]:
    with runtime.engine.connect() as conn:
        conn.execute(_READ_ONLY)
        yield conn


def _run(conn: Connection, activity: TacticsActivity, facts: object, *, version: int | None) -> DryRun:
    if not isinstance(facts, Mapping):
        raise BadInput("facts are an object with `user`, `order` and so on", problems=[])
    problem = plain_problem(facts)
    if problem:
        raise BadInput(f"facts: {problem['path']}: {problem['message']}", problems=[{**problem, "where": FACTS}])
    now = conn.execute(_NOW).scalar_one().astimezone(UTC)
    seen = {"now": now.isoformat(), "timezone": activity.timezone, **facts}
    at = _time(seen["now"])
    found = rules.calculate(activity.parsed_rule, seen)
    lines = lines_of(activity, found.effects) if found.matched else ()
    return DryRun(
        activity=activity,
        version=version,
        at=at,
        evaluation=found,
        lines=lines,
        limits=_limits(conn, activity, lines, at),
        prices=_prices(activity, seen),
    )


def _time(said: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(said))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not MINYEAR < found.year < MAXYEAR:
        problem = {
            "where": FACTS,
            "path": "/now",
            "message": f"{said!r} is no time with an offset, such as 2026-01-31T12:00:00Z",
        }
        raise BadInput(f"facts: /now: {problem['message']}", problems=[problem])
    return found


def _limits(
    conn: Connection, activity: TacticsActivity, lines: tuple[GrantLine, ...], at: datetime
) -> tuple[AppliedLimit, ...]:
    """Give the limits of the activity, and the stock of what would be given."""
    value = sum(line.value_minor for line in lines)
    once = 1 if lines else 0
    given = limits.given(conn, activity.code, at.astimezone(ZoneInfo(activity.timezone)).date())
    asked = (
        ("per_user", activity.limits.per_user, None, once),
        ("per_day", activity.limits.per_day, given.on_day, once),
        ("budget_minor", activity.limits.budget_minor, given.value_minor, value),
    )
    found = [AppliedLimit(name, most, used, asks) for name, most, used, asks in asked if most is not None]
    taken = stock.taken(conn, activity.code)
    for name, asks in stock_needed(lines).items():
        most = activity.benefits[name].initial_stock
        if most is not None:
            found.append(AppliedLimit("stock", most, taken.get(name, 0), asks, name))
    return tuple(found)


def _prices(activity: TacticsActivity, facts: Mapping[str, Any]) -> rules.PriceAnswer | None:
    """Give what the order of the facts would cost, where the rule lowers prices and the order can be priced."""
    order = facts.get("order")
    if not lowers_prices(activity) or not isinstance(order, Mapping):
        return None
    try:
        return rules.price(order, [activity.parsed_rule], "stack", facts)
    except rules.RuleError:
        return None

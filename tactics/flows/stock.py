"""How much of a benefit there is: adding stock to a running activity, and taking back what nobody has got yet."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from tactics.errors import BadInput, Conflict, IdempotencyConflict, NotFound
from tactics.flows.reading import Around
from tactics.runtime import Runtime
from tactics.store import activities, stock_movements
from tactics.store.stock import DECLARED
from tactics.store.stock_movements import Movement

MOST_STOCK = 2**53


@dataclass(frozen=True, slots=True)
class Stock:
    """What there is of a benefit.

    `declared` is what the activity's document says, `added` came by movements beside it, `taken` is granted or
    reserved: None, as `remaining`, of an unlimited benefit. `codes` and `codes_left` are of a pool, None without one.
    `kind`, `value_minor` and `currency` are None of a benefit that the document no longer has.
    """

    benefit: str
    kind: str | None
    value_minor: int | None
    currency: str | None
    declared: int | None
    added: int
    taken: int | None
    remaining: int | None
    codes: int | None
    codes_left: int | None

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Moved:
    """A movement, and what remains of the benefit now."""

    movement: Movement
    remaining: int


def stock_of(runtime: Runtime, activity_code: str) -> list[Stock]:
    """Give the stock of an activity's benefits, by code.

    Raises:
        NotFound: there is no such activity.
    """
    with runtime.engine.connect() as conn:
        document = activities.definition(conn, activity_code, activities.current(conn, activity_code).version)
        rows = stock_movements.of_activity(conn, activity_code)
    return [
        Stock(
            row.code,
            told.get("kind"),
            told.get("value_minor", 0) if told else None,
            (told.get("currency") or document["currency"]) if told else None,
            row.declared,
            row.added,
            row.taken,
            row.remaining,
            row.codes or None,
            row.codes_left if row.codes else None,
        )
        for row in rows
        for told in [document["benefits"].get(row.code, {})]
    ]


def move_stock(
    runtime: Runtime,
    activity_code: str,
    benefit: str,
    *,
    delta: int,
    reason: str,
    key: str | None = None,
    around: Around = nullcontext,
) -> Moved:
    """Add stock to a benefit, or take some back that is neither granted nor reserved.

    It comes on top of what the activity's document declares, and stays when the document declares something else.

    Args:
        runtime: the process's runtime, acting as whoever asks for it.
        activity_code: the activity's.
        benefit: the benefit's code.
        delta: how many more, or fewer; not 0.
        reason: why, for people.
        key: an id of the caller's: the same again is the same movement.
        around: surrounds it within its transaction; what it locks is locked before the benefit.

    Raises:
        BadInput: the delta is 0, or the reason is that of documents.
        NotFound: there is no such activity or benefit.
        Conflict: the benefit is unlimited, less remains than is taken back (`remaining`, and `least`: the smallest
            delta), or its pool has not as many codes.
        IdempotencyConflict: the id was used for another movement.
    """
    _check_asked(delta, reason)
    with runtime.changing() as conn, around(conn):
        found = _known(conn, activity_code, benefit)
        before = stock_movements.by_key(conn, activity_code, benefit, key) if key is not None else None
        if before is not None:
            if (before.delta, before.reason) != (delta, reason):
                raise IdempotencyConflict("this id was used for another movement of this benefit", id=key)
            return Moved(before, found.remaining)
        _check_possible(conn, activity_code, benefit, found.remaining, delta)
        moved = stock_movements.move(
            conn, activity_code, benefit, delta=delta, reason=reason, key=key, actor=runtime.actor
        )
        return Moved(moved, found.remaining + delta)


def movements_of(
    runtime: Runtime, activity_code: str, benefit: str, *, before: int | None = None, limit: int
) -> Sequence[Movement]:
    """Give the movements of a benefit's stock, the newest first; those that documents caused have no actor.

    Raises:
        NotFound: there is no such activity or benefit.
    """
    with runtime.engine.connect() as conn:
        activities.current(conn, activity_code)
        if all(row.code != benefit for row in stock_movements.of_activity(conn, activity_code)):
            raise _unknown(activity_code, benefit)
        return stock_movements.listing(conn, activity_code, benefit, before=before, limit=limit)


def _check_asked(delta: int, reason: str) -> None:
    problems = []
    if delta == 0:
        problems.append({"path": "/delta", "message": "nothing is moved by 0"})
    if not reason.strip():
        problems.append({"path": "/reason", "message": "the reason is blank: why is the stock changed?"})
    if reason == DECLARED:
        problems.append({"path": "/reason", "message": f"{DECLARED!r} is the reason of what documents declare"})
    if problems:
        raise BadInput("; ".join(one["message"] for one in problems), problems=problems)


def _known(conn: Connection, activity_code: str, benefit: str) -> Any:
    """Give a limited benefit's row, locked: grants of it wait, and so do other movements."""
    activities.current(conn, activity_code)
    found = stock_movements.locked(conn, activity_code, benefit)
    if found is None:
        raise _unknown(activity_code, benefit)
    if found.remaining is None:
        raise Conflict(f"benefit {benefit!r} of activity {activity_code!r} is unlimited: there is no stock to move")
    return found


def _check_possible(conn: Connection, activity_code: str, benefit: str, remaining: int, delta: int) -> None:
    where = f"benefit {benefit!r} of activity {activity_code!r}"
    after = remaining + delta
    if after < 0:
        raise Conflict(
            f"{where}: {remaining} are left that are neither granted nor reserved, so no {-delta} can be taken back",
            remaining=remaining,
            least=-remaining,
        )
    if after > MOST_STOCK:
        raise Conflict(f"{where}: {after} is more than can be counted", remaining=remaining)
    codes = stock_movements.codes_left(conn, activity_code, benefit)
    if delta > 0 and codes is not None and after > codes:
        raise Conflict(
            f"{where}: its pool has {codes} codes left, and {after} would be to give: add codes to the document first",
            remaining=remaining,
            codes_left=codes,
        )


def _unknown(activity_code: str, benefit: str) -> NotFound:
    return NotFound(
        f"activity {activity_code!r} has no benefit {benefit!r}; `tactics stock list` shows those it has",
        activity=activity_code,
        benefit=benefit,
    )

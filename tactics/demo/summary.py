"""The summary: what the replay saw, beside what the database says of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from tactics.demo.barrier import unfinished
from tactics.demo.ledger import lost
from tactics.demo.replay import Replayed
from tactics.store.audit import audit

NOT_ELIGIBLE = ("not_prepared", "not_matched", "unknown", "holdout", "limit")
_COUNTS = text("""
    SELECT (SELECT count(*) FROM event WHERE type = 'behaviour') AS behaviour_events,
           (SELECT count(*) FROM execution WHERE link = 'prepare' AND outcome = 'prepared') AS preparations,
           (SELECT count(*) FROM asset WHERE status = 'redeemed') AS redemptions
""")


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a replay.

    Args:
        actions: purchases that were acknowledged.
        behaviour_events: times that a behaviour rule came true.
        preparations: executions that prepared an instance.
        placements: visits that were answered.
        grants: answers that gave a new benefit.
        reuses: answers that showed one which the user still held.
        redemptions: assets that were redeemed.
        sold_out: answers without a benefit because none was left.
        not_eligible: answers without one because the user had not earned one, or a limit was reached.
        over_issued: rows that the audit objects to.
        lost: acknowledged events without an end in the database.
        stuck: events and executions that have not ended although all is quiet.
        seconds: from the first event to the end of the last.
        actions_per_s: actions in a second of these.
        placement_p50_ms: half of the visits were answered within.
        placement_p99_ms: of a hundred visits 99 were answered within.
    """

    actions: int
    behaviour_events: int
    preparations: int
    placements: int
    grants: int
    reuses: int
    redemptions: int
    sold_out: int
    not_eligible: int
    over_issued: int
    lost: int
    stuck: int
    seconds: float
    actions_per_s: float
    placement_p50_ms: float
    placement_p99_ms: float

    @property
    def sound(self) -> bool:
        """Tell whether nothing was lost, got stuck, or was given twice."""
        return self.over_issued == self.lost == self.stuck == 0

    def to_json(self) -> dict[str, Any]:
        """Give the figures as plain data."""
        return asdict(self)


def summarize(engine: Engine, seen: Replayed, ledger_path: Path) -> Summary:
    """Add up a replay that has come to an end.

    Args:
        engine: the database of the replay, which held nothing else.
        seen: what the replay saw.
        ledger_path: what was acknowledged to it.
    """
    with engine.connect() as conn:
        over_issued = len(audit(conn))
    with engine.connect() as conn:
        counts = conn.execute(_COUNTS).one()
        missing, left = lost(conn, ledger_path), unfinished(conn)
    return Summary(
        actions=seen.actions,
        behaviour_events=counts.behaviour_events,
        preparations=counts.preparations,
        placements=seen.visits,
        grants=seen.parts["granted"],
        reuses=seen.parts["reused"],
        redemptions=counts.redemptions,
        sold_out=seen.parts["sold_out"],
        not_eligible=sum(seen.parts[reason] for reason in NOT_ELIGIBLE),
        over_issued=over_issued,
        lost=missing,
        stuck=left,
        seconds=round(seen.seconds, 2),
        actions_per_s=round(seen.actions / seen.seconds, 1) if seen.seconds else 0.0,
        placement_p50_ms=round(percentile(seen.visit_ms, 50), 2),
        placement_p99_ms=round(percentile(seen.visit_ms, 99), 2),
    )


def percentile(values: list[float], percent: int) -> float:
    """Give the smallest value that `percent` of a hundred values do not exceed (nearest rank); 0 where there is none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0.0

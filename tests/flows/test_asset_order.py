"""Changes of an asset count by when they happened, in whatever order and batches they arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tactics.domain.asset import LIVE, TRANSITIONS
from tactics.flows.retry import retry_parked
from tactics.store.audit import audit
from tests.driving import Drive, Maker, after, asset_of, at_checkout, became

PARKED = "SELECT count(*) FROM event WHERE outcome = 'parked'"
_USERS = count(1)


def _asset(drive: Drive, **options: Any) -> str:
    """Grant an asset to a new user."""
    always = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    drive.load(at_checkout(benefits={"c18": {"kind": "coupon", "value_minor": 500}}, schedule=always))
    (result,) = drive.visit(f"u{next(_USERS)}", **options).results
    return str(asset_of(result)["asset_id"])


def _status(drive: Drive, asset_id: str) -> str:
    return str(drive.value("SELECT status FROM asset WHERE id::text = :id", id=asset_id))


@st.composite
def _histories(draw: Any) -> tuple[list[str], str, list[list[int]]]:
    """Give changes each of which is allowed after the one before, where they end, and batches in which they arrive."""
    status, changes = "available", []
    for _ in range(draw(st.integers(1, 6))):
        ways = {name: way.get(status, status) for name, way in TRANSITIONS.items()}
        allowed = [name for name, way in TRANSITIONS.items() if status in way or status in way.values()]
        changes.append(draw(st.sampled_from(allowed)))
        status = ways[changes[-1]]
    order, batches = draw(st.permutations(range(len(changes)))), []
    while order:
        size = draw(st.integers(1, len(order)))
        batches.append(order[:size])
        order = order[size:]
    return changes, status, batches


def test_any_order_of_arrival_ends_like_the_order_of_time(drive: Drive) -> None:
    """Changes that are allowed as they happened end the same however they arrive; one that came before a change that it
    needs is parked, and has its effect when it is tried again.
    """

    @given(_histories())
    @settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    def arrive(history: tuple[list[str], str, list[list[int]]]) -> None:
        changes, end, batches = history
        asset_id = _asset(drive)
        for batch in batches:
            drive.happen(*(became(asset_id, changes[number], at=after(minutes=number + 1)) for number in batch))
        if drive.value(PARKED):
            assert len(batches) > 1
            retry_parked(drive.app, None)
            drive.work()
        assert drive.value(PARKED) == 0
        assert _status(drive, asset_id) == end
        usable = "SELECT g.usable FROM grant_record g JOIN asset a ON a.grant_id = g.id WHERE a.id::text = :id"
        assert drive.value(usable, id=asset_id) is (end in LIVE)

    arrive()
    with drive.runtime.engine.connect() as conn:
        assert [finding.text for finding in audit(conn)] == []


@pytest.mark.parametrize("together", [True, False])
def test_an_older_redemption_does_not_win_over_its_release(drive: Drive, together: bool) -> None:
    """Released, then the redemption that it took back: the asset stays available, and nothing is parked."""
    asset_id = _asset(drive)
    released = became(asset_id, "released", at=after(minutes=2), id="a")
    redeemed = became(asset_id, "redeemed", at=after(minutes=1), id="b")
    for batch in [[released, redeemed]] if together else [[released], [redeemed]]:
        drive.happen(*batch)
    assert _status(drive, asset_id) == "available"
    assert drive.rows("SELECT DISTINCT outcome FROM event WHERE type = 'asset'") == [("routed",)]
    drive.happen(became(asset_id, "redeemed", at=after(minutes=2)))
    assert _status(drive, asset_id) == "redeemed"


def test_a_batch_is_applied_as_it_happened(drive: Drive) -> None:
    """Within a batch no change comes before one that it needs, whatever their ids: nothing is parked."""
    asset_id = _asset(drive)
    drive.happen(became(asset_id, "claimed", at=after(minutes=1)))
    redeemed = became(asset_id, "redeemed", at=after(minutes=2), id="b")
    drive.happen(became(asset_id, "released", at=after(minutes=3), id="a"), redeemed)
    assert (_status(drive, asset_id), drive.value(PARKED)) == ("available", 0)


def test_the_time_of_the_event_counts_outside_of_replay_too(driven: Maker) -> None:
    """By the real clock as well, an older redemption that arrives after its release does not win."""
    drive, now = driven(replay=False), datetime.now(UTC)
    asset_id = _asset(drive, at=None)
    for minutes, status in ((1, "released"), (2, "redeemed")):
        drive.happen(became(asset_id, status, at=now - timedelta(minutes=minutes)))
    assert (_status(drive, asset_id), drive.value(PARKED)) == ("available", 0)


def test_first_change_counts_whatever_its_time(drive: Drive) -> None:
    """A shop whose clock is behind redeems before the grant, by its clock: that counts."""
    asset_id = _asset(drive)
    drive.happen(became(asset_id, "redeemed", at=after(minutes=-1)))
    assert _status(drive, asset_id) == "redeemed"

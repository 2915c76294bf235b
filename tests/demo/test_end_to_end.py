"""The replay through real servers, a real worker and beat: every figure adds up, and repeats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tactics.demo.choice import choose
from tactics.demo.data import Data
from tactics.demo.plan import Plan, make_plan
from tactics.demo.replay import Replayed, replay, set_up
from tactics.demo.summary import Summary, summarize
from tactics.local import running_locally
from tests.demo.counting import Count

ANSWERED = "SELECT count(*) FROM event WHERE type = 'placement' AND answer -> 'camp13'"
# Each figure from tables that the summary does not ask, and in more than one way where there is more than one.
QUERIES = {
    "actions": ["SELECT count(*) FROM user_action", "SELECT sum(actions) FROM user_item"],
    "behaviour_events": ["SELECT count(*) FROM event WHERE source LIKE 'tactics.behaviour:%'"],
    "preparations": [
        "SELECT count(*) FROM execution WHERE link = 'prepare'",
        "SELECT count(*) FROM event WHERE type = 'behaviour' AND consumed_at IS NOT NULL",
    ],
    "placements": [
        "SELECT count(*) FROM event WHERE type = 'placement'",
        (
            "SELECT (SELECT count(*) FROM execution WHERE link = 'grant')"
            " + (SELECT count(*) FROM event WHERE outcome = 'no_match')"
        ),
    ],
    "grants": [
        "SELECT count(*) FROM grant_record WHERE state = 'granted'",
        "SELECT count(*) FROM asset",
        "SELECT stock_initial - remaining FROM benefit",
        "SELECT count(*) FROM outbox WHERE topic = 'tactics.granted'",
        ANSWERED + " ->> 'outcome' = 'granted'",
    ],
    "reuses": ["SELECT count(*) FROM execution WHERE outcome = 'reused'", ANSWERED + " ->> 'outcome' = 'reused'"],
    "redemptions": [
        "SELECT count(*) FROM event WHERE type = 'asset' AND parked_reason IS NULL",
        (
            "SELECT count(*) FROM grant_record WHERE NOT usable AND EXISTS (SELECT FROM asset"
            " WHERE asset.grant_id = grant_record.id AND asset.status = 'redeemed')"
        ),
    ],
    "sold_out": [
        ANSWERED + " ->> 'reason' = 'sold_out'",
        "SELECT count(*) FROM execution WHERE outcome = 'sold_out'",
    ],
    "not_eligible": [
        ANSWERED + " ->> 'reason' IN ('not_prepared', 'not_matched', 'unknown', 'holdout', 'limit')",
        "SELECT count(*) FROM execution WHERE link = 'grant' AND outcome NOT IN ('granted', 'reused', 'sold_out')",
    ],
    "over_issued": [
        "SELECT count(*) FROM benefit WHERE remaining < 0 OR stock_initial - remaining <> (SELECT count(*) FROM asset)",
        "SELECT count(*) FROM (SELECT FROM asset WHERE status = 'available' GROUP BY user_id HAVING count(*) > 1) AS two",
    ],
    "stuck": [
        "SELECT count(*) FROM event WHERE routed_at IS NULL OR next_attempt_at IS NOT NULL",
        "SELECT count(*) FROM execution WHERE outcome IS NULL OR finished_at IS NULL OR next_attempt_at IS NOT NULL",
    ],
}


@pytest.fixture(scope="module")
def small(data: Data) -> Plan:
    return make_plan(choose({13}, 1_500), data)


@contextmanager
def _replayed(plan: Plan) -> Iterator[tuple[Engine, Replayed, Summary, Path]]:
    with running_locally(durable=False, flower=False, replay=True, claim_s=20.0) as local:
        set_up(local.app, plan)
        ledger = local.settings.home / "told"
        seen = replay(local.app, plan, ledger, check=local.supervisor.check)
        engine = local.app.runtime.engine
        yield engine, seen, summarize(engine, seen, ledger), ledger


def _check_by_sql(engine: Engine, figures: dict[str, Any], told: list[tuple[str, ...]]) -> None:
    with engine.connect() as conn:
        for name, queries in QUERIES.items():
            found = [conn.execute(text(query)).scalar_one() for query in queries]
            assert found == [figures[name]] * len(queries), name
        ended = conn.execute(text("SELECT source, id FROM event WHERE outcome IS NOT NULL OR answer IS NOT NULL"))
        assert figures["lost"] == len(set(told) - {tuple(row) for row in ended})


def test_every_figure_adds_up_and_repeats(small: Plan) -> None:
    """Two replays give the counts of plain Python and of SQL; nothing is lost, stuck or given twice."""
    counted = Count(small).found
    for _ in range(2):
        with _replayed(small) as (engine, seen, summary, ledger):
            figures = summary.to_json()
            told = [tuple(line.split("\t")) for line in ledger.read_text().splitlines()]
            _check_by_sql(engine, figures, told)
        assert {name: figures[name] for name in counted} == counted
        assert len(told) == len(set(told)) == figures["actions"] + figures["placements"] + seen.met
        assert figures["actions"] == small.counts["actions"]
        assert sum(seen.parts.values()) + seen.nothing_running == figures["placements"]
        assert (figures["over_issued"], figures["lost"], figures["stuck"]) == (0, 0, 0)
        assert min(figures[name] for name in ("grants", "reuses", "sold_out", "redemptions")) > 0
        assert 0 < figures["placement_p50_ms"] <= figures["placement_p99_ms"] < figures["seconds"] * 1000
        assert figures["actions_per_s"] == pytest.approx(figures["actions"] / figures["seconds"], rel=0.01)

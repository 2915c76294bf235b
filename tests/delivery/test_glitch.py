"""The asset port fails: nobody gets a second grant, nobody is shown a spent asset as usable, and it is noted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tactics.gateways.local import LocalAssets
from tactics.store.db import make_engine
from tests.delivery import scenarios
from tests.delivery.findings import audited
from tests.delivery.stage import Stage, behaviour


@contextmanager
def glitch(stage: Stage) -> Iterator[None]:
    """Cut the asset port off from its database, while everything else works."""
    working = stage.app.runtime
    nowhere = make_engine("postgresql://nobody@127.0.0.1:1/nothing", autocommit=True)
    gateways = replace(working.gateways, assets=LocalAssets(nowhere))
    stage.app._runtime = (os.getpid(), replace(working, gateways=gateways))
    try:
        yield
    finally:
        stage.app._runtime = (os.getpid(), working)
        nowhere.dispose()


@pytest.fixture
def prepared(stage: Stage) -> Stage:
    """A stage on which u1 is prepared."""
    stage.import_activity()
    scenarios.accept(stage, behaviour("u1", 1))
    scenarios.route(stage, 1)
    return stage


def _spend(stage: Stage, part: dict[str, Any], how: str) -> str:
    (asset,) = part["assets"]
    if how == "redeemed":
        stage.redeem(asset["asset_id"])
    elif how == "expired":
        stage.run_sql("UPDATE asset SET valid_from = now() - interval '2 s', valid_until = now() - interval '1 s'")
    return str(asset["asset_id"])


def _tags(stage: Stage) -> list[tuple[bool, bool]]:
    rows = stage.rows("""
        SELECT assets_unknown, reconciled_at IS NOT NULL AS reconciled
        FROM execution WHERE link = 'grant' ORDER BY finished_at
    """)
    return [(row["assets_unknown"], row["reconciled"]) for row in rows]


def test_first_time_users_get_a_real_grant(prepared: Stage) -> None:
    """A first-time user's asset is real and usable, the answer tagged; it is looked at again once the port works."""
    with glitch(prepared):
        part = prepared.shown("u1")
        assert prepared.sweep()["reconciled"] == 0
    assert (part["outcome"], part["assets"][0]["status"]) == ("granted", "available")
    assert _tags(prepared) == [(True, False)]
    assert prepared.sweep()["reconciled"] == 1
    assert _tags(prepared) == [(True, True)]
    assert prepared.shown("u1")["assets"] == part["assets"]
    assert not audited(prepared)


def test_repeat_users_get_the_asset_that_they_can_use(prepared: Stage) -> None:
    """A repeat user with a usable asset gets it again, and no second one."""
    first = prepared.shown("u1")
    with glitch(prepared):
        part = prepared.shown("u1")
    assert (part["outcome"], part["assets"]) == ("reused", first["assets"])
    assert _tags(prepared) == [(False, False), (True, False)]
    assert prepared.value("SELECT count(*) FROM grant_record") == 1
    assert not audited(prepared)


@pytest.mark.parametrize("how", ["redeemed", "expired"])
@pytest.mark.parametrize("grants", [1, 2])
def test_repeat_users_with_a_spent_asset_get_a_replay(prepared: Stage, how: str, grants: int) -> None:
    """A repeat user whose assets are all spent gets the replay of grant 1, shown as spent, and never another grant."""
    spent = [_spend(prepared, prepared.shown("u1"), how) for _ in range(grants)]
    with glitch(prepared):
        parts = [prepared.shown("u1"), prepared.shown("u1", lock=False)]
    for part in parts:
        assert part["outcome"] == "replayed"
        assert [(asset["asset_id"], asset["status"]) for asset in part["assets"]] == [(spent[0], how)]
        assert part["expression"]["text"]
    assert prepared.value("SELECT count(*) FROM grant_record") == grants
    assert prepared.sweep()["reconciled"] == 2
    assert prepared.shown("u1")["outcome"] == "granted"
    assert prepared.value("SELECT max(will_send_count) FROM grant_record") == grants + 1
    assert not audited(prepared)


def test_two_first_visits_at_once_give_one_grant(prepared: Stage) -> None:
    """Two placements of a first-time user at once, both without the asset port, end in one grant and one reuse."""
    with glitch(prepared):
        answers = scenarios.race_of_two_placements(prepared, prepared=True)
    assert sorted(answer["outcome"] for answer in answers) == ["granted", "reused"]
    assert not audited(prepared)

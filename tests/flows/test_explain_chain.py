"""`explain` says which chain an execution ran, and that it was not the template's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tactics.cli.app import app
from tactics.config import Settings
from tactics.flows.chain import disable_chain, import_chains
from tactics.flows.explain import explain_execution
from tactics.store.chains import UNDECIDED
from tests.journey import Shop, offer, open_shop

STEPS = ["check_event", "load_prepared", "check_rule", "send_benefit", "build_result", "finish_execution"]


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop with one activity that needs no preparation."""
    opened = open_shop(settings)
    opened.imports(offer(channels={"grant": ["home"]}, behaviour_rules={}))
    yield opened
    opened.app.runtime.close()


def _store(shop: Shop, steps: list[str]) -> None:
    import_chains(shop.app, [{"chain": "tea_quick", "template_type": "full_link_v3", "link": "grant", "steps": steps}])


def _visited(shop: Shop, user_id: str) -> UUID:
    return UUID(shop.visits(user_id)["execution_ids"][0])


def _told(shop: Shop, execution: UUID) -> tuple[dict[str, Any], list[str]]:
    found = explain_execution(shop.app.runtime, execution)
    return found["execution"]["chain"], [line for line in found["summary"] if "chain" in line]


def test_the_chain_in_code_needs_no_words(shop: Shop) -> None:
    """Where nothing was stored there is nothing to warn of, and nothing is said later either."""
    execution = _visited(shop, "ann")
    assert _told(shop, execution) == ({"in": "code"}, [])
    _store(shop, STEPS)
    assert _told(shop, execution) == ({"in": "code"}, [])


def test_a_stored_chain_is_named_with_its_version_and_what_became_of_it(shop: Shop) -> None:
    """The version that ran is told, that it stood in for the template's own, and what the chain is now."""
    _store(shop, STEPS)
    execution = _visited(shop, "ann")
    ran = "It ran the stored chain tea_quick, version 1, instead of template full_link_v3's own grant chain"
    chain, words = _told(shop, execution)
    assert chain == {
        "in": "stored",
        "name": "tea_quick",
        "version": 1,
        "current_version": 1,
        "enabled": True,
        "template_type": "full_link_v3",
        "steps": STEPS,
    }
    assert words == [ran + "."]
    _store(shop, STEPS[2:])
    assert _told(shop, execution)[1] == [ran + "; version 2 is the current one."]
    disable_chain(shop.app.runtime, "tea_quick")
    assert _told(shop, execution)[1] == [ran + ", which is disabled now; version 2 is the current one."]


def test_an_execution_whose_chain_is_not_chosen_says_so(shop: Shop) -> None:
    """What waits for a process that knows its template has no chain yet."""
    execution = _visited(shop, "ann")
    with shop.app.runtime.engine.begin() as conn:
        conn.execute(text("UPDATE execution SET chain_id = :id, outcome = NULL, finished_at = NULL"), {"id": UNDECIDED})
    chain, words = _told(shop, execution)
    assert chain == {"in": "not chosen"}
    assert words == ["Which chain it runs is not chosen yet: no process that knows its template has started it."]


def test_people_see_it_on_the_command_line(
    shop: Shop, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tactics explain EXECUTION` shows the chain among what the answer rests on."""
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)
    executions = [_visited(shop, "ann")]
    _store(shop, STEPS)
    executions.append(_visited(shop, "bob"))
    shown = [CliRunner().invoke(app, ["explain", str(execution)]).stdout for execution in executions]
    assert "\n  chain: the template's own (in code)\n" in shown[0]
    assert "\n  chain: tea_quick, version 1 (stored)\n" in shown[1]
    assert "• It ran the stored chain tea_quick, version 1, instead of" in shown[1]

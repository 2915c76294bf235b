"""Recall from Tactics' own tables: over its own connections, within its own time."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from tactics.config import Settings
from tactics.errors import GatewayError
from tactics.runtime import Runtime
from tactics.store import items, recall
from tests.driving import NOON

PAIRS = (("ann", "1"), ("bob", "1"), ("bob", "2"))


def _learn(runtime: Runtime) -> None:
    row = {"actions": 1, "quantity": 1, "favourite": False, "last_action": "view", "last_at": NOON}
    with runtime.engine.begin() as conn:
        items.record_actions(conn, [{"user_id": user_id, "item_id": item_id, **row} for user_id, item_id in PAIRS])
        recall.learn_waiting(conn, "", users=9)


def test_candidates_come_with_their_score(runtime: Runtime) -> None:
    """What was learnt is given, the best first; of unknown items nothing, which is an answer."""
    _learn(runtime)
    port = runtime.gateways.recall
    ((item_id, score),) = [(one.item_id, one.score) for one in port.candidates("ann", ["1"], 10)]
    assert item_id == "2"
    assert score == pytest.approx(1 / 2**0.5)
    assert port.candidates("ann", ["77"], 10) == []
    assert port.candidates("bob", ["1"], 10) == []


def test_late_answer_is_an_error(settings: Settings) -> None:
    """A query that cannot end in its time is cancelled, whatever the caller's own transaction is doing."""
    runtime = Runtime.open(settings.model_copy(update={"recall_timeout_ms": 50}))
    _learn(runtime)
    with runtime.engine.begin() as conn:
        conn.execute(text("LOCK TABLE item_pair IN ACCESS EXCLUSIVE MODE"))
        started = time.monotonic()
        with pytest.raises(GatewayError, match="recall did not answer"):
            runtime.gateways.recall.candidates("ann", ["1"], 10)
        assert 0.04 < time.monotonic() - started < 5
        assert conn.execute(text("SELECT 1")).scalar_one() == 1
    assert len(runtime.gateways.recall.candidates("ann", ["1"], 10)) == 1
    runtime.close()


def test_no_database_is_an_error_of_the_port(settings: Settings) -> None:
    """A database that cannot be reached is what any other failure of the port is."""
    runtime = Runtime.open(settings.model_copy(update={"database_url": "postgresql+psycopg://nobody@127.0.0.1:1/none"}))
    with pytest.raises(GatewayError, match="recall did not answer: DatabaseDown"):
        runtime.gateways.recall.candidates("ann", ["1"], 10)
    runtime.close()


def test_new_items_of_the_catalogue(runtime: Runtime) -> None:
    """Of some ids, those that the catalogue has and the user never acted on, as items."""
    _learn(runtime)
    with runtime.engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO item (item_id, title, category, price_minor, currency, attributes)"
                " VALUES ('1', 'One', NULL, NULL, NULL, '{}'), ('2', 'Two', 'tea', 450, 'USD', '{\"x\": 1}')"
            )
        )
        port = runtime.gateways.items
        (found,) = port.new_to_user(conn, "ann", ["1", "2", "3"])
        fact = {"item_id": "2", "title": "Two", "category": "tea", "price_minor": 450, "currency": "USD"}
        assert (found.to_fact(), found.attributes) == (fact, {"x": 1})
        assert port.new_to_user(conn, "bob", ["1", "2", "3"]) == []
        assert [one.item_id for one in port.new_to_user(conn, "eve", ["1", "2", "3"])] == ["1", "2"]

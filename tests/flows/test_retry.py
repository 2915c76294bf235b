"""What was parked gets one more attempt when an operator asks for it, and only then."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tactics.celery_app import TacticsApp
from tactics.chain import prepare_app
from tactics.cli.app import app as cli
from tactics.config import Settings
from tactics.errors import BadInput
from tactics.flows import setup
from tactics.flows.accepting import accept_events
from tactics.flows.action import route_events
from tactics.flows.retry import list_parked, retry_parked
from tactics.flows.sweep import sweep
from tactics.worker import make_app
from tests.making import bought, document


@pytest.fixture
def app(settings: Settings) -> TacticsApp:
    """An app in this process; nobody takes its messages."""
    made = make_app(settings.model_copy(update={"asset_wait_attempts": 1}))
    prepare_app(made)
    setup.import_activities(
        made.runtime,
        [
            document(
                schedule={"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"},
                behaviour_rules={"bought": bought(1)},
            )
        ],
        publish=True,
    )
    return made


def _parked_execution(app: TacticsApp) -> str:
    message = {
        "specversion": "1.0",
        "id": "e1",
        "source": "shop",
        "type": "tactics.behaviour",
        "data": {"user_id": "ann", "rule_key": "bought"},
    }
    _, refs = accept_events(app, [message])
    route_events(app, refs)
    with app.runtime.engine.begin() as conn:
        conn.execute(
            text(
                "UPDATE execution SET attempts = :most, outcome = 'parked', reason = 'query_item: it was away',"
                " next_attempt_at = NULL, finished_at = now()"
            ),
            {"most": app.settings.max_attempts},
        )
        return str(conn.execute(text("SELECT id FROM execution")).scalar_one())


def _deliver(app: TacticsApp, execution_id: str, attempt: int) -> None:
    first = app.tasks["tactics.query_item"]
    steps = ["save_prepared", "record_event", "finish_execution"]
    rest = [app.tasks[f"tactics.{name}"].si(execution_id, attempt) for name in reversed(steps)]
    request = {"id": "m1", "chain": rest, "delivery_info": {}, "headers": {}}
    first.__trace__("m1", (execution_id, attempt), {}, request)


def test_a_parked_execution_runs_again_under_a_new_attempt(app: TacticsApp) -> None:
    """A retried execution runs to its end, under the attempt after its last; an earlier one stays stale."""
    execution_id = _parked_execution(app)
    most = app.settings.max_attempts
    assert retry_parked(app, [execution_id]) == 1
    _deliver(app, execution_id, most)
    with app.runtime.engine.connect() as conn:
        assert conn.execute(text("SELECT outcome FROM execution")).scalar_one() is None
    _deliver(app, execution_id, most + 1)
    with app.runtime.engine.connect() as conn:
        row = conn.execute(text("SELECT outcome, segments, segment_attempts FROM execution")).one()
    assert tuple(row) == ("prepared", [most + 1], [most + 1])


def test_what_fails_again_is_parked_again(app: TacticsApp) -> None:
    """A second chance is one attempt: once its time is over, the sweeper parks it, and does not go on for ever."""
    execution_id = _parked_execution(app)
    retry_parked(app, None)
    with app.runtime.engine.begin() as conn:
        conn.execute(text("UPDATE execution SET next_attempt_at = now() - interval '1 second'"))
    sweep(app)
    assert [row["id"] for row in list_parked(app, 10)] == [execution_id]


def test_only_what_is_parked_is_tried(app: TacticsApp) -> None:
    """Asking twice, or for something else, changes nothing."""
    execution_id = _parked_execution(app)
    assert retry_parked(app, [str(UUID(int=1))]) == 0
    assert retry_parked(app, [execution_id]) == 1
    assert retry_parked(app, [execution_id]) == 0


def test_a_parked_event_is_routed_again(app: TacticsApp) -> None:
    """A parked asset event is routed under a new attempt; still wrong, it is parked with the reason again."""
    _, refs = accept_events(app, [_asset_event("shop", "a1")])
    route_events(app, refs)
    parked = list_parked(app, 10)
    assert [(row["kind"], row["id"]) for row in parked] == [("event", "shop a1")]
    assert retry_parked(app, ["shop a1"]) == 1
    assert list_parked(app, 10) == []
    route_events(app, [("shop", "a1", parked[0]["attempts"] + 1)])
    assert "there is no asset" in list_parked(app, 10)[0]["reason"]


def _asset_event(source: str, event_id: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": "tactics.asset",
        "data": {"asset_id": str(UUID(int=7)), "status": "redeemed"},
    }


def test_spaces_in_ids_make_no_twins(app: TacticsApp) -> None:
    """Each parked event's id leads to it alone, whatever spaces and percent signs its source and id hold."""
    keys = [("my shop", "a1"), ("my", "shop a1"), ("my%20shop", "a1"), ("me", "50%\t\u3000é ")]
    _, refs = accept_events(app, [_asset_event(*key) for key in keys])
    route_events(app, refs)
    shown = {row["id"] for row in list_parked(app, 10)}
    assert shown == {"my%20shop a1", "my shop%20a1", "my%2520shop a1", "me 50%25%09%E3%80%80é%20"}
    for number, one in enumerate(sorted(shown), start=1):
        assert retry_parked(app, [one]) == 1
        assert {row["id"] for row in list_parked(app, 10)} == shown - set(sorted(shown)[:number])


@pytest.mark.parametrize("wrong", ["nothing", "", "shop ", " a1", "my shop a1", "shop 50%", "shop %2f", "shop %FF"])
def test_what_is_no_id_is_refused(app: TacticsApp, wrong: str) -> None:
    """A text that `tactics parked list` cannot have shown is an error that says so, and nothing is tried."""
    execution_id = _parked_execution(app)
    with pytest.raises(BadInput, match="is no id of an e"):
        retry_parked(app, [execution_id, wrong])
    assert [row["id"] for row in list_parked(app, 10)] == [execution_id]


def test_the_command_lists_and_retries(app: TacticsApp, environment: dict[str, str]) -> None:
    """`tactics parked` shows what is parked and tries it; ids that are not parked are an error, as is saying nothing."""
    execution_id = _parked_execution(app)
    runner = CliRunner(env=environment)
    listed = runner.invoke(cli, ["parked", "list", "--json"])
    assert [row["id"] for row in json.loads(listed.stdout)] == [execution_id]
    assert runner.invoke(cli, ["parked", "retry"]).exit_code == 2
    assert runner.invoke(cli, ["parked", "retry", "nothing"]).exit_code == 2
    assert runner.invoke(cli, ["parked", "retry", "shop nothing"]).exit_code == 2
    assert runner.invoke(cli, ["parked", "retry", "--all"]).stdout == "1 will be tried once more\n"
    assert runner.invoke(cli, ["parked", "list"]).stdout == "nothing is parked\n"

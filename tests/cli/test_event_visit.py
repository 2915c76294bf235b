"""`tactics event send` and `tactics visit`, as a person types them, over the test's own servers."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import text
from typer.testing import CliRunner, Result

from tactics.cli.answer import answer_lines
from tactics.cli.app import app
from tactics.config import Settings
from tactics.flows import setup
from tactics.runtime import Runtime
from tactics.store import lease
from tests.journey import Shop, offer, open_shop

BOUGHT = {"specversion": "1.0", "source": "shop", "type": "tactics.action", "data": {"user_id": "u1", "action": "buy"}}


@pytest.fixture(autouse=True)
def _attached(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        if name.startswith("TACTICS_"):
            monkeypatch.setenv(name, value)


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop on the test's servers."""
    opened = open_shop(settings)
    yield opened
    opened.app.runtime.close()
    opened.app.close()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address of this machine where nobody listens, and nobody will while the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def _run(*args: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)


def _events(runtime: Runtime) -> list[tuple[Any, ...]]:
    query = "SELECT source, id, type, user_id, data FROM event WHERE type <> 'placement' ORDER BY id"
    with runtime.engine.connect() as conn:
        return [tuple(row) for row in conn.execute(text(query))]


def _waiting(settings: Settings) -> list[Any]:
    """The references that wait for a worker."""
    with redis.Redis.from_url(settings.redis_url) as client:
        messages = [json.loads(one) for one in client.lrange("prepare", 0, -1)]
    assert {message["headers"]["task"] for message in messages} <= {"tactics.route_events"}
    return [json.loads(base64.b64decode(message["body"]))[0][0] for message in messages]


def test_event_is_made_from_options(runtime: Runtime, settings: Settings) -> None:
    """The options become one CloudEvent with an id of its own, accepted and handed to the workers."""
    result = _run(
        "event", "send", "--user", "u1", "--action", "purchase", "--item", "7", "--quantity", 2, "--amount", 500
    )
    assert result.exit_code == 0, result.output
    ((source, event_id, kind, user, data),) = _events(runtime)
    assert (source, kind, user) == ("tactics.cli", "action", "u1")
    assert data == {
        "user_id": "u1",
        "action": "purchase",
        "item_id": "7",
        "quantity": 2,
        "amount_minor": 500,
        "attributes": {},
    }
    assert event_id in result.stdout
    assert result.stdout.endswith("1 accepted\n")
    assert _waiting(settings) == [[["tactics.cli", event_id, 1]]]


def test_every_kind_of_event_with_time_and_attributes(shop: Shop, runtime: Runtime) -> None:
    """Behaviour and asset events can be made too, at a time of their own and with typed attributes."""
    shop.imports(offer())
    at = (datetime.now(UTC) - timedelta(hours=3)).replace(microsecond=0)
    common = ["--source", "s", "--at", at.strftime("%Y-%m-%dT%H:%M:%SZ")]
    behaviour = ["--type", "behaviour", "--user", "u1", "--rule-key", "bought_twice", "--id", "b"]
    assert (
        _run("event", "send", *behaviour, *common, "--attribute", "vip:json=true", "--attribute", "n=1").exit_code == 0
    )
    asset = "00000000-0000-4000-8000-000000000000"
    assert (
        _run("event", "send", "--type", "asset", "--asset", asset, "--status", "redeemed", "--id", "a").exit_code == 0
    )
    (_, _, kind, _, data), (_, _, other, _, attributes) = _events(runtime)
    assert (kind, data) == ("asset", {"asset_id": asset, "status": "redeemed"})
    assert (other, attributes["attributes"]) == ("behaviour", {"vip": True, "n": "1"})
    with runtime.engine.connect() as conn:
        assert conn.execute(text("SELECT at FROM event WHERE id = 'b'")).scalar_one() == at


def test_event_from_the_future_is_refused(shop: Shop) -> None:
    """An event that has not happened yet is refused: it would count for rules and schedules before its time."""
    shop.imports(offer())
    result = _run("event", "send", "--user", "u1", "--action", "purchase", "--at", "2999-01-01T12:00:00Z")
    assert (result.exit_code, "in the future" in result.output) == (2, True)


@pytest.mark.parametrize(
    "content",
    [
        '{"specversion": "1.0", "id": "1", "source": "s", "type": "tactics.action", "data": {"user_id": "u", "action": "a"}}',
        json.dumps([{**BOUGHT, "id": "1"}], indent=2),
        json.dumps({**BOUGHT, "id": "1"}, indent=2),
        "\n" + json.dumps({**BOUGHT, "id": "1"}) + "\n\n" + json.dumps({**BOUGHT, "id": "2"}) + "\n",
    ],
    ids=["one line", "list", "indented", "lines"],
)
def test_events_from_standard_input_in_every_form(content: str, runtime: Runtime) -> None:
    """What form the events have, the content says."""
    result = _run("event", "send", "-", "--json", stdin=content)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["published"] is True
    assert [one["status"] for one in said["results"]] == ["accepted"] * content.count('"specversion"')
    assert [one["id"] for one in said["results"]] == [row[1] for row in _events(runtime)]


def test_rejected_event_is_named_and_holds_nobody_up(tmp_path: Path, runtime: Runtime) -> None:
    """A file's bad event is rejected with its line and member, exit 2; the good ones are accepted, once."""
    good, bad = json.dumps({**BOUGHT, "id": "1"}), json.dumps({**BOUGHT, "id": "2", "data": {"user_id": 5}})
    file = tmp_path / "events.jsonl"
    file.write_text(f"{good}\n{bad}\n{good}\n")
    result = _run("event", "send", file)
    assert result.exit_code == 2
    assert f"rejected: {file}, line 2: event '2': /data/user_id: Input should be a valid string" in result.stderr
    assert result.stdout.endswith("1 accepted, 1 rejected, 1 duplicate\n")
    assert [row[1] for row in _events(runtime)] == ["1"]


@pytest.mark.parametrize(
    ("args", "content", "text"),
    [
        (["-"], '{"a": 1}\n{"a": nonsense}\n', "standard input, line 2, column 7: Expecting value"),
        (["-"], '[{"a": 1},\n {"a" 1}]', "standard input, line 2, column 7: Expecting ':' delimiter"),
        (["-"], "", "standard input, line 1, column 1: Expecting value"),
        (["nowhere.json"], "", "cannot read nowhere.json: No such file or directory"),
        (["-", "--user", "u1"], "{}", "give a file or the options of one event, not both"),
        ([], "", "give a file of events, - for standard input, or --user and --action"),
        (["--user", "u", "--attribute", "a:json=tru"], "", "--attribute a:json: tru is not JSON"),
        (["--user", "u", "--attribute", "vip"], "", "--attribute vip: write it as name=value"),
    ],
)
def test_what_cannot_be_read_is_said_and_nothing_is_sent(
    args: list[str], content: str, text: str, runtime: Runtime
) -> None:
    """Bad input ends with exit 2 and the place of the trouble, before anything is accepted."""
    result = _run("event", "send", *args, stdin=content)
    assert result.exit_code == 2, result.output
    assert f"Error: {text}" in result.stderr
    assert _events(runtime) == []


def test_events_are_accepted_without_redis(nowhere: str, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the broker away events are accepted all the same; the person is told, after one short attempt."""
    monkeypatch.setenv("TACTICS_REDIS_URL", f"redis://{nowhere}/0")
    started = time.monotonic()
    result = _run("event", "send", "--user", "u1", "--action", "purchase")
    assert time.monotonic() - started < 5  # kombu's own patience begins at 6 s
    assert result.exit_code == 0
    assert result.stdout.endswith("1 accepted\n")
    assert result.stderr.startswith("Redis cannot be reached, so nobody was told: what was accepted is kept")
    assert len(_events(runtime)) == 1


@pytest.mark.parametrize(
    "command", [("event", "send", "--user", "u", "--action", "a"), ("visit", "home", "--user", "u")]
)
def test_database_that_is_down_is_said(nowhere: str, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    """Without the database nothing is accepted or shown: exit 1, and the address that does not answer."""
    monkeypatch.setenv("TACTICS_DATABASE_URL", f"postgresql://me:secret@{nowhere}/shop")
    result = _run(*command)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: cannot reach the database at postgresql+psycopg://me:***@{nowhere}/shop")


def test_visit_shows_what_a_shopper_sees(shop: Shop, runtime: Runtime) -> None:
    """A prepared user gets the benefit's words, code and items with prices; the next visit shows the same again."""
    setup.import_items(runtime, [{"item_id": "7", "title": "Green tea", "price_minor": 450, "currency": "USD"}])
    shop.imports(offer())
    shop.buys("u1", 2)
    result = _run("visit", "home", "--user", "u1")
    assert result.exit_code == 0, result.output
    with runtime.engine.connect() as conn:
        code = conn.execute(text("SELECT details->>'code' FROM asset")).scalar_one()
    assert result.stdout.splitlines()[:2] == [
        "★ A coupon of 5.00 USD",
        f"  Use code {code} at the checkout and save 5.00 USD.",
    ]
    assert f"  coupon: code {code}, available, until 2" in result.stdout
    assert "  · Green tea (7)  4.50 USD\n  [tea: granted]\n" in result.stdout
    again = json.loads(_run("visit", "home", "--user", "u1", "--json").stdout)
    assert [(one["outcome"], one["assets"][0]["code"]) for one in again["results"]] == [("reused", code)]
    assert set(again) == {"execution_ids", "results", "not_shown"}
    assert "优惠券" in _run("visit", "home", "--user", "u1", "--language", "zh").stdout


def test_visit_without_a_benefit_says_why(shop: Shop) -> None:
    """Nothing to show is an answer too: exit 0, with each activity's reason in words."""
    shop.imports(offer())
    result = _run("visit", "home", "--user", "stranger")
    assert result.exit_code == 0
    assert result.stdout.startswith("✗ nothing from tea: not_prepared (the user has not done yet")


def test_unknown_channel_is_said(shop: Shop) -> None:
    """A channel that no activity knows is the caller's mistake: exit 2, as JSON where that was asked for."""
    shop.imports(offer())
    result = _run("visit", "hoem", "--user", "u1")
    assert result.exit_code == 2
    assert result.stderr == "Error: no activity grants on channel code 'hoem': see `tactics activity list`\n"
    as_json = _run("visit", "hoem", "--user", "u1", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["error"]["code"]) == (2, "unknown_channel")


def test_visit_while_all_is_busy_asks_to_try_again(shop: Shop, settings: Settings) -> None:
    """When every matching instance is locked by somebody else the visit says busy and exits 1; without a lock it passes."""
    shop.imports(offer())
    shop.buys("u1", 2)
    with redis.Redis.from_url(settings.redis_url) as client:
        client.set(lease.lease_key("tea", "u1"), "somebody:1:else")
    result = _run("visit", "home", "--user", "u1")
    assert result.exit_code == 1
    assert result.stdout.startswith("✗ nothing from tea: busy (")
    assert _run("visit", "home", "--user", "u1", "--no-lock").exit_code == 0


def test_rules_see_order_and_attributes(shop: Shop, tmp_path: Path) -> None:
    """What is said of the visit reaches the rule, typed as given."""

    def holds(name: str, wanted: object) -> dict[str, Any]:
        value = {"block": "pbb.resource.event_attribute", "params": {"name": name}}
        return {"block": "pbb.condition.equals", "params": {"value": value, "to": wanted}}

    amount = {"block": "pbb.resource.order_amount", "params": {}}
    enough = {"block": "pbb.condition.amount_at_least", "params": {"amount": amount, "amount_at": 1000}}
    then = [{"block": "pbb.action.send_coupon", "params": {"benefit": "five_off"}}]
    rule = {"so": {"when": {"and": [enough, holds("vip", True), holds("city", "Ulm")]}, "then": then}}
    shop.imports(offer(rule=rule, channels={"grant": ["home"]}, behaviour_rules={}))
    order = tmp_path / "order.yaml"
    order.write_text("lines: [{item_id: '7', quantity: 2, price_minor: 500}]\n")
    args = [
        "visit",
        "home",
        "--user",
        "u1",
        "--order",
        order,
        "--attribute",
        "city=Ulm",
        "--placement",
        "banner",
        "--json",
    ]
    without = json.loads(_run(*args, "--attribute", "vip=true").stdout)
    assert [one["reason"] for one in without["not_shown"]] == ["not_matched"]
    shown = json.loads(_run(*args, "--attribute", "vip:json=true", "--scene", "cart").stdout)
    assert [(one["outcome"], one["placement"]) for one in shown["results"]] == [("granted", "banner")]
    order.write_text("[]")
    refused = _run(*args)
    assert (refused.exit_code, json.loads(refused.stdout)["error"]["code"]) == (2, "bad_input")


def test_key_and_best_only(shop: Shop) -> None:
    """The same key is the same visit, and another request under it is refused; best-only shows one, and ranks the rest."""
    shop.imports(offer(), offer(code="cake", priority=5))
    shop.buys("u1", 2)
    first = _run("visit", "home", "--user", "u1", "--key", "k", "--best-only", "--json")
    answer = json.loads(first.stdout)
    assert [one["activity"] for one in answer["results"]] == ["cake"]
    assert [(one["activity"], one["reason"]) for one in answer["not_shown"]] == [("tea", "outranked")]
    again = _run("visit", "home", "--user", "u1", "--key", "k", "--best-only", "--json")
    assert json.loads(again.stdout) == answer
    other = _run("visit", "home", "--user", "u1", "--key", "k", "--json")
    assert (other.exit_code, json.loads(other.stdout)["error"]["code"]) == (1, "idempotency_conflict")


def test_visit_is_answered_without_redis(shop: Shop, nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis may be away: what was prepared is rebuilt from the database, and the benefit granted."""
    shop.imports(offer())
    shop.buys("u1", 2)
    monkeypatch.setenv("TACTICS_REDIS_URL", f"redis://{nowhere}/0")
    result = _run("visit", "home", "--user", "u1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("★ A coupon of 5.00 USD\n")


def test_answer_shows_the_words_of_items_notes_and_silence() -> None:
    """Items are shown with their words, where they have any; notes are shown, and no activity at all is said."""
    item = {"item_id": "7", "title": "Tea", "price_minor": 1000, "text": "8.00 USD instead of 10.00 USD"}
    result = {
        "activity": "a",
        "outcome": "pending",
        "expression": {"title": "", "text": "On its way."},
        "assets": [],
        "items": [item, {"item_id": "8"}],
        "notes": ["rebuilt"],
    }
    assert list(answer_lines({"results": [result], "not_shown": []})) == [
        "★ On its way.",
        "  · Tea (7)  8.00 USD instead of 10.00 USD",
        "  · 8",
        "  note: rebuilt",
        "  [a: pending]",
    ]
    assert list(answer_lines({"results": [], "not_shown": []})) == [
        "✗ nothing: no activity runs on this channel at the moment"
    ]

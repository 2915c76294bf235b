"""What Flower shows of the work: every step, and nobody's data, whatever goes wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from tactics import embedded
from tactics.celery_app import MASKED, TacticsApp
from tactics.errors import TacticsError
from tactics.flows.action import submit_events
from tactics.flows.placement import PlacementRequest, visit
from tactics.store.prepared import prepared_key
from tactics.templates.full_link_v3 import full_link_v3
from tests.running import Up

STEPS = tuple(step.name for step in full_link_v3.prepare)
MARK = "zqz"
"""In every field of what users do here, and in nothing else: no id and no key that is made has a z or a q."""
AMOUNT = 90817263545
# The database answers with the whole row where a user is not to get past: no error could tell more.
_TRIPS = {
    "routing": "BEFORE INSERT ON user_action",
    "opening": "BEFORE INSERT ON instance",
    "recording": "BEFORE UPDATE OF consumed_at ON event",
    "granting": "BEFORE INSERT ON grant_record",
}
_UNTIL_STORED = "BEFORE INSERT ON event"


@pytest.fixture(scope="module")
def trips(engine: Engine) -> Iterator[Callable[..., None]]:
    """Makes the database refuse the users who have the name of a trip in theirs, quoting all it was given."""
    trip = (
        "CREATE FUNCTION trip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.user_id LIKE '%' || TG_ARGV[0] || '%' THEN RAISE EXCEPTION 'refused: %', to_json(NEW); END IF; "
        "RETURN NEW; END $$"
    )

    def run(*statements: str) -> None:
        with engine.begin() as conn:
            for one in statements:
                conn.execute(text(one.replace(":", r"\:")))

    run(
        trip,
        *(f"CREATE TRIGGER {name} {at} FOR EACH ROW EXECUTE FUNCTION trip('{name}')" for name, at in _TRIPS.items()),
    )
    yield run
    run("DROP FUNCTION trip() CASCADE")


def _event(kind: str, number: str, **data: Any) -> dict[str, Any]:
    base = {"specversion": "1.0", "id": f"{MARK}-id-{number}", "source": f"{MARK}-source", "type": f"tactics.{kind}"}
    return {**base, "subject": f"{MARK}-subject", "data": {"attributes": {f"{MARK}_name": f"{MARK}-value"}, **data}}


def _purchase(user: str, number: str) -> dict[str, Any]:
    bought = {"action": "purchase", "item_id": f"{MARK}-item", "amount_minor": AMOUNT}
    return _event("action", number, user_id=f"{MARK}-{user}", **bought)


def _behaviour(user: str, **changes: Any) -> dict[str, Any]:
    return _event("behaviour", f"of-{user}", **{"user_id": f"{MARK}-{user}", "rule_key": "bought_twice", **changes})


def _visit(app: TacticsApp, user: str) -> dict[str, Any]:
    line = {"item_id": f"{MARK}-item", "quantity": 1, "price_minor": AMOUNT}
    made = PlacementRequest(
        f"{MARK}-{user}",
        "home",
        placement=f"{MARK}-slot",
        scene=f"{MARK}-scene",
        attributes={f"{MARK}_name": f"{MARK}-value"},
        order={"currency": "USD", "lines": [line]},
        key=f"{MARK}-key-{user}",
    )
    with suppress(TacticsError, SQLAlchemyError):
        return visit(app, made).to_json()
    return {}


def _tasks(up: Up) -> list[dict[str, Any]]:
    return list(up.ask_flower("/api/tasks").data.values())


def _named(up: Up, name: str, state: str) -> list[dict[str, Any]]:
    return [task for task in _tasks(up) if task["name"] == f"tactics.{name}" and task["state"] == state]


def _worker(up: Up) -> str:
    (name,) = up.ask_flower("/api/workers?refresh=1").data
    return str(name)


def _paths(up: Up) -> list[str]:
    """Give all that Flower shows: pages, the data behind them, and the API."""
    worker = _worker(up)
    paths = [
        "/",
        "/?json=1",
        "/tasks",
        "/broker",
        "/metrics",
        "/api/workers?refresh=1",
        "/api/tasks",
        "/api/task/types",
    ]
    table = "/tasks/datatable?draw=1&start=0&length=10000&order[0][column]=0&order[0][dir]=asc&columns[0][data]=name"
    paths += [table, "/api/queues/length", f"/api/workers?refresh=1&workername={worker}", f"/worker/{worker}"]
    for task in _tasks(up):
        paths += _of_task(task["uuid"])
    return paths


def _of_task(task_id: str) -> list[str]:
    return [f"/task/{task_id}", f"/api/task/info/{task_id}"]


def _shows_nobody(up: Up, paths: Sequence[str] | None = None) -> None:
    servers = embedded.attached(up.home)
    assert servers is not None
    password = make_url(servers.database_url).password
    assert password
    for path in _paths(up) if paths is None else paths:
        answer = up.ask_flower(quote(path, safe="/?=&@%[]"))
        assert answer.status == 200, (path, answer)
        page = answer.text
        found = re.search(f"{MARK}|{AMOUNT}|{password}", page, re.IGNORECASE)
        assert found is None, page[max(0, found.start() - 300) : found.end() + 100]


def test_each_step_of_a_chain_run_in_place_is_shown(up: Up, app: TacticsApp) -> None:
    """Steps have name, state, runtime and ids alone as arguments, one after another, under the worker of the delivery."""
    submit_events(app, [_purchase("buyer", "1"), _purchase("buyer", "2")])
    (last,) = up.until(lambda: _named(up, "finish_execution", "SUCCESS"), "the last step in Flower")
    steps = [task for task in _tasks(up) if task["root_id"] == last["root_id"]]
    by_name = {task["name"]: task for task in steps}
    chain = [by_name[f"tactics.{step}"] for step in STEPS]
    assert [one["parent_id"] for one in chain[1:]] == [one["uuid"] for one in chain[:-1]]
    (delivery,) = _named(up, "route_events", "SUCCESS")
    for one in chain:
        info = up.ask_flower(f"/api/task/info/{one['uuid']}").data
        assert (info["state"], info["worker"]) == ("SUCCESS", delivery["worker"])
        assert 0 < info["runtime"] < 60
        assert re.fullmatch(r"\('[0-9a-f-]{36}', 1\)", info["args"])
        assert one["name"] in up.ask_flower(f"/task/{one['uuid']}").text
    assert (delivery["args"], delivery["kwargs"]) == (MASKED, MASKED)
    assert _visit(app, "buyer")["results"][0]["outcome"] == "granted"
    _shows_nobody(up)


def test_failed_steps_are_shown_by_name_and_nobodys_data(
    up: Up, app: TacticsApp, trips: Callable[..., None], engine: Engine
) -> None:
    """Whichever step fails, and however much of a user its error quotes, Flower shows the step and the kind of error."""
    submit_events(
        app, [_behaviour("recording"), _behaviour("opening"), _purchase("routing", "r"), _behaviour("granting")]
    )
    (failed,) = up.until(lambda: _named(up, "record_event", "FAILURE"), "the failed step")
    assert failed["exception"].startswith("StepFailed('step record_event failed with ")
    (unopened,) = up.until(lambda: _named(up, "query_item", "FAILURE"), "the step that could not begin")
    assert unopened["exception"].endswith(f"Error{MASKED}")
    # The same, as a message of its own: what Celery itself tells of a failure.
    body = {"args": [*re.findall(r"[0-9a-f-]{36}", unopened["args"]), 1]}
    assert up.ask_flower("/api/task/async-apply/tactics.query_item", method="POST", body=body).status == 200
    up.until(lambda: len(_named(up, "query_item", "FAILURE")) > 1, "it failed again")
    up.until(lambda: _reason(engine, "routing"), "routing failed")
    assert _visit(app, "granting")["not_shown"][0]["reason"] == "error"
    _shows_nobody(up)


def _reason(engine: Engine, user: str) -> bool:
    with engine.connect() as conn:
        query = text("SELECT attempts FROM event WHERE user_id = :user")
        return bool(conn.execute(query, {"user": f"{MARK}-{user}"}).scalar_one() > 1)


@pytest.mark.parametrize(
    "message",
    [
        _behaviour("a", rule_key=f"{MARK}-rule"),
        _behaviour("b", **{f"{MARK}_member": 1}),
        _behaviour("c", attributes={f"{MARK}_key": float("inf")}),
        {**_behaviour("d"), "time": f"{MARK}-yesterday"},
        {**_behaviour("e"), "time": "1999-01-01T00:00:00Z"},
        {**_behaviour("f"), "source": f"tactics.behaviour/{MARK}"},
        f"{MARK} is no event",
    ],
    ids=["unknown rule key", "strange member", "no number", "no time", "too old", "reserved source", "no event"],
)
def test_a_refused_event_shows_that_it_was_refused(up: Up, app: TacticsApp, message: Any) -> None:
    """An event handed in as a task and refused is a failure with its kind; what it said is masked."""
    sent = app.send_task("tactics.ingest_event", (message,), queue="prepare").id
    task = up.until(lambda: _ended(up, sent), "the refusal in Flower")
    assert (task["state"], task["args"], task["kwargs"]) == ("FAILURE", MASKED, MASKED)
    assert task["exception"] == f"BadInput{MASKED}"
    _shows_nobody(up, ["/tasks", "/api/tasks", *_of_task(sent)])


def _ended(up: Up, task_id: str) -> dict[str, Any] | None:
    answer = up.ask_flower(f"/api/task/info/{task_id}")
    found = answer.data if answer.status == 200 else {}
    return found if found.get("state") in {"SUCCESS", "FAILURE"} else None


def test_a_wrong_call_shows_nothing_of_what_was_said(up: Up, app: TacticsApp) -> None:
    """Arguments by a wrong name, and tasks by a wrong name, are failures without what they carried."""
    wrong = app.send_task("tactics.ingest_event", kwargs={f"{MARK}_event": _behaviour("g")}, queue="prepare").id
    assert up.until(lambda: _ended(up, wrong), "the failure")["exception"] == f"TypeError{MASKED}"
    unknown = app.send_task("tactics.ingest_evnt", (_behaviour("h"),), queue="prepare").id
    task = up.until(lambda: _ended(up, unknown), "the unknown task")
    assert task["exception"] == "NotRegistered('tactics.ingest_evnt')"
    _shows_nobody(up)


def test_events_that_wait_for_the_database_show_nothing(up: Up, app: TacticsApp, trips: Callable[..., None]) -> None:
    """While events cannot be stored, and their messages are held, neither tasks nor the worker's page tell of them."""
    trips(f"CREATE TRIGGER storing {_UNTIL_STORED} FOR EACH ROW EXECUTE FUNCTION trip('storing')")
    for number in range(3):
        app.send_task("tactics.ingest_event", (_behaviour(f"storing-{number}"),), queue="prepare")
    worker = _worker(up)

    def held() -> bool:
        (found,) = up.ask_flower(f"/api/workers?refresh=1&workername={quote(worker)}").data.values()
        return any(one["name"] == "tactics.ingest_event" for one in [*found["active"], *found["reserved"]])

    up.until(held, "the worker tells of it")
    _shows_nobody(up)
    trips("DROP TRIGGER storing ON event")
    up.until(lambda: not held(), "all are stored")


def test_steps_started_from_flower_change_nothing(up: Up, app: TacticsApp, engine: Engine) -> None:
    """Every step of an execution that ended, started again from Flower with its ids, leaves everything as it is."""
    submit_events(app, [_behaviour("again")])
    user = f"{MARK}-again"

    def everything() -> list[Any]:
        with engine.connect() as conn:
            found = [
                conn.execute(text(f"SELECT * FROM {table} WHERE user_id = :user"), {"user": user}).all()  # noqa: S608  # ours
                for table in ("execution", "instance", "event", "grant_record", "asset")
            ]
        return [*found, app.runtime.redis.get(prepared_key("tea", user))]

    up.until(lambda: [row.outcome for row in everything()[0]] == ["prepared"], "it is prepared")
    before = everything()
    args = [str(before[0][0].id), before[0][0].attempts]
    started = []
    for _ in range(2):
        for step in STEPS:
            path = f"/api/task/async-apply/tactics.{step}"
            started.append(up.ask_flower(path, method="POST", body={"args": args}).data["task-id"])
    ended = up.until(lambda: (found := [_ended(up, one) for one in started]) and all(found) and found, "all ran")
    assert {one["state"] for one in ended} == {"SUCCESS"}
    assert everything() == before

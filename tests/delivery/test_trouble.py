"""Whatever goes wrong inside a segment: nothing of it is written, nothing is left held, and it is known why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Literal

import pytest
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from tactics.errors import TacticsError
from tactics.runtime import connect_redis
from tactics.store.lease import lease_key
from tactics.store.statement import Statement
from tests.delivery.findings import audited, unended
from tests.delivery.stage import Stage, behaviour

NOWHERE = "redis://127.0.0.1:1/0"
Where = Literal["statement", "commit", "reply"]


class Cut:
    """Cuts the database connection once: before a statement, before a commit, or after one (its reply is lost)."""

    def __init__(self, where: Where, number: int) -> None:
        """Cut at the `number`th."""
        self.where, self.left, self.made = where, number, False

    def statement(self, _: Any, cursor: Any, *__: object) -> None:
        """Count a statement."""
        if self.where == "statement":
            self._count(cursor.connection)

    def plain_statement(self, conn: Any) -> None:
        """Count a statement that goes to the driver as it is."""
        if self.where == "statement":
            self._count(conn.connection.driver_connection)

    def commit(self, conn: Any) -> None:
        """Count a commit."""
        connection = conn.connection.dbapi_connection
        if self.where == "reply" and self.left == 1:
            connection.commit()
        if self.where != "statement":
            self._count(connection)

    def _count(self, connection: Any) -> None:
        self.left -= 1
        if self.left == 0:
            self.made = True
            connection.close()


@contextmanager
def cutting(stage: Stage, where: Where, number: int) -> Iterator[Cut]:
    """Cut one connection of the stage's process while this lasts."""
    cut = Cut(where, number)
    run = Statement._run

    def counted(statement: Statement, conn: Any, parameters: Any) -> Any:
        if conn.engine is stage.engine:
            cut.plain_statement(conn)
        return run(statement, conn, parameters)

    event.listen(stage.engine, "before_cursor_execute", cut.statement)
    event.listen(stage.engine, "commit", cut.commit)
    patch = pytest.MonkeyPatch()
    patch.setattr(Statement, "_run", counted)
    try:
        yield cut
    finally:
        patch.undo()
        event.remove(stage.engine, "before_cursor_execute", cut.statement)
        event.remove(stage.engine, "commit", cut.commit)


def held(stage: Stage) -> list[str]:
    """Give what is still held: locks on instances, database connections."""
    pool: Any = stage.engine.pool
    connections = [f"{pool.checkedout()} connections"] if pool.checkedout() else []
    return [str(key) for key in stage.redis.keys("tactics:lease:*")] + connections


def prepare(stage: Stage, user_id: str, number: object, **attributes: Any) -> None:
    """Submit a behaviour event and deliver it here."""
    stage.submit(behaviour(user_id, number, **attributes))
    stage.deliver("tactics.route_events", [["test", f"e{number}", 1]])


def reasons(stage: Stage) -> list[str]:
    """Give why executions have not gone well."""
    return [row["reason"] for row in stage.rows("SELECT reason FROM execution ORDER BY created_at")]


@pytest.mark.parametrize("where", ["statement", "commit", "reply"])
def test_a_placement_whose_connection_is_cut_anywhere_grants_once(stage: Stage, where: Where) -> None:
    """Wherever a placement loses its connection, nothing stays held, and the same request again gives one grant."""
    stage.import_activity()
    prepare(stage, "u0", 0)
    for number in range(1, 100):
        user_id = f"u{number}"
        prepare(stage, user_id, number)
        with cutting(stage, where, number) as cut, suppress(SQLAlchemyError, TacticsError):
            stage.visit(user_id, key=f"k{number}")
        assert not held(stage), f"after a cut at {where} {number}"
        answers = [stage.shown(user_id, key=f"k{number}"), stage.shown(user_id)]
        assert answers[0].get("outcome") in {"granted", "replayed"} or answers[0]["reason"] == "error"
        assert answers[1]["outcome"] in {"granted", "reused"}
        assert stage.value("SELECT count(*) FROM grant_record WHERE user_id = :u", u=user_id) == 1
        if not cut.made:
            break
    assert number > {"statement": 4, "commit": 1, "reply": 1}[where]
    assert not audited(stage)


@pytest.mark.parametrize("where", ["statement", "commit", "reply"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_preparation_whose_connection_is_cut_anywhere_ends(
    open_stage: Callable[..., Stage], where: Where, in_place: bool
) -> None:
    """Wherever a preparation loses its connection, nothing stays held, and the sweeper brings it to its one end."""
    stage = open_stage(claim_s=0.2, in_place=in_place)
    stage.import_activity()
    for number in range(1, 100):
        stage.submit(behaviour(f"u{number}", number))
        with cutting(stage, where, number) as cut:
            with suppress(SQLAlchemyError, TacticsError):
                stage.deliver("tactics.route_events", [["test", f"e{number}", 1]])
            stage.deliver_published()
        pool: Any = stage.engine.pool
        assert pool.checkedout() == 0, f"after a cut at {where} {number}"
        if not cut.made:
            break
    assert number > {"statement": 8, "commit": 2, "reply": 2}[where]
    stage.work_until_the_end()
    outcomes = stage.rows("SELECT outcome, count(*) AS n FROM execution GROUP BY 1")
    assert outcomes == [{"outcome": "prepared", "n": number}]
    assert not audited(stage)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_step_that_cannot_tell_whether_it_applies_has_failed(
    open_stage: Callable[..., Stage], in_place: bool
) -> None:
    """An error in `when` of the very first step is recorded like any other, and holds nothing."""
    stage = open_stage(in_place=in_place)
    stage.import_activity(template_type="misjudged")
    prepare(stage, "u1", 1)
    stage.deliver_published()
    assert reasons(stage) == ["ask_wrongly: KeyError: 'nobody_gave_this'"]
    if in_place:
        assert stage.shown("u1")["reason"] == "error"
    assert not held(stage)


def test_data_that_no_message_can_carry_fails_where_the_chain_hops(open_stage: Callable[..., Stage]) -> None:
    """A context that is not plain data fails its step at a hop as it does in place, and holds nothing."""
    stage = open_stage(in_place=False)
    stage.import_activity()
    prepare(stage, "u1", 1, trouble="odd")
    stage.deliver_published()
    assert reasons(stage) == [
        "make_trouble: TypeError: context field 'odd' is not plain data: Object of type set is not JSON serializable"
    ]
    assert not held(stage)
    stage.work_until_the_end()
    assert stage.value("SELECT outcome FROM execution") == "prepared"


def test_a_step_that_leaves_the_process_leaves_nothing_behind(stage: Stage) -> None:
    """SystemExit goes through; what the segment held is given back and nothing of it is written."""
    stage.import_activity()
    prepare(stage, "u1", 1)
    with pytest.raises(SystemExit):
        stage.visit("u1", attributes={"trouble": "exit"})
    assert not held(stage)
    assert stage.value("SELECT count(*) FROM execution WHERE link = 'grant'") == 0
    assert stage.shown("u1")["outcome"] == "granted"


@pytest.mark.parametrize("link", ["prepare", "grant"])
def test_no_lock_stays_where_no_connection_is_to_be_had(stage: Stage, link: str) -> None:
    """An execution that gets its lock but no database connection gives the lock back."""
    stage.import_activity()
    prepare(stage, "u1", 1)
    stage.submit(behaviour("u1", 2))
    calls = iter(range(100))

    def refuse(*_: object) -> None:
        if stage.redis.exists(lease_key("camp18", "u1")):
            next(calls)
            raise ConnectionRefusedError

    event.listen(stage.engine, "checkout", refuse)
    try:
        with suppress(ConnectionRefusedError):
            if link == "grant":
                stage.visit("u1")
            else:
                stage.deliver("tactics.route_events", [["test", "e2", 1]])
    finally:
        event.remove(stage.engine, "checkout", refuse)
    assert next(calls) > 0
    assert not held(stage)


def test_without_redis_a_placement_is_answered_all_the_same(stage: Stage) -> None:
    """A placement under a key is granted and answered once, though no lock and no prepared data can be had."""
    stage.import_activity()
    prepare(stage, "u1", 1)
    working = stage.app.runtime
    stage.app._runtime = (os.getpid(), replace(working, redis=connect_redis(NOWHERE, 2.0)))
    try:
        first, second = stage.shown("u1", key="k"), stage.shown("u1", key="k")
    finally:
        stage.app._runtime = (os.getpid(), working)
    assert first["outcome"] == "granted"
    assert second == first
    assert not audited(stage)


def test_an_unknown_template_stops_nobody_else(stage: Stage) -> None:
    """An activity whose template no process here knows waits alone: others on its channels are prepared and granted."""
    stage.import_activity()
    stage.import_activity(code="strange", template_type="of_a_plugin_that_is_not_here")
    stage.submit(behaviour("u1", 1))
    stage.deliver("tactics.route_events", [["test", "e1", 1]])
    stage.run_sql("UPDATE execution SET next_attempt_at = now() - interval '1 s' WHERE finished_at IS NULL")
    stage.sweep()
    assert unended(stage) == ["execution prepare of u1"]
    waiting = stage.rows("SELECT activity_code, reason FROM execution WHERE finished_at IS NULL")
    assert waiting[0]["activity_code"] == "strange"
    assert "is its plugin loaded here?" in waiting[0]["reason"]
    answer = stage.visit("u1")
    assert [part["outcome"] for part in answer.results] == ["granted"]
    assert [(part["activity"], part["reason"]) for part in answer.not_shown] == [("strange", "error")]
    (failed,) = stage.rows("SELECT id::text, reason FROM execution WHERE outcome = 'error'")
    assert failed["id"] in answer.execution_ids
    assert "is its plugin loaded here?" in failed["reason"]


def test_a_key_gives_its_answer_after_the_activity_ended(stage: Stage) -> None:
    """The same request under the same key is answered as then, though the activity is over by now."""
    stage.import_activity()
    prepare(stage, "u1", 1)
    first = stage.visit("u1", key="k")
    stage.run_sql("UPDATE activity SET ends_at = now() - interval '1 s'")
    assert not stage.visit("u1").results
    assert stage.visit("u1", key="k") == first

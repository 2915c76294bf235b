"""`tactics.ingest_event`: a message is done with when its event is stored or refused, and not before."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import event

from tactics.celery_app import MASKED, MaskedRequest
from tactics.errors import DatabaseDown
from tactics.flows import accepting, action
from tests.driving import Drive, Maker, acted

TASK = "tactics.ingest_event"


def _ingest(drive: Drive, message: Any) -> tuple[str | None, bool]:
    """Deliver; tell how it ended, and whether the message is put back."""
    info = drive.deliver(TASK, message)
    return (None, False) if info is None else (info.state, getattr(info.retval, "requeue", False))


@pytest.fixture
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "REQUEUE_WAIT_S", 0.0)


@pytest.mark.usefixtures("_no_wait")
def test_only_what_is_stored_or_refused_is_done_with(driven: Maker) -> None:
    """Without a database the message goes back; with one it is stored; a refused event's message does not go back."""
    away = driven(database_url="postgresql://nobody@127.0.0.1:1/x")
    drive, message = driven(), acted("1", id="a")
    assert _ingest(away, message) == ("REJECTED", True)
    assert _ingest(away, message) == ("REJECTED", True)
    assert _ingest(drive, message) == (None, False)
    assert _ingest(drive, message) == (None, False)
    assert drive.rows("SELECT id, outcome FROM event") == [("a", "routed")]
    assert _ingest(drive, acted("1", quantity=-1)) == ("FAILURE", False)
    assert _ingest(drive, acted("2", id="a")) == ("FAILURE", False)


@pytest.mark.usefixtures("_no_wait")
def test_time_limit_before_it_is_stored_puts_it_back(drive: Drive) -> None:
    """The soft time limit, striking while the event is being stored, puts the message back."""

    def strike(*_: object) -> None:
        raise SoftTimeLimitExceeded

    event.listen(drive.runtime.engine, "before_cursor_execute", strike)
    assert _ingest(drive, acted("1")) == ("REJECTED", True)
    event.remove(drive.runtime.engine, "before_cursor_execute", strike)
    assert _ingest(drive, acted("1")) == (None, False)


def test_time_limit_while_it_waits_puts_it_back(driven: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft time limit, striking while a message is held for a moment, does not lose it."""
    away = driven(database_url="postgresql://nobody@127.0.0.1:1/x")
    held = Mock(side_effect=SoftTimeLimitExceeded)
    monkeypatch.setattr("tactics.flows.action.time.sleep", held)
    assert _ingest(away, acted("1")) == ("REJECTED", True)
    held.assert_called_once_with(action.REQUEUE_WAIT_S)


def test_once_stored_its_message_is_done_with(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that goes away after an event was stored puts no message back: the sweeper routes the event."""
    stored = Mock(wraps=accepting.store_events)
    monkeypatch.setattr(accepting, "store_events", stored)

    def fail_later(*_: object) -> None:
        if stored.called:
            raise DatabaseDown

    event.listen(drive.runtime.engine, "before_cursor_execute", fail_later)
    assert _ingest(drive, acted("1")) == ("FAILURE", False)
    event.remove(drive.runtime.engine, "before_cursor_execute", fail_later)
    assert drive.value("SELECT routed_at FROM event") is None
    drive.settle()
    assert drive.value("SELECT outcome FROM event") == "routed"


def _delivery(drive: Drive, **options: Any) -> MaskedRequest:
    sent = drive.app.amqp.as_task_v2("1", TASK, (acted("a-secret-user"),), {"x": "a-secret-word"})
    delivered = Mock(headers=sent.headers, properties={}, delivery_info={})
    return MaskedRequest(delivered, app=drive.app, body=sent.body, decoded=True, headers=sent.headers, **options)


def test_killed_at_the_hard_limit_its_message_goes_back(drive: Drive) -> None:
    """At the hard time limit the message is not acknowledged: nobody knows whether its event was stored."""
    rejected, acknowledged = Mock(), Mock()
    request = _delivery(drive, on_reject=rejected, on_ack=acknowledged)
    request.on_timeout(soft=False, timeout=1)
    assert rejected.call_args.args[-1] is True
    assert not acknowledged.called


@pytest.mark.parametrize("safe", [False, True])
def test_inspection_shows_no_arguments(drive: Drive, safe: bool) -> None:
    """What a worker answers to `inspect`, which Flower asks, has none of the event's content."""
    found = _delivery(drive).info(safe=safe)
    assert (found["args"], found["kwargs"], found["name"]) == (MASKED, MASKED, TASK)
    assert "a-secret" not in repr(found)

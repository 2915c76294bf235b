"""The barrier: it opens when everything accepted has ended, and says so when nothing ends any more."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from tactics.demo import barrier
from tactics.demo.barrier import NeverQuiet, wait_until_done
from tactics.domain.event import Event
from tactics.runtime import Runtime
from tactics.store import events

OPEN = Event("t", "1", "action", "1", None, {"user_id": "1"}, datetime(2017, 11, 1, tzinfo=UTC))


def _accept(runtime: Runtime) -> None:
    with runtime.engine.begin() as conn:
        events.accept(conn, [OPEN], 60)


def test_it_opens_when_the_last_one_ends(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an event is open the barrier holds, and looks at its check; once it is routed, it opens."""
    monkeypatch.setattr(barrier, "CHECK_EVERY_S", 0.0)
    wait_until_done(runtime.engine)
    _accept(runtime)
    checked = threading.Event()
    waiting = threading.Thread(target=wait_until_done, args=(runtime.engine, checked.set))
    waiting.start()
    assert checked.wait(30)
    assert waiting.is_alive()
    with runtime.engine.begin() as conn:
        events.mark_routed(conn, [OPEN.key], "routed")
    waiting.join(30)
    assert not waiting.is_alive()


def test_it_gives_up_when_nothing_ends(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its patience the barrier raises, with the number of what is open."""
    monkeypatch.setattr(barrier, "CHECK_EVERY_S", 0.0)
    _accept(runtime)
    with pytest.raises(NeverQuiet, match="1 events and executions") as caught:
        wait_until_done(runtime.engine, patience_s=0.05)
    assert caught.value.fields == {"unfinished": 1}


def test_a_failed_check_ends_the_wait(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the check says that the workers are gone, waiting ends with what it says."""
    monkeypatch.setattr(barrier, "CHECK_EVERY_S", 0.0)
    _accept(runtime)

    def gone() -> None:
        raise RuntimeError("the worker is gone")

    with pytest.raises(RuntimeError, match="the worker is gone"):
        wait_until_done(runtime.engine, gone)

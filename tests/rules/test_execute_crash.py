"""Whatever fails and in whatever order it is tried again: each effect happens once, and none is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tactics.rules import Effect, Execution, Handlers, Ledger, MemoryLedger, SqliteLedger, execute, resume

BLOCKS = [f"shop.action.give_{place}" for place in range(3)]
EFFECTS = [{"block": block, "params": {"place": place}, "times": 1} for place, block in enumerate(BLOCKS)]
LEASE_S = 60.0


class Crash(BaseException):
    """The process dies here, as far as the handler and the ledger can tell."""


class Deaf(SqliteLedger):
    """A ledger that a dying process no longer reaches: its last word is never written."""

    def failed(self, idempotency_id: str, index: int, attempt: int, error: str, *, in_doubt: bool) -> None:
        if not error.startswith("Crash"):
            super().failed(idempotency_id, index, attempt, error, in_doubt=in_doubt)


class Shop:
    """Whoever is asked to give: what it gave by id, how often it was asked, and what goes wrong on the way."""

    def __init__(self, faults: Iterator[str]) -> None:
        self.given: dict[str, int] = {}
        self.asked: Counter[str] = Counter()
        self.faults = faults

    def give(self, effect: Effect, idempotency_id: str) -> object:
        """Give once per id, as an idempotent service does; the fault comes before or after it."""
        self.asked[idempotency_id] += 1
        fault = next(self.faults, "none")
        if fault == "crash before":
            raise Crash
        if fault == "error before":
            raise TimeoutError
        self.given.setdefault(idempotency_id, effect.params["place"])
        if fault == "crash after":
            raise Crash
        if fault == "error after":
            raise TimeoutError
        return self.given[idempotency_id]


FAULTS = st.lists(st.sampled_from(["none", "error before", "error after", "crash before", "crash after"]), max_size=12)


def attempt(handlers: Handlers, name: str, ledger: Ledger) -> Execution | None:
    """Execute once; None when the process died of it."""
    try:
        return execute(EFFECTS, handlers, name, ledger)
    except Crash:
        return None


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=60, deadline=None)
@given(faults=FAULTS, names=st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=8))
def test_repeatable_handlers_do_each_effect_once_and_all_of_them(
    kind: str, faults: list[str], names: list[str]
) -> None:
    """After any failures, repeats and crashes, resuming completes every id, and each effect was given under one id."""
    shop, now, handlers = Shop(iter(faults)), [0.0], Handlers()
    handlers.on(*BLOCKS)(shop.give)
    ledger: Ledger = MemoryLedger() if kind == "memory" else Deaf(":memory:", lease_s=LEASE_S, clock=lambda: now[0])
    for name in names:
        attempt(handlers, name, ledger)
        now[0] += LEASE_S
    while ledger.unfinished():
        for name, _ in ledger.unfinished():
            attempt(handlers, name, ledger)
            now[0] += LEASE_S
    assert shop.given == {f"{name}:{place}": place for name in set(names) for place in range(3)}
    final = [execute(EFFECTS, handlers, name, ledger) for name in set(names)]
    assert all(one.complete and [each.value for each in one.results] == [0, 1, 2] for one in final)
    if not faults:
        assert set(shop.asked.values()) == {1}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=60, deadline=None)
@given(faults=FAULTS)
def test_a_handler_that_is_not_repeatable_is_asked_once(kind: str, faults: list[str]) -> None:
    """It is never called a second time; each effect is done or said to be in doubt, and settling completes the id."""
    shop, now, handlers = Shop(iter(faults)), [0.0], Handlers()
    handlers.on(*BLOCKS, repeatable=False)(shop.give)
    ledger: Ledger = MemoryLedger() if kind == "memory" else Deaf(":memory:", lease_s=LEASE_S, clock=lambda: now[0])
    last = None
    for _ in range(len(EFFECTS) + 1):
        last = attempt(handlers, "a", ledger)
        now[0] += LEASE_S
    assert last is not None
    assert set(shop.asked.values()) == {1}
    assert {one.status for one in last.results} <= {"repeated", "done", "in_doubt"}
    for one in last.results:
        happened = one.idempotency_id in shop.given
        if one.status == "in_doubt":
            assert ledger.settle("a", one.index, happened=happened)
        else:
            assert happened
    shop.faults = iter([])
    (after,) = resume(handlers, ledger) or (execute(EFFECTS, handlers, "a", ledger),)
    assert after.complete
    assert shop.given == {f"a:{place}": place for place in range(3)}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_of_threads_with_one_id_one_runs_each_effect(kind: str, tmp_path: Path) -> None:
    """Eight at once: each effect is asked for once, and the others are told that it is in progress or done."""
    ledger: Ledger = MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / "done.db")
    for name in ("a", "b", "c"):
        shop, handlers, together = Shop(iter([])), Handlers(), threading.Barrier(8)
        handlers.on(*BLOCKS)(shop.give)

        def run(handlers: Handlers = handlers, together: Any = together, name: str = name) -> Execution:
            together.wait(30)
            return execute(EFFECTS, handlers, name, ledger)

        with ThreadPoolExecutor(8) as pool:
            found = [one.result() for one in [pool.submit(run) for _ in range(8)]]
        assert shop.asked == {f"{name}:{place}": 1 for place in range(3)}
        told = Counter((each.index, each.status) for one in found for each in one.results)
        assert {told[place, "done"] for place in range(3)} == {1}
        assert {status for _, status in told} <= {"done", "repeated", "in_progress"}
    if isinstance(ledger, SqliteLedger):
        ledger.close()


def test_another_thread_is_told_that_an_effect_is_in_progress() -> None:
    """While a handler runs, a second caller gets its answer at once, and is not complete."""
    inside, leave, handlers = threading.Event(), threading.Event(), Handlers()

    @handlers.on(*BLOCKS)
    def give(effect: Effect, idempotency_id: str) -> None:
        inside.set()
        assert leave.wait(30)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(execute, EFFECTS[:1], handlers, "a")
        assert inside.wait(30)
        second = execute(EFFECTS[:1], handlers, "a")
        leave.set()
        assert first.result().complete
    assert (second.complete, second.results[0].status) == (False, "in_progress")


def test_a_claim_that_lapsed_is_taken_over_and_the_late_comer_changes_nothing(tmp_path: Path) -> None:
    """Until its lease ends it is in progress; a late failure is ignored, a late success counts, and done stays done."""
    now = [0.0]
    ledger = SqliteLedger(tmp_path / "done.db", lease_s=LEASE_S, clock=lambda: now[0])
    ledger.open("a", "[]", 2)
    late = [ledger.begin("a", place, repeatable=True) for place in range(2)]
    now[0] = LEASE_S - 1
    assert ledger.begin("a", 0, repeatable=True).state == "in_progress"
    now[0] = LEASE_S
    taken = [ledger.begin("a", place, repeatable=True) for place in range(2)]
    assert [one.state for one in taken] == ["yours", "yours"]
    ledger.failed("a", 0, late[0].attempt, "late", in_doubt=False)
    assert ledger.begin("a", 0, repeatable=True).state == "in_progress"
    ledger.done("a", 1, '"late"')
    ledger.failed("a", 1, taken[1].attempt, "too late", in_doubt=True)
    ledger.done("a", 1, '"second"')
    assert ledger.begin("a", 1, repeatable=True).value == '"late"'
    ledger.close()


def test_pruning_forgets_old_ids_that_are_finished(tmp_path: Path) -> None:
    """What has effects left stays, and so does what is young."""
    now = [0.0]
    ledger = SqliteLedger(tmp_path / "done.db", clock=lambda: now[0])
    for name, ended in (("old", True), ("left", False)):
        ledger.open(name, "[]", 1)
        ledger.begin(name, 0, repeatable=True)
        if ended:
            ledger.done(name, 0, "1")
    now[0] = 100.0
    ledger.open("young", "[]", 0)
    assert ledger.prune(older_than_s=50.0) == 1
    assert [name for name in ("old", "left", "young") if ledger.look(name)] == ["left", "young"]
    assert ledger.begin("old", 0, repeatable=True).state == "in_progress"
    ledger.close()


CHILD = """
import json, os, sys
from pathlib import Path
from tactics.rules import Handlers, SqliteLedger, execute

folder, crash, effects = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
handlers = Handlers()

def give(effect, idempotency_id):
    if crash == f"before {effect.params['place']}":
        os._exit(9)
    with open(folder / idempotency_id, "a") as file:
        file.write(str(os.getpid()) + "\\n")
    if crash == f"after {effect.params['place']}":
        os._exit(9)

handlers.on(*(effect["block"] for effect in effects))(give)
if crash == "at once":
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.readline()
execution = execute(effects, handlers, "a", SqliteLedger(folder / "done.db"))
print(json.dumps([one.status for one in execution.results]))
"""


def child(folder: Path, crash: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(folder), crash, json.dumps(EFFECTS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("crash", [f"{moment} {place}" for place in range(3) for moment in ("before", "after")])
@pytest.mark.parametrize("repeatable", [True, False])
def test_once_survives_a_process_that_dies(tmp_path: Path, crash: str, repeatable: bool) -> None:
    """Killed around any effect, the next process does the rest; the one it died at is repeated, or in doubt."""
    dead = child(tmp_path, crash)
    dead.communicate(timeout=60)
    assert dead.returncode == 9
    died_at, done_before = int(crash[-1]), sorted(path.name for path in tmp_path.glob("a:*"))
    shop, now, handlers = Shop(iter([])), [0.0], Handlers()
    handlers.on(*BLOCKS, repeatable=repeatable)(shop.give)
    real = SqliteLedger(tmp_path / "done.db")
    now_after = SqliteLedger(tmp_path / "done.db", clock=lambda: now[0])
    assert [one.status for one in execute(EFFECTS, handlers, "a", real).results][died_at] == "in_progress"
    now[0] = 1e12
    (execution,) = resume(handlers, now_after)
    statuses = [one.status for one in execution.results]
    assert statuses[died_at] == ("done" if repeatable else "in_doubt")
    assert [status for place, status in enumerate(statuses) if place != died_at] == ["repeated"] * 2
    given = {*done_before, *shop.given}
    assert given >= {f"a:{place}" for place in range(3) if place != died_at}
    assert (f"a:{died_at}" in given) == (repeatable or crash.startswith("after"))
    if not repeatable:
        assert f"a:{died_at}" not in shop.asked
        assert now_after.settle("a", died_at, happened=True)
    assert execute(EFFECTS, handlers, "a", now_after).complete
    for ledger in (real, now_after):
        ledger.close()


def test_of_processes_with_one_id_one_runs_each_effect(tmp_path: Path) -> None:
    """Four processes at the same moment on one file: each effect happened in one of them."""
    SqliteLedger(tmp_path / "done.db").close()
    running = [child(tmp_path, "at once") for _ in range(4)]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    printed = [one.communicate(timeout=60)[0] for one in running]
    assert [one.returncode for one in running] == [0] * 4
    for place in range(3):
        assert len((tmp_path / f"a:{place}").read_text().splitlines()) == 1
        assert sum(json.loads(text)[place] == "done" for text in printed) == 1


def test_ledgers_on_one_file_wait_for_each_other(tmp_path: Path) -> None:
    """Four connections that open and claim the same ids at once: each effect is done by one, and none fails over it."""
    ledgers = [SqliteLedger(tmp_path / "done.db") for _ in range(4)]
    shop, handlers, together = Shop(iter([])), Handlers(), threading.Barrier(4)
    handlers.on(*BLOCKS)(shop.give)

    def run(ledger: Ledger) -> list[Execution]:
        found = []
        for number in range(15):
            together.wait(60)
            found.append(execute(EFFECTS, handlers, f"{number}", ledger))
        return found

    with ThreadPoolExecutor(4) as pool:
        found = [one for each in [pool.submit(run, ledger) for ledger in ledgers] for one in each.result()]
    assert {each.status for one in found for each in one.results} <= {"done", "repeated", "in_progress"}
    assert shop.asked == {f"{number}:{place}": 1 for number in range(15) for place in range(3)}
    for ledger in ledgers:
        ledger.close()


def test_a_ledger_is_not_carried_over_a_fork(tmp_path: Path) -> None:
    """SQLite forbids it, so the child is told to open its own."""
    ledger = SqliteLedger(tmp_path / "done.db")
    ledger._process = os.getpid() + 1
    with pytest.raises(RuntimeError, match="open one in each process"):
        ledger.look("a")
    ledger.close()

"""Counting: what a family tells apart, what several processes count together, and that it never gets in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tactics import metrics
from tactics.cli.together import counting_together
from tactics.config import Settings
from tactics.embedded.home import LOOPBACK, free_port
from tactics.errors import GatewayError
from tactics.gateways.http import HttpRecall
from tests.counting import counting, counts_of
from tests.gateways.recaller import answers, recalling, waits

TOGETHER = """
import os, signal, sys
from tactics import metrics
from tactics.cli.together import counting_together
from tactics.config import Settings

metrics.keep_in(sys.argv[1])
metrics.EVENTS.count("action", "accepted")
left, right = os.pipe()
children = []
for how in ("ends", "forgotten", "killed"):
    child = os.fork()
    if not child:
        metrics.EVENTS.count("action", "accepted", by=10)
        metrics.ROUTING_LAG.observe(0.2, "action")
        metrics.INBOX_WAITING.set(2)
        metrics.KEYS_READ_AT.set(7 + len(children))
        with metrics.TASKS_RUNNING.one():
            os.write(right, b"x")
            if how != "ends":
                signal.pause()
        os._exit(0)
    children.append(child)
for _ in children:
    os.read(left, 1)
os.waitpid(children[0], 0)
print(metrics.shown().decode(), end="---")
os.kill(children[1], signal.SIGKILL)
metrics.forget_process(children[1])
os.kill(children[2], signal.SIGKILL)
for child in children[1:]:
    os.waitpid(child, 0)
print(metrics.shown().decode(), end="")
"""
NOWHERE = """
import os, sys
from tactics import metrics
from tactics.cli.together import counting_together
from tactics.config import Settings

metrics.keep_in(sys.argv[1])
os.rmdir(sys.argv[1])
for _ in range(2):
    metrics.EVENTS.count("action", "accepted")
    metrics.ROUTING_LAG.observe(0.2, "action")
    with metrics.TASKS_RUNNING.one():
        print("went on")
"""


def _python(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)


def test_processes_count_together(tmp_path: Path) -> None:
    """Any process gives the sum over all that keep their counts in one folder; what those that died were doing is forgotten."""
    first, _, second = _python(TOGETHER, tmp_path / "metrics").stdout.partition("---")
    during, after = counts_of(first), counts_of(second)
    for found in (during, after):
        assert found['tactics_events_total{outcome="accepted",type="action"}'] == 31
        assert found['tactics_routing_lag_seconds_count{type="action"}'] == 3
    assert (during["tactics_tasks_running"], after.get("tactics_tasks_running", 0)) == (2, 0)
    assert (during["tactics_inbox_waiting_events"], after.get("tactics_inbox_waiting_events", 0)) == (4, 0)
    assert (during["tactics_keys_read_timestamp_seconds"], after.get("tactics_keys_read_timestamp_seconds", 0)) == (
        9,
        0,
    )
    assert "# HELP tactics_sweeps_total Runs of the sweeper." in first
    assert "# HELP tactics_events_total Events handed in" in first
    left = metrics.emptied(tmp_path / "metrics")
    assert list(left.iterdir()) == []


def test_what_cannot_be_counted_is_let_be(tmp_path: Path) -> None:
    """A folder that is gone costs the counts and one line in the log, never the work."""
    done = _python(NOWHERE, tmp_path / "gone")
    assert done.stdout == "went on\n" * 2
    assert done.stderr.count("nothing can be counted") == 1


def test_values_that_are_not_ours_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the most that are told apart, the open label says `other`, and the others stay as they are."""
    monkeypatch.setattr(metrics, "FAMILIES", [])
    family = metrics.Counter("tactics_tried_total", "Tried.", "activity", "outcome", open_label="activity", most=2)
    for code in ("a", "b", "c", "d", "a"):
        family.count(code, "granted")
    family.count("e", "reused", by=0)
    family.count("e", "reused", by=3)
    found = counts_of(metrics.shown().decode())
    assert found == {
        'tactics_tried_total{activity="a",outcome="granted"}': 2,
        'tactics_tried_total{activity="b",outcome="granted"}': 1,
        'tactics_tried_total{activity="other",outcome="granted"}': 2,
        'tactics_tried_total{activity="other",outcome="reused"}': 3,
    }


def test_a_level_is_told_once_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not know it says its name alone: a worker's 0 would look like an API whose keys were never read."""
    monkeypatch.setattr(metrics, "FAMILIES", [])
    level = metrics.Level("tactics_level", "How high.", over="max")
    assert metrics.shown().decode() == "# HELP tactics_level How high.\n# TYPE tactics_level gauge\n"
    for value in (7, 3):
        level.set(value)
    assert counts_of(metrics.shown().decode()) == {"tactics_level": 3}


def test_calls_of_providers_are_counted_by_how_they_end() -> None:
    """An answer, none in time, nobody there, and one that breaks the contract: each is counted, with how long it took."""
    with counting() as changed:
        good: dict[str, object] = {"items": []}
        for answer in (good, {"items": 7}):
            with recalling(answers(answer)) as recaller:
                asked = HttpRecall(recaller.url, 5.0)
                try:
                    asked.candidates("u", ["1"], 3)
                except GatewayError:
                    assert answer["items"] == 7
                asked.close()
        with recalling(waits) as silent:
            for url, patience_s in ((f"http://{LOOPBACK}:{free_port()}", 5.0), (silent.url, 0.05)):
                asked = HttpRecall(url, patience_s)
                with pytest.raises(GatewayError):
                    asked.candidates("u", ["1"], 3)
                asked.close()
    calls = 'tactics_provider_calls_total{outcome="%s",provider="recall"}'
    assert changed == {
        **{calls % outcome: 1 for outcome in ("ok", "bad_answer", "unreachable", "timeout")},
        'tactics_provider_seconds_count{provider="recall"}': 4,
    }


def test_counts_are_served_where_there_is_no_api() -> None:
    """A worker's own address serves them; when it is taken that is an error, for whoever asked to say."""
    port = free_port()
    end = metrics.serve(LOOPBACK, port)
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert b"# TYPE tactics_sweeps_total counter" in answer.read()
        with pytest.raises(OSError, match="in use"):
            metrics.serve(LOOPBACK, port)
    finally:
        end()


def test_counting_costs_microseconds() -> None:
    """It is done many times for each placement, so it may cost next to nothing: far from 50 µs even on a busy machine."""
    times = 2_000
    started = time.thread_time()
    for _ in range(times):
        metrics.EVENTS.count("action", "accepted")
        metrics.PLACEMENT_SECONDS.observe(0.003, "ok")
    assert (time.thread_time() - started) / times < 50e-6


def test_nothing_is_opened_by_importing(tmp_path: Path) -> None:
    """A process that counts nothing makes nothing: neither files nor the library's own state."""
    program = "import sys, tactics.metrics; print('prometheus_client' in sys.modules)"
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == "False\n"
    assert list(tmp_path.iterdir()) == []


def test_processes_of_one_command_share_a_folder(tmp_path: Path) -> None:
    """Several get one of their own, which goes with them; one alone, or where a folder is set, none."""
    name = "TACTICS_METRICS_DIR"
    with counting_together(Settings(), 2):
        folder = Path(os.environ[name])
        assert folder.is_dir()
    assert not folder.exists()
    for settings, processes in ((Settings(), 1), (Settings(metrics_dir=str(tmp_path)), 2)):
        with counting_together(settings, processes):
            assert name not in os.environ

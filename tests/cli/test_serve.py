"""`tactics worker` and `tactics beat`, as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tactics.config import Settings
from tactics.worker import make_app

TACTICS = [sys.executable, "-c", "from tactics.cli import main; main()"]


def _until(found: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    until = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < until, f"not in time: {what}"
        time.sleep(0.1)
    return value


@pytest.mark.parametrize("command", ["worker", "beat"])
def test_worker_and_beat_refuse_to_start_without_servers(command: str, tmp_path: Path) -> None:
    """Nobody takes events into a throw-away database by mistake: both addresses are asked for, by name."""
    env = {**os.environ, "TACTICS_HOME": str(tmp_path)}
    ended = subprocess.run([*TACTICS, command], check=False, capture_output=True, text=True, env=env)
    assert ended.returncode == 2
    assert f"`tactics {command}` needs TACTICS_DATABASE_URL and TACTICS_REDIS_URL" in ended.stderr
    half = {**env, "TACTICS_REDIS_URL": "redis://127.0.0.1:1/0"}
    ended = subprocess.run([*TACTICS, command], check=False, capture_output=True, text=True, env=half)
    assert (ended.returncode, "needs TACTICS_DATABASE_URL:" in ended.stderr) == (2, True)


def test_worker_serves_the_queues_it_is_given(environment: dict[str, str], settings: Settings) -> None:
    """`tactics worker` becomes a Celery worker with these queues and processes, and ends with 0 when told to."""
    args = ["worker", "-Q", "ops,grant", "-c", "1", "--name", "extra@%h"]
    worker = subprocess.Popen([*TACTICS, *args], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    app = make_app(settings)
    try:
        replies = _until(lambda: app.control.broadcast("stats", reply=True, timeout=0.5, limit=1), "the worker")
        ((name, stats),) = replies[0].items()
        assert name.startswith("extra@")
        assert (stats["pid"], stats["pool"]["max-concurrency"]) == (worker.pid, 1)
        queues = app.control.inspect(destination=[name], limit=1).active_queues()[name]
        assert {queue["name"] for queue in queues} == {"ops", "grant"}
        worker.terminate()
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        worker.wait()
        app.close()


def test_beat_wakes_the_sweeper_up(environment: dict[str, str], settings: Settings) -> None:
    """`tactics beat` publishes sweeps, makes its home where it is missing, and ends with 0 when told to."""
    beat = subprocess.Popen([*TACTICS, "beat"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with redis.Redis.from_url(settings.redis_url) as client:
            _until(lambda: client.llen("ops"), "a sweep")
            message = json.loads(client.lrange("ops", 0, 0)[0])
            assert message["headers"]["task"] == "tactics.sweep"
            assert client.llen("prepare") == 0
        beat.terminate()
        assert beat.wait(30) == 0
    finally:
        beat.kill()
        beat.wait()

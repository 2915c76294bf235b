"""What processes log, and what they must not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tactics.runtime import Runtime

_PROGRAM = """
import logging, sys, structlog
from tactics.logs import configure_logs

configure_logs(sys.argv[1])
structlog.get_logger("shop").info("granted", execution="e1")
logging.getLogger("other").warning("disk %s", "full")
logging.getLogger("celery.app.trace").info("task ended")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("shop").exception("failed")
"""


def _logged(level: str) -> list[dict[str, str]]:
    ended = subprocess.run([sys.executable, "-c", _PROGRAM, level], check=True, capture_output=True, text=True)
    assert ended.stdout == ""
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_both_kinds_of_records_are_json_lines() -> None:
    """Without a terminal each record is one line of JSON on standard error, tracebacks included, whoever logs it."""
    granted, disk, failed = _logged("INFO")
    assert (granted["event"], granted["level"], granted["execution"]) == ("granted", "info", "e1")
    assert (disk["event"], disk["logger"]) == ("disk full", "other")
    assert "ZeroDivisionError" in failed["exception"]
    assert all(one["timestamp"].endswith("Z") for one in (granted, disk, failed))


def test_level_decides_and_debug_shows_every_task() -> None:
    """Records below the level are left out; at DEBUG Celery tells of each task too."""
    assert [one["event"] for one in _logged("ERROR")] == ["failed"]
    assert "task ended" in [one["event"] for one in _logged("DEBUG")]


def test_database_errors_hold_no_data_of_users(runtime: Runtime) -> None:
    """An error of a statement says what went wrong, without the values: it goes to the log."""
    with runtime.engine.connect() as conn, pytest.raises(DBAPIError) as raised:
        conn.execute(text("SELECT :email / 0"), {"email": "ada@example.org"})
    assert "ada@example.org" not in str(raised.value).split("[SQL:")[1]

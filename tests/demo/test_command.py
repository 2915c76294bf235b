"""`tactics demo` as a person runs it: its end, its interruption, and what it says of wrong wishes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tactics.cli.app import app
from tactics.demo.choice import choose
from tactics.demo.data import Data
from tactics.demo.plan import make_plan
from tactics.embedded.home import temporary
from tests.demo.counting import Count

COMMAND = [sys.executable, "-c", "from tactics.cli import main; main()", "demo"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for temporary homes that the servers' account may enter."""
    made = temporary()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _environment(place: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(place), "COLUMNS": "100"}


def _until(found: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
    until = time.monotonic() + timeout_s
    while not found():
        assert time.monotonic() < until, f"not in time: {what}"
        time.sleep(0.02)


def _processes(place: Path) -> list[str]:
    """Give the processes that work in a home below `place`, by command line or environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if any(f"{place}/tactics-".encode() in one for one in told):
            found.append(told[0].decode())
    return found


def test_it_ends_with_a_summary_for_people_and_machines(data: Data, place: Path) -> None:
    """Exit 0; the file has the counts that plain Python finds; people read figures and answers; nothing is left over."""
    file = place / "summary.json"
    done = subprocess.run(
        [*COMMAND, "--campaign", "13", "--actions", "1500", "--json", str(file)],
        env=_environment(place),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    counted = Count(make_plan(choose({13}, 1_500), data)).found
    assert {name: figures[name] for name in counted} == counted
    assert (figures["lost"], figures["stuck"], figures["over_issued"]) == (0, 0, 0)
    for words in ("is granted a coupon", "still holds it", "comes too late", "Where to go next", "worth 1.00 USD"):
        assert words in done.stdout
    assert "Replaying" in done.stderr
    assert [one.name for one in place.iterdir()] == ["summary.json"]
    assert _processes(place) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_interrupted_in_the_middle_it_leaves_nothing_behind(number: signal.Signals, code: int, place: Path) -> None:
    """Ctrl-C exits with 130 and SIGKILL as it may; servers, workers and the home are gone, and no figures are written."""
    command = [*COMMAND, "--json", str(place / "summary.json")]
    with subprocess.Popen(command, env=_environment(place), stderr=subprocess.PIPE, text=True) as process:
        _until(lambda: any(one.stat().st_size for one in place.glob("*/acknowledged.tsv")), "the replay runs")
        process.send_signal(number)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == code
    assert "Traceback" not in said
    _until(lambda: not list(place.iterdir()) and not _processes(place), "everything is gone")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--all", "--actions", "5"], "not for both"),
        (["--actions", "0"], "at least 1"),
        (["--campaign", "99"], "there are 1 to 27"),
        (["--json", "no/such/folder/summary.json"], "cannot write no/such/folder/summary.json"),
    ],
)
def test_wrong_wishes_are_said_before_anything_starts(arguments: list[str], said: str, place: Path) -> None:
    """What cannot be replayed or written ends with 2 and a sentence, and no servers were started for it."""
    done = CliRunner().invoke(app, ["demo", *arguments], env={"TMPDIR": str(place)})
    assert done.exit_code == 2
    assert said in done.stderr
    assert list(place.iterdir()) == []

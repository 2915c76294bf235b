"""The benchmarks themselves: all figures that are promised, and never one that was not measured."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from tests.bench import __main__ as program
from tests.bench import flame, suite
from tests.bench.size import QUICK
from tests.bench.stage import MeasureFailed

RAW = """\
<module> (/somewhere/lib/python3.11/site-packages/celery/__main__.py:3);visit (tactics/flows/placement.py:80);\
Connection.commit (psycopg/connection.py:10);Connection.wait (psycopg/connection.py:20) 30
<module> (x.py:3);visit (tactics/flows/placement.py:81);Cursor.execute (psycopg/cursor.py:1);\
Connection.wait (psycopg/connection.py:21) 50
<module> (x.py:3);visit (tactics/flows/placement.py:82);evaluate (/somewhere/tactics/rules/engine.py:5) 15
<module> (x.py:3);visit (tactics/flows/placement.py:82);loads (/usr/lib/python3.11/json/decoder.py:5) 5
<module> (x.py:4);something_else (x.py:9) 1000
"""


def test_every_promised_key_has_a_measure_and_an_aim() -> None:
    """The ten keys are measured, each by one measure, and each has an aim."""
    assert sorted(suite.KEYS) == sorted(suite.AIMS)
    assert len(suite.KEYS) == len(set(suite.KEYS)) == 10


def test_a_measure_runs_and_its_figures_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick run writes finite numbers, the asked key among them."""
    file = tmp_path / "figures.json"
    key = "placement_p50_over_floor"
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--only", key, "--json", str(file)])

    assert program.main() == 0

    figures = json.loads(file.read_text())
    assert figures[key] > 0
    assert all(isinstance(value, float) and math.isfinite(value) for value in figures.values())


@pytest.mark.parametrize("found", [{}, {"one": math.nan}, {"one": math.inf}])
def test_a_key_without_a_finite_number_fails_the_measure(found: dict[str, float]) -> None:
    """What is missing or no number is an error, not a figure."""
    with pytest.raises(MeasureFailed, match="one"):
        suite.take(suite.Measure(lambda _: found, ("one",)), QUICK)


def test_a_failed_measure_ends_the_run_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When a measure fails, the exit code says so, and the file has no figure of it; the others' are kept."""

    def fails(_: object) -> dict[str, float]:
        raise MeasureFailed("nothing happened")

    measures = [suite.Measure(fails, ("one",)), suite.Measure(lambda _: {"two": 2.0}, ("two",))]
    monkeypatch.setattr(suite, "MEASURES", measures)
    file = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--json", str(file)])

    assert program.main() == 1

    assert json.loads(file.read_text()) == {"two": 2.0}
    assert "without figures: one" in capsys.readouterr().err


def test_samples_are_told_apart_by_their_innermost_known_frame() -> None:
    """Each sample counts for one part; what does not run below the chosen function counts for none."""
    counted = flame.shares(flame.read(RAW, "visit"))

    assert {part: round(share, 2) for part, share in counted.items() if share} == {
        "waiting for Postgres: commit": 0.30,
        "waiting for Postgres: statements": 0.50,
        "domain and rules": 0.15,
        "engine: flows, steps, stores": 0.05,
    }


def test_pictures_name_no_folder_of_the_machine_and_are_small() -> None:
    """A picture holds file names below the packages only, and the milliseconds of its frames."""
    drawn = flame.svg(flame.read(RAW, "visit"), "A placement", 10.0)

    assert "/somewhere" not in drawn
    assert "/usr" not in drawn
    assert "Connection.commit (psycopg/connection.py): 3.000 ms, 30.0%" in drawn
    assert len(drawn) < 10_000

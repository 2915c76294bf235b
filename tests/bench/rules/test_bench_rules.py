"""The benchmarks of rules: all figures that are promised, and none of a contestant that answers differently."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.rules import __main__ as program
from tests.bench.rules import beside, hand, ours, peers, suite, verify
from tests.bench.rules.facts import orders
from tests.bench.rules.size import FULL, TINY
from tests.bench.stage import MeasureFailed

PROMISED = {
    "r1_over_hand",
    "r2_over_hand",
    "r3_over_hand",
    "r1_over_bare",
    "r2_over_bare",
    "r3_over_bare",
    "calculate_over_hand",
    "rules_1000_over_hand",
    "rules_10000_over_1000",
    "compile_us",
    "why_over_plain",
    "peers",
    "peers_json",
}


def test_every_promised_figure_is_measured() -> None:
    """A run without any peer gives all keys as finite numbers; from JSON the hand-written functions stand alone."""
    figures = suite.take(TINY, names=())

    assert figures.keys() >= PROMISED
    assert set(figures) == set(suite.KEYS)
    assert figures["peers"] == {}
    assert figures["peers_json"].keys() == {"hand"}
    numbers = [value for value in figures.values() if not isinstance(value, dict)]
    numbers += figures["peers_json"]["hand"].values()
    assert all(math.isfinite(number) and number > 0 for number in numbers)


def test_a_peer_has_a_ratio_for_each_work_and_one_that_is_not_installed_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A peer's four ratios are told by name; a missing package is null, with the reason beside it."""

    def load(name: str) -> Any:
        if name == "gone":
            raise ImportError("No module named 'gone'")
        return dataclasses.replace(hand.BARE, name=name)

    monkeypatch.setattr(peers, "load", load)

    figures = suite.take(TINY, only=["peers"], names=("there", "gone"))

    assert figures["peers"]["there"].keys() == {"r1", "r2", "r3", "rules_1000"}
    assert figures["peers"]["gone"] is None
    assert "No module named" in figures["peers_missing"]["gone"]
    suite.show(figures)


def test_a_contestant_that_answers_differently_is_not_timed() -> None:
    """One answer that differs from ours fails the measure, for single rules, for sets and from JSON."""
    wrong = dataclasses.replace(hand.BARE, single=lambda: {**hand.BARE.single(), "r2": lambda _: 201})
    with pytest.raises(MeasureFailed, match="bare on r2 answers 201"):
        beside.measure({"bare": wrong}, TINY)

    forgetful = dataclasses.replace(hand.BARE, many=lambda _: lambda _: [])
    with pytest.raises(MeasureFailed, match="rules answers"):
        beside.measure({"bare": forgetful}, FULL_ORDERS)

    blind = dataclasses.replace(hand.BARE, from_json=lambda: {**hand.BARE.from_json(), "r1": lambda _: None})
    with pytest.raises(MeasureFailed, match="bare on r1 from JSON"):
        beside.measure_json({"bare": blind}, FULL_ORDERS)


FULL_ORDERS = dataclasses.replace(TINY, orders=FULL.orders, some=200)


@pytest.mark.parametrize("name", ours.SINGLE)
def test_the_rules_hold_for_some_of_the_orders_and_fail_for_others(name: str) -> None:
    """What is timed takes both ways, and answers as the hand-written function does, also where facts leave things out."""
    given = verify.ours_are_by_hand(name, orders(FULL.orders))

    assert {answer is None for answer in given} == {True, False}


def test_an_aim_that_is_missed_is_named() -> None:
    """A figure above its aim, and a peer that is not behind us, are told; those that meet it are not."""
    figures = {
        "r1_over_hand": 1.2,
        "r2_over_hand": 1.0,
        "peers": {"one": {"r1": 0.9, "r2": 2.0}, "gone": None},
        "peers_json": {"one": {"r1": 1.0}},
    }

    assert suite.missed(figures) == ["r1_over_hand", "peers.one.r1", "peers_json.one.r1"]


def test_a_run_writes_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program writes the asked figures as JSON and ends well; a mismatch ends it with an error and no file."""
    file = tmp_path / "figures.json"
    monkeypatch.setattr(program, "QUICK", TINY)
    monkeypatch.setattr(sys, "argv", ["bench-rules", "--quick", "--only", "why_over_plain", "--json", str(file)])

    assert program.main() == 0
    assert json.loads(file.read_text())["why_over_plain"] > 0

    file.unlink()
    monkeypatch.setitem(suite.MEASURES, ("why_over_plain",), _fails)
    assert program.main() == 1
    assert not file.exists()


def _fails(_: object) -> dict[str, float]:
    raise MeasureFailed("answers differ")

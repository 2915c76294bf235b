"""A short run of what `make fuzz` does for long, and that it would tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from tests.fuzz.properties import PROPERTIES
from tests.fuzz.rules import Campaign, fuzz, main, shown


def test_a_short_run_finds_nothing() -> None:
    """Codec, checker, evaluator and prices hold for some seconds of random input, each of them tried."""
    said: list[str] = []
    campaign, failures = fuzz(5, 20240303, say=said.append)
    assert not failures, said
    assert campaign.tried >= len(PROPERTIES)


def no_seven(number: int) -> None:
    assert number < 7


def campaign_of(seed: int) -> tuple[Campaign, list[str]]:
    said: list[str] = []
    return Campaign(seed, {no_seven: (st.integers(0, 1000),)}, said.append), said


def test_what_is_found_is_told_with_its_seed_and_the_smallest_input() -> None:
    """A property that does not hold ends the run of it, and is told so that anybody can see it fail."""
    campaign, said = campaign_of(3)
    (failure,) = campaign.run(60)
    assert (failure.name, failure.seed, failure.given) == ("no_seven", 3, (7,))
    assert "seed 3" in said[0]
    assert "no_seven(\n    7,\n)" in said[0]


def test_a_seed_says_what_is_tried() -> None:
    """The same seed finds the same after the same number of examples."""
    runs = []
    for _ in range(2):
        campaign, said = campaign_of(5)
        campaign.run(60)
        runs.append((campaign.tried, said))
    assert runs[0] == runs[1]


def test_a_failure_ends_in_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And a run that finds nothing in 0; the last line counts."""
    monkeypatch.setattr("tests.fuzz.rules.PROPERTIES", {no_seven: (st.integers(0, 1000),)})
    assert main(["--seconds", "60", "--seed", "1", "--only", "no_seven"]) == 1
    assert capsys.readouterr().out.endswith(" 1 failures\n")
    monkeypatch.setattr("tests.fuzz.rules.PROPERTIES", {no_seven: (st.integers(0, 5),)})
    assert main(["--seconds", "0.2"]) == 0


@pytest.mark.parametrize(
    ("given", "text"),
    [(10**5000, "10**5000"), ("\ud800é", "'\\ud800\\xe9'"), ({"a": [1]}, "{'a': [1]}")],
    ids=["long", "letters", "data"],
)
def test_input_is_told_as_python_reads_it(given: Any, text: str) -> None:
    """Short and in plain ASCII, whatever it is."""
    assert shown(given) == text

"""Fuzz the rule engine: codec, checker, evaluator and prices, until the time is up.

    make fuzz ARGS="--seconds 600 --seed 1"

What is tried depends on the seed alone, how much of it on the time. A property that failed is shrunk, printed with the
input that makes it fail, and not tried again in that run. Exit code 1 when there is any.
"""

from __future__ import annotations

import argparse
import faulthandler
import re
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import hypothesis
from hypothesis import strategies as st

from tests.fuzz.properties import PROPERTIES, timed

EXAMPLES = 100
PROGRESS_S = 10.0
# A hang shows where it hangs, instead of running for ever. Shrinking what was found takes at most five minutes.
PATIENCE_S = 900.0
SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    derandomize=False,
    report_multiple_bugs=False,
    print_blob=False,
    phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    suppress_health_check=list(hypothesis.HealthCheck),
    verbosity=hypothesis.Verbosity.quiet,
)


@dataclass(frozen=True)
class Failure:
    """A property that does not hold, on the smallest input that was found."""

    name: str
    seed: int
    turn: int
    given: tuple[Any, ...]
    error: str

    def __str__(self) -> str:
        arguments = "\n".join(f"    {shown(one)}," for one in self.given)
        return (
            f"FAILED {self.name} (seed {self.seed}, turn {self.turn})\n{self.error}\n"
            f"reproduce with\nfrom tests.fuzz.properties import {self.name}\n{self.name}(\n{arguments}\n)"
        )


def shown(given: Any) -> str:
    """The input as Python reads it, integers of any length included, in plain ASCII."""
    digits = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return re.sub(r"10{99,}", lambda found: f"10**{len(found[0]) - 1}", ascii(given))
    finally:
        sys.set_int_max_str_digits(digits)


@dataclass
class Campaign:
    """One run: its seed, the properties still tried, and what was found."""

    seed: int
    properties: dict[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]
    say: Callable[[str], None]
    tried: int = 0
    turns: int = 0

    def run(self, seconds: float) -> list[Failure]:
        """Try every property in turn, so many examples at a time, until the time is up."""
        start = told = time.monotonic()
        failures: list[Failure] = []
        for turn in count():
            for holds, strategies in list(self.properties.items()):
                if time.monotonic() - start >= seconds:
                    return failures
                failure = self._try(holds, strategies, turn)
                if failure is not None:
                    failures.append(failure)
                    del self.properties[holds]
                    self.say(str(failure))
                if time.monotonic() - told >= PROGRESS_S:
                    told = time.monotonic()
                    self.say(f"{told - start:.0f} s: {self.tried} examples, {len(failures)} failures")
            self.turns = turn + 1
            if not self.properties:
                return failures
        raise AssertionError

    def _try(
        self, holds: Callable[..., None], strategies: Sequence[st.SearchStrategy[Any]], turn: int
    ) -> Failure | None:
        last: tuple[Any, ...] = ()

        @hypothesis.seed(f"{self.seed}/{turn}/{holds.__name__}")
        @SETTINGS
        @hypothesis.given(st.tuples(*strategies))
        def attempt(given: tuple[Any, ...]) -> None:
            nonlocal last
            self.tried += 1
            last = given
            timed(holds, *given)

        try:
            attempt()
        except Exception as error:  # noqa: BLE001 -- whatever a property raises is what was looked for
            text = "".join(traceback.format_exception(error, limit=-3))
            return Failure(holds.__name__, self.seed, turn, last, text)
        return None


def fuzz(
    seconds: float, seed: int, only: Sequence[str] = (), say: Callable[[str], None] = print
) -> tuple[Campaign, list[Failure]]:
    """Fuzz for so many seconds; `only` names the properties to try. Returns the run, and what was found."""
    chosen = {holds: drawn for holds, drawn in PROPERTIES.items() if not only or holds.__name__ in only}
    campaign = Campaign(seed, chosen, say)
    return campaign, campaign.run(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m tests.fuzz.rules`."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    names = [holds.__name__ for holds in PROPERTIES]
    parser.add_argument("--only", action="append", default=[], choices=names)
    options = parser.parse_args(arguments)
    faulthandler.dump_traceback_later(options.seconds + PATIENCE_S, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        campaign, failures = fuzz(options.seconds, options.seed, options.only, lambda text: print(text, flush=True))
    finally:
        faulthandler.cancel_dump_traceback_later()
    print(f"seed {options.seed}: {campaign.tried} examples, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The parts of `make chaos`, each run by itself: prints what came of it, writes its figures, tells whether all held."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tactics.embedded.home import temporary
from tests.chaos.broken import BUILDS
from tests.chaos.catching import catches, directed
from tests.chaos.figures import Figures
from tests.chaos.plain.running import run_plain
from tests.chaos.seed import run_seed
from tests.chaos.shape import Shape

_ROOT = Path(__file__).parents[2]
_TOLD = 20
_COUNTED = ("lost", "over_issued", "stuck")
_BOUNDARY = re.compile(r"(passes|survives) .* (before|after)( \d+)?$", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """What is asked for: how much, of which seeds, and where what is left of a run is to stay."""

    shape: Shape
    seeds: Sequence[int]
    examples: int
    keep: str | None
    figures: Figures

    def home(self, name: str) -> Path:
        """Make a folder that the servers' account may enter."""
        home = Path(self.keep) / name if self.keep else temporary()
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o755)
        return home

    def clear(self, home: Path) -> None:
        """Remove it again, unless it is to stay."""
        if self.keep is None:
            shutil.rmtree(home, ignore_errors=True)


def run_seeds(asked: Asked) -> bool:
    """Run seeds; what one leaves stays where something does not hold."""
    good = True
    for seed in asked.seeds:
        home = asked.home(str(seed))
        result = run_seed(asked.shape, seed, home)
        told = result.to_json()
        asked.figures.add("seeds", told)
        counts = ", ".join(f"{told[name]} {name}" for name in (*_COUNTED, "wrong"))
        _say(f"seed {seed}: {told['events']} events, {told['faults']} faults; {counts}; {told['seconds']['whole']} s")
        for one in result.findings[:_TOLD]:
            _say(f"  {one.check}: {one.text}")
        if result.findings or asked.keep:
            print(f"  the histories are in {home}", file=sys.stderr)
        else:
            asked.clear(home)
        good = good and not result.findings
    return good


def run_broken(asked: Asked) -> bool:
    """Run each broken build, which must be caught, and the product as it is in the same run, which must pass."""
    rows = []
    for name, build in BUILDS.items():
        found = {}
        for whole in (False, True):
            home = asked.home(f"{name}-{'whole' if whole else 'broken'}")
            found[whole] = directed(name, home, whole=whole)
            asked.clear(home)
        by = sorted(catches(name, found[False]))
        wrong = [f"{one.check}: {one.text}" for one in found[True].findings]
        rows.append({"name": name, "why": build.why, "caught_by": by, "whole_findings": wrong})
        _say(f"broken build {name} ({build.why}): caught by {', '.join(by) or 'NOBODY'}")
        for one in wrong[:_TOLD]:
            _say(f"  as it is, the product does not pass the same run: {one}")
    asked.figures.put("broken_builds", rows)
    _say(f"broken builds: {sum(bool(one['caught_by']) for one in rows)} of {len(rows)} caught")
    return all(one["caught_by"] and not one["whole_findings"] for one in rows)


def run_failpoints(asked: Asked) -> bool:
    """Let a process die at every boundary of every journey, once at each."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "tests/chaos/test_failpoints.py"]
    ran = subprocess.run(
        command, cwd=_ROOT, env={**os.environ, "CHAOS": "full"}, stdout=subprocess.PIPE, text=True, check=False
    )
    told = [one.group(1) for one in _BOUNDARY.finditer(ran.stdout)]
    figures = {"boundaries": told.count("passes"), "passed": told.count("survives")}
    asked.figures.put("failpoints", figures)
    _say(f"failpoints: {figures['passed']} of {figures['boundaries']} boundaries; {time.monotonic() - begun:.0f} s")
    if ran.returncode:
        print(ran.stdout[ran.stdout.find("= FAILURES") :], file=sys.stderr)
    return ran.returncode == 0 and figures["passed"] == figures["boundaries"] > 0


def run_machine(asked: Asked) -> bool:
    """Try lives of grants against paper."""
    command = [sys.executable, "-m", "tests.chaos.lives", "--examples", str(asked.examples)]
    good = subprocess.run(command, cwd=_ROOT, check=False).returncode == 0
    asked.figures.put("machine", {"examples": asked.examples, "held": good})
    return good


def run_beside(asked: Asked) -> bool:
    """Run the same seeds on the plain chain. Whatever comes of it fails nothing: that is what it is there to show."""
    for seed in asked.seeds:
        home = asked.home(f"plain-{seed}")
        told = run_plain(asked.shape, seed, home).to_json()
        asked.figures.add("plain", told)
        counts = ", ".join(f"{told[name]} {name}" for name in _COUNTED)
        _say(
            f"plain chain, seed {seed}: {told['events']} events, {told['faults']} faults; {counts}; {told['seconds']} s"
        )
        asked.clear(home)
    return True


def _say(text: str) -> None:
    print(text, flush=True)


PARTS: Mapping[str, Callable[[Asked], bool]] = MappingProxyType(
    {
        "broken": run_broken,
        "seeds": run_seeds,
        "failpoints": run_failpoints,
        "machine": run_machine,
        "plain": run_beside,
    }
)
DEFAULT: Sequence[str] = tuple(name for name in PARTS if name != "plain")


def table(figures: Mapping[str, Any]) -> str:
    """Give what was found as lines to read, one for each seed."""
    names = ("seed", "events", "faults", *_COUNTED)
    rows: list[Sequence[str]] = [(*names, "broken_builds_caught")]
    for row in figures.get("seeds", ()):
        caught = row["broken_builds_caught"]
        rows += [[*(str(row[name]) for name in names), "-" if caught is None else str(len(caught))]]
    for row in figures.get("plain", ()):
        rows += [[f"plain {row['seed']}", *(str(row[name]) for name in names[1:]), "-"]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows)

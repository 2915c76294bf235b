"""`python -m tests.chaos`: seeds one after another, each with everything failing; and the builds that must be caught."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from tactics.embedded.home import temporary
from tests.chaos.broken import BUILDS
from tests.chaos.catching import catches, caught, directed
from tests.chaos.plan import make_plan
from tests.chaos.seed import Result, run_seed
from tests.chaos.shape import Shape

_QUICK, _TOLD = 0.05, 20


def main() -> int:
    """Run what the arguments ask for; 1 when something does not hold, or a broken build gets away."""
    asked = _asked()
    shape = Shape().scaled(asked.scale) if asked.scale != 1 else Shape()
    seeds = [asked.seed] if asked.seed is not None else list(range(1, asked.seeds + 1))
    if asked.plan:
        for seed in seeds:
            for fault in make_plan(seed, shape):
                print(json.dumps({"seed": seed, **fault.to_json()}))
        return 0
    rows: list[dict[str, Any]] = []
    good = True
    for seed in seeds:
        result = _run(shape, seed, asked.keep)
        builds = _caught(seed, asked.keep) if asked.broken else None
        rows.append({**result.to_json(), "broken_builds_caught": None if builds is None else len(builds)})
        good = good and not result.findings and (builds is None or len(builds) == len(BUILDS))
        if asked.json:
            Path(asked.json).write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if good else 1


def _run(shape: Shape, seed: int, keep: str | None) -> Result:
    """Run a seed; what it leaves stays where something does not hold."""
    home = _home(keep, str(seed))
    result = run_seed(shape, seed, home)
    told = result.to_json()
    counts = ", ".join(f"{told[name]} {name}" for name in ("lost", "over_issued", "stuck", "wrong"))
    print(f"seed {seed}: {told['events']} events, {told['faults']} faults; {counts}; {told['seconds']['whole']} s")
    for one in result.findings[:_TOLD]:
        print(f"  {one.check}: {one.text}")
    if keep or result.findings:
        print(f"  the histories are in {home}", file=sys.stderr)
    else:
        shutil.rmtree(home, ignore_errors=True)
    return result


def _caught(seed: int, keep: str | None) -> list[str]:
    """Run each broken build, and give those that the checker caught."""
    results = []
    for name, build in BUILDS.items():
        home = _home(keep, f"{seed}-{name}")
        result = directed(name, home, seed=seed)
        results.append((name, result))
        found = ", ".join(sorted(catches(name, result))) or "NOBODY"
        print(f"  broken build {name} ({build.why}): caught by {found}; {result.seconds['whole']:.0f} s")
        if keep is None:
            shutil.rmtree(home, ignore_errors=True)
    return caught(results)


def _home(keep: str | None, name: str) -> Path:
    """Make a folder that the servers' account may enter."""
    home = Path(keep) / name if keep else temporary()
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    return home


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--json", help="write figures to this file")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 1 on")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the load, the faults and the time")
    parser.add_argument("--quick", dest="scale", action="store_const", const=_QUICK, help="the short run")
    parser.add_argument("--keep", metavar="FOLDER", help="keep logs and histories there")
    parser.add_argument("--no-broken", dest="broken", action="store_false", help="leave the broken builds out")
    parser.add_argument("--plan", action="store_true", help="print the faults, and let nothing happen")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

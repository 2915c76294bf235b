"""`python -m tests.chaos`: seeds one after another, each with everything failing; and the builds that must be caught."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from tactics.embedded.home import temporary
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
    for seed in seeds:
        result = _run(shape, seed, asked.keep)
        caught = _caught(seed, asked.keep) if asked.broken else {}
        rows.append(
            {**result.to_json(), "broken_builds_caught": f"{sum(caught.values())}/{len(caught)}", "builds": caught}
        )
        if asked.json:
            Path(asked.json).write_text(json.dumps(rows, indent=2) + "\n")
    return 1 if any(row["findings"] or not all(row["builds"].values()) for row in rows) else 0


def _run(shape: Shape, seed: int, keep: str | None, build: str | None = None) -> Result:
    """Run a seed; what it leaves stays where something does not hold that should."""
    home = Path(keep) / f"{seed}{f'-{build}' if build else ''}" if keep else temporary()
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    result = run_seed(shape, seed, home, build)
    _tell(result, build)
    if keep or (result.findings and build is None):
        print(f"  the histories are in {home}", file=sys.stderr)
    else:
        shutil.rmtree(home, ignore_errors=True)
    return result


def _caught(seed: int, keep: str | None) -> dict[str, bool]:
    """Run each broken build, and tell whether the checker caught it by what it is expected to break."""
    from tests.chaos import broken

    found = {}
    for name, build in broken.BUILDS.items():
        result = _run(Shape().scaled(_QUICK).but(**build.shape), seed, keep, name)
        found[name] = bool(build.expected & {one.check for one in result.findings})
        print(f"  broken build {name}: {'caught' if found[name] else 'NOT CAUGHT'} ({build.why})")
    return found


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


def _tell(result: Result, build: str | None) -> None:
    told = result.to_json()
    counts = ", ".join(f"{told[name]} {name}" for name in ("lost", "over_issued", "stuck", "wrong"))
    of = f", broken build {build}" if build else ""
    print(
        f"seed {result.seed}{of}: {told['events']} events, {told['faults']} faults; {counts}; {told['seconds']['whole']} s"
    )
    for one in result.findings[: _TOLD if build is None else 3]:
        print(f"  {one.check}: {one.text}")


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.chaos.plain`: seeds one after another on the plain Celery chain, with the figures that Tactics has too."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from tactics.embedded.home import temporary
from tests.chaos.plain.running import run_plain
from tests.chaos.shape import Shape

_QUICK = 0.05
_FAULTS = (
    "kills",
    "stops",
    "cuts",
    "dropped_replies",
    "stalls",
    "valkey_kills",
    "flushes",
    "postgres_stops",
    "clock_jumps",
)


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.plain", description=__doc__)
    parser.add_argument("--json", help="write figures to this file")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 1 on")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the load, the faults and the time")
    parser.add_argument("--quick", dest="scale", action="store_const", const=_QUICK, help="the short run")
    parser.add_argument("--no-faults", action="store_true", help="let nothing fail")
    asked = parser.parse_args()
    shape = Shape().scaled(asked.scale) if asked.scale != 1 else Shape()
    if asked.no_faults:
        nothing = dict.fromkeys(("provider_times_out", "provider_breaks", "provider_refuses"), 0.0)
        shape = shape.but(**dict.fromkeys(_FAULTS, 0), **nothing)
    rows = []
    for seed in [asked.seed] if asked.seed is not None else range(1, asked.seeds + 1):
        home = temporary()
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o755)
        rows.append(run_plain(shape, seed, home).to_json())
        shutil.rmtree(home, ignore_errors=True)
        print(
            " ".join(
                f"{name}={rows[-1][name]}" for name in ("seed", "events", "faults", "lost", "over_issued", "stuck")
            )
        )
        if asked.json:
            Path(asked.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

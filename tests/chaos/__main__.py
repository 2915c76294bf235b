"""`python -m tests.chaos`: everything fails, and what came of it is checked.

On two cores, one part after another:

    broken      builds with one protection taken out, each of which the checker must catch: five minutes
    seeds       load with everything failing: eight minutes for each seed
    failpoints  a process that dies at each boundary of each journey, once at each: five minutes
    machine     10,000 lives of grants against paper: ten minutes
    plain       (not by default) the same seeds on a plain Celery chain: eight minutes for each
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.chaos.figures import Figures
from tests.chaos.parts import DEFAULT, PARTS, Asked, table
from tests.chaos.plan import make_plan
from tests.chaos.shape import Shape

_QUICK = 0.05
_EXAMPLES = 10_000


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
    figures = Figures(Path(asked.json) if asked.json else None)
    chosen = Asked(shape, seeds, max(1, round(asked.examples * min(1.0, asked.scale))), asked.keep, figures)
    parts = asked.only or [*DEFAULT, *(["plain"] if asked.plain else [])]
    good = [PARTS[name](chosen) for name in PARTS if name in parts]
    print(table(figures.found))
    return 0 if all(good) else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", metavar="FILE", help="write figures to this file; those of parts not run stay in it")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 1 on")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part alone; may be repeated")
    parser.add_argument("--plain", action="store_true", help="also the plain chain")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of load, faults, time and examples")
    parser.add_argument("--quick", dest="scale", action="store_const", const=_QUICK, help="the short run")
    parser.add_argument("--examples", type=int, default=_EXAMPLES, help="how many lives the machine tries")
    parser.add_argument("--keep", metavar="FOLDER", help="keep logs and histories there")
    parser.add_argument("--plan", action="store_true", help="print the faults, and let nothing happen")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

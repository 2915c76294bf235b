"""`make bench`: how the engine compares with what it stands on. Each figure is a ratio within one run.

Engine and baselines take turns on the same machine, over loopback, with everything durable; figures are medians of
several rounds. What exactly is timed is said at the top of each measure's module in tests/bench.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path

from tests.bench import suite
from tests.bench.size import FULL, QUICK


def main() -> int:
    """Take the measures that were asked for, show them, and say what failed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    parser.add_argument("--only", nargs="+", metavar="KEY", choices=suite.KEYS, help="only what gives these keys")
    parser.add_argument("--quick", action="store_true", help="few events: shows that measures work, not what they give")
    args = parser.parse_args()
    figures: dict[str, float] = {}
    failed: list[str] = []
    for measure in suite.chosen(args.only):
        try:
            figures |= suite.take(measure, QUICK if args.quick else FULL)
        except Exception:  # noqa: BLE001  # the other measures still hold
            failed += measure.keys
            traceback.print_exc()
    suite.show(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    if failed:
        print(f"failed, and without figures: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make bench-rules`: rules beside hand-written Python and beside other rule engines. Each figure is from one run.

All contestants judge the same facts, 20 orders of 20 lines, and must give the same answers before they are timed. They
take turns; figures are medians over the rounds. What exactly is timed is said at the top of each module here.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.bench.rules import suite
from tests.bench.rules.size import FULL, QUICK
from tests.bench.stage import MeasureFailed


def main() -> int:
    """Take the measures that were asked for, and show them; 1 when a contestant answers differently."""
    parser = argparse.ArgumentParser(prog="make bench-rules", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    parser.add_argument("--only", nargs="+", metavar="KEY", choices=suite.KEYS, help="only what gives these keys")
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it works, not what it gives")
    args = parser.parse_args()
    try:
        figures = suite.take(QUICK if args.quick else FULL, args.only)
    except MeasureFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    suite.show(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

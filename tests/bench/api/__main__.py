"""`make bench-api`: the API by HTTP, beside a bare FastAPI endpoint that commits one row. Each figure is of one run.

`tactics api` (one process), the baseline, Postgres (durable) and the load share this machine's processors, over loopback;
they are loaded in turn. What exactly is timed is said at the top of each measure's module in tests/bench/api.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path

from tests.bench.api import suite
from tests.bench.api.size import FULL, QUICK


def main() -> int:
    """Take the measures that were asked for, show them, and say what failed."""
    parser = argparse.ArgumentParser(prog="make bench-api", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    parser.add_argument("--only", nargs="+", metavar="KEY", choices=suite.KEYS, help="only what gives these keys")
    parser.add_argument("--quick", action="store_true", help="few requests: shows that it works, not what it gives")
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

"""`python -m tests.chaos.lives --examples 10000`: any life of a grant against paper, in several processes side by side."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time

from tactics import embedded
from tests.chaos.lives.process import run


def main() -> int:
    """Run what the arguments ask for; 1 when a life was found that is not as on paper."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.lives", description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000, help="how many lives")
    parser.add_argument("--processes", type=int, default=min(4, os.cpu_count() or 1), help="how many side by side")
    parser.add_argument("--seed", type=int, default=1, help="of what is tried")
    asked = parser.parse_args()
    begun = time.monotonic()
    each = -(-asked.examples // asked.processes)
    context = multiprocessing.get_context("spawn")
    with embedded.running(durable=False) as servers:
        running = [
            context.Process(target=run, args=(servers.database_url, servers.redis_url, number, each, asked.seed))
            for number in range(1, asked.processes + 1)
        ]
        for one in running:
            one.start()
        for one in running:
            one.join()
    failed = sum(one.exitcode != 0 for one in running)
    print(
        f"{each * asked.processes} lives of grants in {time.monotonic() - begun:.0f} s: {failed or 'no'} process failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

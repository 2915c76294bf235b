"""`make profile`: draw where the time of a placement and of a behaviour event goes.

Samples of call stacks, taken by py-spy while visits run in this process, and while events run through a worker; waiting
counts as much as working. It writes placement.svg, event.svg and parts.md (milliseconds for each part) into a folder.
py-spy must be allowed to look into processes of the same user: as root it is, elsewhere ptrace may be restricted.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tactics.local import Local
from tests.bench import flame, scene, visits
from tests.bench.stage import PATIENCE_S, MeasureFailed, stage, work_through, worker_pids

DEFAULT_FOLDER = Path("docs/performance")
RATE = 200
_DELIVERED = "fast_trace_task"
"""Celery's function that runs a delivered task."""
VISITS, EVENTS, WARM_UP = 2_000, 3_000, 200


def main() -> None:
    """Take both profiles and write them."""
    parser = argparse.ArgumentParser(prog="make profile", description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER", help=f"default: {DEFAULT_FOLDER}")
    parser.add_argument("--visits", type=int, default=VISITS, help="how many visits to sample")
    parser.add_argument("--events", type=int, default=EVENTS, help="how many behaviour events to sample")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with stage() as local:
        scene.set_up(local.app, args.events + args.visits + WARM_UP)
        event = _events(local, args.events)
        placement = _placements(local, args.events, args.visits)
    titles = {"placement": "A placement that grants", "event": "A behaviour event, routed and prepared"}
    for name, (stacks, whole_ms) in {"placement": placement, "event": event}.items():
        title = f"{titles[name]}: {whole_ms:.2f} ms"
        (args.out / f"{name}.svg").write_text(flame.svg(stacks, title, whole_ms))
    (args.out / "parts.md").write_text(_table(placement, event))
    print((args.out / "parts.md").read_text())


def _events(local: Local, count: int) -> tuple[Counter[flame.Stack], float]:
    """Sample the worker's processes; gives the stacks, and how long a process is busy with one event (ms)."""
    work_through(local, scene.behaviours("warm", range(WARM_UP)), prepares=WARM_UP)
    pids = worker_pids(local)
    with _sampled(pids) as found:
        took = work_through(local, scene.behaviours("profile", range(count)), prepares=count)
    stacks = sum((flame.read(raw, _DELIVERED) for raw in found), Counter[flame.Stack]())
    if not stacks:
        raise MeasureFailed(f"no sample is below {_DELIVERED}")
    busy = stacks.total() / sum(flame.read(raw, "<module>").total() for raw in found)
    return stacks, busy * len(pids) * took * 1000 / count


def _placements(local: Local, first: int, count: int) -> tuple[Counter[flame.Stack], float]:
    """Sample this process; gives the stacks, and how long a visit takes (ms)."""
    visits.prepare(local, range(first, first + count + WARM_UP))
    for number in range(first, first + WARM_UP):
        visits.granted(local.app, number)
    with _sampled([os.getpid()]) as found:
        started = time.perf_counter()
        for number in range(first + WARM_UP, first + WARM_UP + count):
            visits.granted(local.app, number)
        took = time.perf_counter() - started
    return flame.read(found[0], "visit"), took * 1000 / count


@contextmanager
def _sampled(pids: Sequence[int]) -> Iterator[list[str]]:
    """Sample processes while the block runs; the list is filled, with one text for each, when it ends."""
    program = Path(sys.executable).with_name("py-spy")
    if not program.exists():
        raise SystemExit("py-spy is not installed: `make profile` installs it with the group `bench`.")
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(pid) for pid in pids]
        options = ["record", "--idle", "--format", "raw", "--rate", str(RATE), "--duration", "unlimited"]
        going = [
            subprocess.Popen(
                [program, *options, "--output", file, "--pid", str(pid)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for pid, file in zip(pids, files, strict=True)
        ]
        for one in going:
            if one.stdout is None or not any("Sampling" in line for line in one.stdout):
                raise MeasureFailed("py-spy did not start to sample: may it look into processes here?")
        yield found
        for one, file in zip(going, files, strict=True):
            one.send_signal(signal.SIGINT)  # py-spy writes what it has when it is interrupted
            told, _ = one.communicate(timeout=PATIENCE_S)
            if not file.exists():
                raise MeasureFailed(f"py-spy wrote nothing:\n{told}")
            found.append(file.read_text())


def _table(placement: tuple[Counter[flame.Stack], float], event: tuple[Counter[flame.Stack], float]) -> str:
    lines = ["| part | placement, ms | event, ms |", "|---|---|---|"]
    one, other = flame.shares(placement[0]), flame.shares(event[0])
    lines += [f"| {part} | {one[part] * placement[1]:.2f} | {other[part] * event[1]:.2f} |" for part in flame.PARTS]
    lines.append(f"| all | {placement[1]:.2f} | {event[1]:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

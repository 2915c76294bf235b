"""Grants a second by 16 clients, on one hot benefit and on 1,000, beside the bare transaction on the same rows.

Ours is the grant as the engine does it inside a segment's transaction: the instance's row inserted or locked under a
new epoch, what the user holds and was granted before read, then grant record, asset, outbox notice and stock written,
and all of it committed. Not in it: what a placement does around it (lock in Redis, rule, execution, answer).

Beside it: `floor.grant`, four statements and a commit, on one row of stock or on as many. Both sides have the same
clients, four processes with four threads each, every thread with a connection of its own; every grant goes to another
user, and with many benefits to one of them at random. Rounds are of a fixed time, in turn; the figure is the median of
the ratios of neighbouring rounds.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tactics.config import Settings
from tactics.runtime import Runtime
from tests.bench import adapter, floor, scene
from tests.bench.clients import Clients, Work, clients
from tests.bench.size import Size
from tests.bench.stage import plain_url, rounds, stage

KEYS = ("grants_hot_over_bare", "grants_spread_over_bare")
CLIENT_PROCESSES = 4
THREADS = 4


def measure(size: Size) -> dict[str, float]:
    """Take ours and the baseline in turn, hot and spread."""
    with stage() as local, floor.connect(plain_url(local)) as conn:
        floor.set_up(conn, size.benefits)
        documents = [scene.document(_code(number), channel=_code(number)) for number in range(size.benefits)]
        scene.set_up(local.app, 1, documents)
        ours_arguments = [(local.settings, f"ours{number}") for number in range(CLIENT_PROCESSES)]
        bare_arguments = [(plain_url(local), f"bare{number}") for number in range(CLIENT_PROCESSES)]
        with clients(grantor, ours_arguments) as ours, clients(bare_grantor, bare_arguments) as bare:
            return {**_beside(ours, bare, size, 1, "hot"), **_beside(ours, bare, size, size.benefits, "spread")}


def _beside(ours: Clients, bare: Clients, size: Size, benefits: int, name: str) -> dict[str, float]:
    taken = [(_rate(ours, benefits, size.grant_s), _rate(bare, benefits, size.grant_s)) for _ in rounds(size)]
    counted = taken[1:]
    return {
        f"grants_{name}_over_bare": statistics.median(one / other for one, other in counted),
        f"grants_{name}_per_s": statistics.median(one for one, _ in counted),
        f"bare_{name}_per_s": statistics.median(other for _, other in counted),
    }


def _rate(found: Clients, benefits: int, seconds: float) -> float:
    answers = found.ask([(benefits, seconds)] * CLIENT_PROCESSES)
    return float(sum(count for count, _ in answers) / max(took for _, took in answers))


def _code(benefit: int) -> str:
    return f"bench{benefit}"


@contextmanager
def grantor(settings: Settings, name: str) -> Iterator[Work]:
    """Be one of our client processes: an order is the number of benefits and seconds, the answer grants and seconds."""
    runtime = Runtime.open(settings)

    def grant(user_id: str, benefit: int) -> None:
        adapter.grant(runtime, runtime.activity(_code(benefit), 1), user_id)

    with _threads(name, grant) as work:
        yield work
    runtime.close()


@contextmanager
def bare_grantor(url: str, name: str) -> Iterator[Work]:
    """Be one of the baseline's client processes."""
    mine = threading.local()

    def grant(user_id: str, benefit: int) -> None:
        if not hasattr(mine, "conn"):
            mine.conn = floor.connect(url)
        floor.grant(mine.conn, user_id, benefit)

    with _threads(name, grant) as work:
        yield work


@contextmanager
def _threads(name: str, grant: Callable[[str, int], None]) -> Iterator[Work]:
    """Let threads grant for a while, each to its own users."""
    orders = 0

    def one_thread(prefix: str, benefits: int, end: float) -> int:
        count, chance = 0, random.Random(prefix)  # noqa: S311  # which stock, not a secret
        while time.perf_counter() < end:
            grant(f"{prefix}-{count}", chance.randrange(benefits))
            count += 1
        return count

    def work(order: tuple[int, float]) -> tuple[int, float]:
        nonlocal orders
        orders += 1
        benefits, seconds = order
        started = time.perf_counter()
        end = started + seconds
        going = [pool.submit(one_thread, f"{name}-{orders}-{thread}", benefits, end) for thread in range(THREADS)]
        return sum(one.result() for one in going), time.perf_counter() - started

    with ThreadPoolExecutor(THREADS) as pool:
        yield work

"""User actions a second through behaviour rules that do not fire, beside commits of one row.

Ours: actions handed in by one producer in batches of 100; each is accepted (validated, committed as an event), routed
by two worker processes, stored as a user action, added to what the user did with the item, and judged by those of
three behaviour rules that read it, none of which it satisfies. Timed from handing in the first to the last one's being
routed.

Beside it: one client commits as many rows, one a transaction, into a plain table with a primary key, on the same
durable database; one prepared statement, no SQLAlchemy.
"""

from __future__ import annotations

import random
import statistics
import time

import psycopg

from tests.bench import scene
from tests.bench.size import Size
from tests.bench.stage import plain_url, rounds, stage, work_through

KEYS = ("actions_over_insert",)
USERS = 2_000
NEVER = 1_000_000
"""More actions than anybody does here."""


def measure(size: Size) -> dict[str, float]:
    """Take both, in turn."""
    rules = {
        scene.RULE_KEY: scene.at_least(NEVER, action="purchase"),
        "bench_viewed": scene.at_least(NEVER, action="view"),
        "bench_viewed_first": scene.at_least(NEVER, action="view", item_id="0"),
    }
    chance = random.Random(1)  # noqa: S311  # the same users in every run
    taken: list[tuple[float, float]] = []
    with stage() as local, psycopg.connect(plain_url(local), prepare_threshold=0) as conn:
        scene.set_up(local.app, USERS, [scene.document(behaviour_rules=rules)])
        conn.execute("CREATE TABLE bench_row (id text PRIMARY KEY, user_id text NOT NULL, data text NOT NULL)")
        conn.commit()
        for number in rounds(size):
            messages = [
                scene.action(
                    f"{number}-{one}",
                    chance.randrange(USERS),
                    chance.choice(("view", "purchase")),
                    chance.randrange(scene.ITEMS),
                )
                for one in range(size.actions)
            ]
            ours = size.actions / work_through(local, messages, prepares=0)
            taken.append((ours, size.actions / _inserts(conn, number, size.actions)))
    counted = taken[1:]
    return {
        "actions_over_insert": statistics.median(ours / plain for ours, plain in counted),
        "actions_per_s": statistics.median(ours for ours, _ in counted),
        "insert_commits_per_s": statistics.median(plain for _, plain in counted),
    }


def _inserts(conn: psycopg.Connection, number: int, count: int) -> float:
    """Commit as many rows, one by one; gives the seconds it took."""
    started = time.perf_counter()
    with conn.cursor() as cursor:
        for one in range(count):
            row = (f"{number}-{one}", scene.user(one), '{"action": "view"}')
            cursor.execute("INSERT INTO bench_row VALUES (%s, %s, %s)", row)
            conn.commit()
    return time.perf_counter() - started

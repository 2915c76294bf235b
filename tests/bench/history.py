"""Users with a past, written in bulk by SQL (history.sql): the rows that the engine's own flows leave, all at once.

Each user has a profile, acted twice in the last weeks, on two items, was prepared once (event, execution, instance),
and every fifth one was granted a coupon, which is redeemed.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from tests.bench.scene import ACTIVITY, ITEMS, RULE_KEY

_CHUNK = 100_000


def fill(url: str, users: int) -> None:
    """Give the users numbered 0 to `users` - 1 a past; then let Postgres tidy up, so that it does not do so later."""
    _, *parts = re.split(r"^-- part:.*$", Path(__file__).with_suffix(".sql").read_text(), flags=re.MULTILINE)
    with ThreadPoolExecutor(len(parts)) as pool:
        for done in [pool.submit(_write, url, part, users) for part in parts]:
            done.result()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE, FREEZE)")
        conn.execute("CHECKPOINT")


def _write(url: str, part: str, users: int) -> None:
    statements = [one.strip().encode() for one in part.split(";\n") if one.strip()]
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET synchronous_commit = off")  # the checkpoint at the end makes it all durable
        for first in range(0, users, _CHUNK):
            last = min(first + _CHUNK, users) - 1
            bound = {"first": first, "last": last, "activity": ACTIVITY, "rule_key": RULE_KEY, "items": ITEMS}
            for statement in statements:
                conn.execute(statement, bound)

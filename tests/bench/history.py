"""Users with a past, written in bulk by SQL: the rows are those that the engine's own flows leave, all at once.

Each user has a profile, acted three times in the last weeks, on two items, was prepared once (event, execution,
instance), and every second one was granted a coupon, which is redeemed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.bench.scene import ACTIVITY, ITEMS, RULE_KEY

_USER = "'u' || n"
_AT = "now() - interval '1 day' * (1 + n % 20)"
_BODY = f"jsonb_build_object('user_id', {_USER}, 'rule_key', '{RULE_KEY}')"
_EXECUTION = "md5('e' || n)::uuid"
_GRANT = "md5('g' || n)::uuid"
_TRACE = (
    '[{"step": "query_item", "outcome": "ran", "ms": 0.4}, {"step": "recall_item", "outcome": "ran", "ms": 0.1},'
    ' {"step": "save_prepared", "outcome": "ran", "ms": 0.2}, {"step": "record_event", "outcome": "ran", "ms": 0.1}]'
)
# Each list is written by one connection, in order; the lists at the same time.
_STATEMENTS: Sequence[Sequence[str]] = (
    (
        f"""INSERT INTO event (source, id, type, user_id, channel, data, body_hash, at, routed_at, outcome)
        SELECT 'past', 'b' || n, 'behaviour', {_USER}, '{RULE_KEY}', {_BODY}, md5('b' || n), {_AT}, {_AT}, 'routed'
        FROM users""",
        f"""INSERT INTO instance (user_id, activity_code, epoch, prepared_epoch, prepared_source, prepared_event_id,
            prepared_at)
        SELECT {_USER}, '{ACTIVITY}', 1, 1, 'past', 'b' || n, {_AT} FROM users""",
        f"""INSERT INTO execution (id, user_id, activity_code, activity_version, link, channel_code, event_source,
            event_id, locked, epoch, outcome, trace, business_at, created_at, finished_at)
        SELECT {_EXECUTION}, {_USER}, '{ACTIVITY}', 1, 'prepare', '{RULE_KEY}', 'past', 'b' || n, true, 1, 'prepared',
            '{_TRACE}', {_AT}, {_AT}, {_AT}
        FROM users""",
    ),
    (
        f"""INSERT INTO user_profile (user_id, attributes)
        SELECT {_USER}, '{{"level": "gold"}}' FROM users ON CONFLICT DO NOTHING""",
        f"""INSERT INTO user_item (user_id, item_id, actions, quantity, last_action, last_at)
        SELECT {_USER}, ((n + k) % {ITEMS})::text, 1 + k, 1, 'view', {_AT} FROM users, generate_series(0, 1) AS k""",
        f"""INSERT INTO user_action (user_id, at, event_source, event_id, action, item_id)
        SELECT {_USER}, {_AT} - interval '1 hour' * k, 'past', 'a' || n || '-' || k, 'view', ((n + k) % {ITEMS})::text
        FROM users, generate_series(0, 2) AS k""",
        f"""INSERT INTO grant_record (id, user_id, activity_code, activity_version, will_send_count, idempotency_id,
            execution_id, event_source, event_id, state, lines, value_minor, day, business_at, settled_at)
        SELECT {_GRANT}, {_USER}, '{ACTIVITY}', 1, 1, '{ACTIVITY}:' || {_USER} || ':1', md5('v' || n)::uuid, 'past',
            'v' || n, 'granted', '[{{"line": 0, "kind": "coupon", "benefit": "c", "details": {{}}, "value_minor": 500}}]',
            500, ({_AT})::date, {_AT}, {_AT}
        FROM users WHERE n % 2 = 0""",
        f"""INSERT INTO asset (id, user_id, activity_code, grant_id, line, benefit_code, kind, status, value_minor,
            currency, details, valid_from, valid_until, status_at)
        SELECT md5('t' || n)::uuid, {_USER}, '{ACTIVITY}', {_GRANT}, 0, 'c', 'coupon', 'redeemed', 500, 'USD', '{{}}',
            {_AT}, {_AT} + interval '30 days', {_AT}
        FROM users WHERE n % 2 = 0""",
    ),
)
_TABLES = ("event", "instance", "execution", "user_profile", "user_item", "user_action", "grant_record", "asset")
_CHUNK = 100_000


def fill(url: str, users: int) -> None:
    """Give the users numbered 0 to `users` - 1 a past; then let Postgres tidy up, so that it does not do so later."""
    with ThreadPoolExecutor(len(_STATEMENTS)) as pool:
        for done in [pool.submit(_write, url, statements, users) for statements in _STATEMENTS]:
            done.result()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"VACUUM (ANALYZE, FREEZE) {', '.join(_TABLES)}")
        conn.execute("CHECKPOINT")


def _write(url: str, statements: Sequence[str], users: int) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET synchronous_commit = off")  # the checkpoint at the end makes it all durable
        for start in range(0, users, _CHUNK):
            numbers = f"WITH users AS (SELECT generate_series({start}, {min(start + _CHUNK, users) - 1}) AS n) "
            for statement in statements:
                conn.execute(_with(numbers, statement))


def _with(numbers: str, statement: str) -> bytes:
    return (numbers + statement).encode()

"""Ways to corrupt the database of `test_audit`, with the check that is to find each; and states that are right."""

# ruff: noqa: S608  # all SQL here is put together from constants of this file

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

Corruption = Callable[[Connection], None]


def _run(*statements: str) -> Corruption:
    def corrupt(conn: Connection) -> None:
        for statement in statements:
            conn.execute(text(statement))

    return corrupt


def _both(*parts: Corruption) -> Corruption:
    def corrupt(conn: Connection) -> None:
        for part in parts:
            part(conn)

    return corrupt


def more_grants(user: str, times: int = 1, asset_status: str | None = "redeemed", **changes: Any) -> Corruption:
    """Give a user of `tea` more grants as a copy of the first: stock, counters and assets go with it."""

    def corrupt(conn: Connection) -> None:
        for _ in range(times):
            _copy_grant(conn, user, asset_status, changes)

    return corrupt


def _copy_grant(conn: Connection, user: str, asset_status: str | None, changes: dict[str, Any]) -> None:
    mine = {"user": user}
    row = conn.execute(
        text(
            "SELECT *, (SELECT max(will_send_count) FROM grant_record WHERE user_id = :user AND activity_code = 'tea')"
            " AS highest FROM grant_record WHERE user_id = :user AND activity_code = 'tea' AND will_send_count = 1"
        ),
        mine,
    ).one()
    new = {
        "id": uuid4(),
        "will_send_count": row.highest + 1,
        "execution_id": uuid4(),
        "event_id": str(uuid4()),
        "state": "granted",
        "best_only": False,
        **changes,
    }
    conn.execute(
        text(
            "INSERT INTO grant_record SELECT (jsonb_populate_record(g, CAST(:new AS jsonb))).* FROM grant_record g"
            " WHERE user_id = :user AND id = :old"
        ),
        {**mine, "old": row.id, "new": _json({**new, "usable": False, "released": False})},
    )
    if asset_status is not None:
        _copy_asset(conn, row.id, grant_id=new["id"], status=asset_status)
    if new["state"] != "refused":
        conn.execute(text("UPDATE benefit SET remaining = remaining - 1 WHERE activity_code = 'tea'"))
        conn.execute(text("UPDATE limit_counter SET used = used + 1 WHERE scope = 'day'"))
        conn.execute(text("UPDATE limit_counter SET used = used + 500 WHERE scope = 'budget'"))


def _copy_asset(conn: Connection, of_grant: UUID, **changes: Any) -> None:
    conn.execute(
        text(
            "INSERT INTO asset SELECT (jsonb_populate_record(a, CAST(:new AS jsonb))).* FROM asset a"
            " WHERE grant_id = :grant AND line = 1"
        ),
        {"grant": of_grant, "new": _json({"id": uuid4(), **changes})},
    )


def _asset(user: str, **changes: Any) -> Corruption:
    """Add a copy of the asset of a user's first grant of `tea`."""

    def corrupt(conn: Connection) -> None:
        query = f"SELECT id FROM grant_record WHERE {_first(user)}"
        _copy_asset(conn, conn.execute(text(query)).scalar_one(), status="redeemed", **changes)

    return corrupt


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, default=str)


def _first(user: str) -> str:
    return f"user_id = '{user}' AND activity_code = 'tea' AND will_send_count = 1"


_ANN_1 = f"grant_id = (SELECT id FROM grant_record WHERE {_first('ann')})"
_ONE_EXECUTION = "WHERE id = (SELECT min(id::text)::uuid FROM execution)"
_NO_USABLE_KEY = _run("DROP INDEX uq_grant_record_usable")
_SAME_EVENT: dict[str, Any] = {"event_source": "shop", "event_id": "one", "best_only": True}
_BOB_BEST = _run(
    "DROP INDEX uq_grant_record_best_only",
    f"UPDATE grant_record SET best_only = true, event_source = 'shop', event_id = 'one' WHERE {_first('bob')}",
)


def _bob_same_execution(conn: Connection) -> None:
    conn.execute(text("ALTER TABLE grant_record DROP CONSTRAINT uq_grant_record_execution"))
    query = f"SELECT execution_id FROM grant_record WHERE {_first('bob')}"
    more_grants("bob", execution_id=conn.execute(text(query)).scalar_one())(conn)


def redefined(code: str, path: str, value: str) -> str:
    return (
        f"UPDATE activity_version SET definition = jsonb_set(definition, '{{{path}}}', '{value}')"
        f" WHERE activity_code = '{code}'"
    )


def _minute(most: int, **counters: int) -> Corruption:
    """Let all grants of `tea` be of one minute, with limits per minute, and say what its counters say."""
    return _run(
        "UPDATE grant_record SET business_at = '2017-11-01T12:00:30Z' WHERE activity_code = 'tea'",
        redefined("tea", "limits,grants_per_minute", str(most)),
        redefined("tea", "limits,cost_per_minute_minor", str(most * 500)),
        *[f"INSERT INTO limit_counter VALUES ('tea', '{one}', '2017-11-01T12:00', {n})" for one, n in counters.items()],
    )


CORRUPTIONS: list[tuple[str, str, Corruption, int]] = [
    ("stock", "too little left", _run("UPDATE benefit SET remaining = remaining - 1 WHERE activity_code = 'tea'"), 1),
    ("stock", "too much left", _run("UPDATE benefit SET remaining = remaining + 1 WHERE activity_code = 'best'"), 1),
    ("stock", "limited, none left written", _run(
        "ALTER TABLE benefit DROP CONSTRAINT ck_benefit_stock",
        "UPDATE benefit SET remaining = NULL WHERE activity_code = 'tea'"), 1),
    ("stock", "movement without stock", _run("UPDATE stock_movement SET delta = delta + 1"), 1),
    ("stock", "over-issued", _run(
        "ALTER TABLE benefit DROP CONSTRAINT ck_benefit_remaining",
        "UPDATE benefit SET stock_initial = stock_initial - remaining - 1, remaining = -1 WHERE activity_code = 'tea'",
    ), 1),
    ("stock", "reserved without stock", _both(
        more_grants("bob", asset_status=None, state="pending"),
        _run("UPDATE benefit SET remaining = remaining + 1 WHERE activity_code = 'tea'")), 1),
    ("stock", "refused with stock", _both(
        more_grants("bob", asset_status=None, state="refused"),
        _run("UPDATE benefit SET remaining = remaining - 1 WHERE activity_code = 'tea'")), 1),
    ("stock", "no such benefit", _run(
        "DELETE FROM benefit WHERE activity_code = 'best'"), 1),
    ("grant_count", "a count twice", _both(
        _run("ALTER TABLE grant_record DROP CONSTRAINT uq_grant_record_count"), more_grants("bob", will_send_count=1)), 1),
    ("grant_execution", "an execution twice", _bob_same_execution, 1),
    ("grant_best_only", "an event twice", _both(_BOB_BEST, more_grants("bob", **_SAME_EVENT)), 1),
    ("grant_version", "no such version", _run(
        "UPDATE grant_record SET activity_version = 99 WHERE activity_code = 'best'"), 1),
    ("grant_lines", "asset missing", _run(f"DELETE FROM asset WHERE {_ANN_1}"), 1),
    ("grant_lines", "asset of no line", _asset("ann", line=2), 1),
    ("grant_lines", "two assets of a line", _both(
        _run("ALTER TABLE asset DROP CONSTRAINT uq_asset_grant_line"), _asset("ann")), 2),
    ("grant_lines", "other benefit", _run(f"UPDATE asset SET benefit_code = 'x' WHERE {_ANN_1}"), 1),
    ("grant_lines", "other kind", _run(f"UPDATE asset SET kind = 'gift' WHERE {_ANN_1}"), 1),
    ("grant_lines", "other value", _run(f"UPDATE asset SET value_minor = 1 WHERE {_ANN_1}"), 1),
    ("grant_lines", "asset of a pending grant", more_grants("bob", state="pending"), 1),
    ("asset_grant", "no such grant", _both(
        _run("ALTER TABLE asset DROP CONSTRAINT fk_asset_grant_record"), _asset("ann", grant_id=uuid4())), 1),
    ("asset_grant", "grant of another activity", _run(
        f"UPDATE asset SET activity_code = 'best' WHERE {_ANN_1}"), 1),
    ("count_gaps", "a count left out", more_grants("bob", will_send_count=3), 1),
    ("count_gaps", "not from 1", _run(
        "UPDATE grant_record SET will_send_count = will_send_count + 10 WHERE user_id = 'ann' AND activity_code = 'tea'"
    ), 1),
    ("count_gaps", "from 0", _run(
        "ALTER TABLE grant_record DROP CONSTRAINT ck_grant_record_will_send_count",
        f"UPDATE grant_record SET will_send_count = 0 WHERE {_first('ann')}"), 1),
    ("usable_grants", "two usable", _both(_NO_USABLE_KEY, _run(
        f"UPDATE asset SET status = 'claimed' WHERE {_ANN_1}",
        f"UPDATE grant_record SET usable = true WHERE {_first('ann')}")), 1),
    ("usable_flag", "usable without asset", _run(
        f"UPDATE grant_record SET usable = true WHERE {_first('dan')}"), 1),
    ("usable_flag", "usable while pending", _both(
        more_grants("dan", asset_status=None, state="pending"),
        _run("UPDATE grant_record SET usable = true WHERE state = 'pending'")), 1),
    ("usable_flag", "asset without flag", _run(
        f"UPDATE grant_record SET usable = false WHERE {_first('bob')}"), 1),
    ("usable_flag", "spent yet usable", _run(
        "UPDATE asset SET status = 'expired' WHERE activity_code = 'best'"), 1),
    ("limit_user", "a third grant", more_grants("ann"), 1),
    ("limit_user", "a limit of none", _run(redefined("best", "limits,per_user", "0")), 1),
    ("limit_counters", "day counted too high", _run("UPDATE limit_counter SET used = used + 1 WHERE scope = 'day'"), 1),
    ("limit_counters", "budget too low", _run("UPDATE limit_counter SET used = used - 1 WHERE scope = 'budget'"), 1),
    ("limit_counters", "no counter", _run("DELETE FROM limit_counter WHERE scope = 'day'"), 1),
    ("limit_counters", "counter of no grants", _run("INSERT INTO limit_counter VALUES ('best', 'budget', '', 1)"), 1),
    ("limit_counters", "refused yet counted", _both(
        more_grants("bob", asset_status=None, state="refused"),
        _run("UPDATE limit_counter SET used = used + 1 WHERE scope = 'day'")), 1),
    ("limit_counters", "a minute counted too high", _minute(9, minute=5, minute_cost=2000), 1),
    ("limit_counters", "a minute's cost too low", _minute(9, minute=4, minute_cost=1999), 1),
    ("limits", "too many a minute", _minute(3, minute=4, minute_cost=2000), 2),
    ("limits", "too many a day", _both(more_grants("bob"), more_grants("dan")), 1),
    ("limits", "over the budget", _run(redefined("tea", "limits,budget_minor", "1999")), 1),
    ("holdout", "control group", _run(redefined("best", "holdout_percent", "100")), 1),
    ("pool_codes", "given to nobody", _run(f"UPDATE benefit_code SET asset_id = '{uuid4()}' WHERE code = 'A3'"), 1),
    ("pool_codes", "two codes for one", _run(
        "UPDATE benefit_code SET asset_id = (SELECT asset_id FROM benefit_code WHERE code = 'A1') WHERE code = 'A3'"
    ), 1),
    ("pool_codes", "not marked as given", _run("UPDATE benefit_code SET asset_id = NULL WHERE code = 'A1'"), 1),
    ("pool_codes", "two carry one", _run(
        """UPDATE asset SET details = '{"code": "A1"}' WHERE details ->> 'code' = 'A2'"""), 2),
    ("pool_codes", "of another benefit", _run("UPDATE benefit_code SET benefit_code = 'x' WHERE code = 'A1'"), 2),
    ("pool_codes", "a code twice", _run(
        "ALTER TABLE benefit_code DROP CONSTRAINT pk_benefit_code",
        "INSERT INTO benefit_code (activity_code, benefit_code, code) VALUES ('pool', 'code', 'A1')"), 1),
    ("segments", "a stale attempt committed", _run(f"UPDATE execution SET segments = '{{2}}' {_ONE_EXECUTION}"), 1),
    ("segments", "a segment without attempt", _run(
        f"UPDATE execution SET segment_attempts = '{{}}' {_ONE_EXECUTION}"), 1),
    ("outcomes", "finished without outcome", _run(f"UPDATE execution SET outcome = NULL {_ONE_EXECUTION}"), 1),
    ("outcomes", "outcome without end", _run(
        f"UPDATE execution SET finished_at = NULL, next_attempt_at = now() {_ONE_EXECUTION}"), 1),
    ("forgotten", "an execution", _run(f"UPDATE execution SET finished_at = NULL, outcome = NULL {_ONE_EXECUTION}"), 1),
    ("forgotten", "an event", _run("UPDATE event SET routed_at = NULL WHERE id = 'buy-0'"), 1),
    ("epochs", "an epoch to come", _run(
        "UPDATE instance SET prepared_epoch = epoch + 1 WHERE user_id = 'dan' AND activity_code = 'tea'"), 1),
    ("epochs", "an event without epoch", _run(
        "UPDATE instance SET prepared_epoch = NULL WHERE user_id = 'dan' AND activity_code = 'tea'"), 1),
]  # fmt: skip

HARMLESS: list[tuple[str, Corruption]] = [
    ("nothing", _run()),
    ("one more grant, with all that belongs to it", more_grants("bob")),
    ("a pending grant holds stock and counters", more_grants("bob", asset_status=None, state="pending")),
    ("a parked grant holds stock and counters", more_grants("bob", asset_status=None, state="parked")),
    ("refused grants hold nothing but their count", more_grants("bob", 3, asset_status=None, state="refused")),
    ("a refused grant leaves its best-only event to another", _both(
        _BOB_BEST, more_grants("bob", asset_status=None, state="refused", **_SAME_EVENT))),
    ("grants for one event that did not ask for the best only", _both(
        _BOB_BEST, _run("UPDATE grant_record SET best_only = false WHERE event_id = 'one'"),
        more_grants("bob", event_source="shop", event_id="one"))),
    ("a third grant under a version that allows three", _both(
        _run(redefined("tea", "limits,per_user", "3") + " AND version = 2"),
        more_grants("ann", activity_version=2, id=UUID(int=1)))),  # an id that comes before those of the others
    ("a released redemption beside a usable grant", _both(_NO_USABLE_KEY, _run(
        f"UPDATE asset SET status = 'available' WHERE {_ANN_1}",
        f"UPDATE grant_record SET usable = true, released = true WHERE {_first('ann')}"))),
    ("a parked event", _run("UPDATE event SET routed_at = NULL, parked_reason = 'no' WHERE id = 'buy-0'")),
    ("a waiting event", _run("UPDATE event SET routed_at = NULL, next_attempt_at = now() WHERE id = 'buy-0'")),
    ("a waiting execution", _run(
        f"UPDATE execution SET finished_at = NULL, outcome = NULL, next_attempt_at = now() {_ONE_EXECUTION}")),
    ("a minute that is counted right", _minute(4, minute=4, minute_cost=2000)),
    ("a minute that is counted no more", _minute(1)),
    ("a minute that counted what was refused", _both(
        more_grants("bob", asset_status=None, state="refused"), _minute(9, minute=5, minute_cost=2500))),
    ("a counter that counts nothing", _run("INSERT INTO limit_counter VALUES ('best', 'budget', '', 0)")),
]  # fmt: skip

"""The audit over a database that real journeys made, healthy and then corrupted one way at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from tactics import embedded
from tactics.config import Settings
from tactics.domain.activity import parse_activity
from tactics.granting import change_asset
from tactics.runtime import Runtime
from tactics.store import activities, migrate
from tactics.store.audit import CHECKS, _findings, audit
from tactics.store.db import make_engine
from tests.journey import Shop, offer, open_shop
from tests.store.corruptions import CORRUPTIONS, HARMLESS, Corruption, more_grants, redefined

LIMITS = {"per_user": 2, "per_day": 5, "budget_minor": 5_000}
LOWERED = {"per_user": 1, "per_day": 1, "budget_minor": 500}
RAISED = {"per_user": 99, "per_day": 99, "budget_minor": 99_999}
MORE = {"five_off": {"kind": "coupon", "value_minor": 500, "stock": 12, "validity_s": 3600}}
BEST = offer(code="best", channels={"grant": ["best"]}, behaviour_rules={})
QUIET = offer(code="quiet", channels={"grant": ["side"]}, behaviour_rules={}, holdout_percent=50)


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop of the test's own, after a busy day."""
    opened = open_shop(settings)
    _busy_day(opened)
    yield opened
    opened.app.runtime.close()


@pytest.fixture(scope="module")
def busy_day(servers: embedded.Servers) -> Iterator[Runtime]:
    """One busy day's database for many tests, each of which takes back what it changed."""
    name = f"test_{uuid4().hex}"
    admin = make_engine(servers.database_url, pool_size=1, autocommit=True)
    with admin.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    opened = open_shop(Settings(database_url=url, redis_url=servers.redis_url))
    with opened.app.runtime.engine.begin() as conn:
        migrate.upgrade(conn)
    _busy_day(opened)
    yield opened.app.runtime
    opened.app.runtime.close()
    with admin.connect() as conn:
        conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def conn(busy_day: Runtime) -> Iterator[Connection]:
    """A transaction on that database, taken back at the end. Foreign keys do not hold: a corrupted one may lack them."""
    with busy_day.engine.connect() as opened:
        opened.execute(text("SET LOCAL session_replication_role = replica"))
        yield opened
        opened.rollback()


def _busy_day(shop: Shop) -> None:
    """Make first and second grants, changed assets, a pool, a sold-out, a control group, limits lowered at the end."""
    two = [{"block": "pbb.action.send_coupon", "params": {"benefit": "code"}}, _points(5)]
    codes = {"code": {"kind": "coupon", "value_minor": 100, "codes": ["A1", "A2", "A3"], "stock": 2}}
    ready: dict[str, Any] = {"behaviour_rules": {}}
    pool = offer(code="pool", rule={"so": {"then": two}}, benefits=codes, channels={"grant": ["pool"]}, **ready)
    shop.imports(offer(limits=LIMITS), pool, BEST, QUIET)
    for user in ("ann", "bob", "dan"):
        shop.buys(user, 2)
        assert shop.visits(user)["results"][0]["outcome"] == "granted"
    _change(shop, "ann", "redeemed")
    assert shop.visits("ann")["results"][0]["outcome"] == "granted"
    _change(shop, "bob", "redeemed", "released")
    _change(shop, "dan", "revoked")
    assert shop.visits("cat")["not_shown"][0]["reason"] == "not_prepared"
    outcomes = [_outcome(shop.visits(user, "pool")) for user in ("ann", "bob", "cat")]
    assert outcomes == ["granted", "granted", "sold_out"]
    assert _outcome(shop.visits("ann", "best", best_only=True)) == "granted"
    assert {_outcome(shop.visits(str(user), "side")) for user in range(10)} == {"granted", "holdout"}
    shop.imports(offer(limits=LOWERED, benefits=MORE))


def _points(points: int) -> dict[str, Any]:
    return {"block": "pbb.action.give_points", "params": {"points": points}}


def _outcome(answer: dict[str, Any]) -> str:
    parts: list[dict[str, Any]] = [*answer["results"], *answer["not_shown"]]
    (part,) = parts
    return str(part.get("outcome") or part["reason"])


def _change(shop: Shop, user: str, *changes: Any) -> None:
    runtime = shop.app.runtime
    for change in changes:
        with runtime.engine.begin() as conn:
            found = conn.execute(
                text(
                    "SELECT id FROM asset WHERE user_id = :user AND activity_code = 'tea' ORDER BY valid_from DESC LIMIT 1"
                ),
                {"user": user},
            ).scalar_one()
            change_asset(conn, found, change, runtime.now(conn))


def test_real_journeys_add_up(shop: Shop) -> None:
    """A database that real journeys made has no findings."""
    with shop.app.runtime.engine.connect() as conn:
        assert audit(conn) == []


@pytest.mark.parametrize("change", [one for _, one in HARMLESS], ids=[name for name, _ in HARMLESS])
def test_what_adds_up_passes(conn: Connection, change: Corruption) -> None:
    """States that add up have no findings, also those that only outside benefit systems will bring."""
    change(conn)
    assert _findings(conn) == []


@pytest.mark.parametrize(
    ("name", "corrupt", "count"),
    [(name, corrupt, count) for name, _, corrupt, count in CORRUPTIONS],
    ids=[f"{name}: {what}" for name, what, _, _ in CORRUPTIONS],
)
def test_each_corruption_is_found_alone(conn: Connection, name: str, corrupt: Corruption, count: int) -> None:
    """Each way to corrupt the database gives the findings of its check, and of no other."""
    corrupt(conn)
    found = _findings(conn)
    assert [one.check for one in found] == [name] * count, [one.text for one in found]


def test_every_check_is_corrupted() -> None:
    """No check goes without a corruption that it finds."""
    assert {name for name, *_ in CORRUPTIONS} == {check.name for check in CHECKS}
    assert all(check.description for check in CHECKS)


def test_finding_names_the_row(conn: Connection) -> None:
    """A finding says in a sentence what is wrong, with the offending row as data."""
    conn.execute(text("UPDATE benefit SET remaining = 5 WHERE activity_code = 'tea'"))
    (found,) = _findings(conn)
    assert found.text == "benefit five_off of tea: 5 remain, but 10 initial + 2 moved - 4 granted - 0 reserved = 8"
    row = {"activity": "tea", "benefit": "five_off", "stock_initial": 10, "moved": 2, "granted": 4, "reserved": 0}
    assert found.to_json()["row"] == {**row, "remaining": 5, "expected": 8, "known": True}


def test_limits_are_those_of_the_version_that_granted(conn: Connection) -> None:
    """Limits raised afterwards excuse no grant that was made under lower ones."""
    activities.save(conn, parse_activity(offer(limits=RAISED, benefits=MORE)))
    more_grants("ann", 2)(conn)
    found = [(one.check, one.row.get("scope"), one.row["most"]) for one in _findings(conn)]
    assert found == [("limit_user", None, 2), ("limit_user", None, 2), ("limits", "day", 5)]


def test_limit_set_later_counts_what_came_before(conn: Connection) -> None:
    """A counter may hold what was given before its limit was set, and not a grant more; nor less than came after."""
    activities.save(conn, parse_activity({**BEST, "limits": RAISED}))
    assert _findings(conn) == []
    for more, wrong in ((1, True), (-1, False), (-1, False)):
        conn.execute(text("UPDATE limit_counter SET used = used + :more WHERE activity_code = 'best'"), {"more": more})
        assert {one.check for one in _findings(conn)} == ({"limit_counters"} if wrong else set())
    conn.execute(text("UPDATE grant_record SET activity_version = 2 WHERE activity_code = 'best'"))
    assert {one.check for one in _findings(conn)} == {"limit_counters"}


def test_control_group_is_the_domains(conn: Connection) -> None:
    """Of the users that an activity holds out in part, exactly those whom the domain names are accused."""
    conn.execute(text(redefined("quiet", "holdout_percent", "80")))
    got = set(conn.execute(text("SELECT user_id FROM grant_record WHERE activity_code = 'quiet'")).scalars())
    accused = {user for user in got if parse_activity({**QUIET, "holdout_percent": 80}).held_out(user)}
    assert accused
    assert accused < got
    assert {one.row["user_id"] for one in _findings(conn)} == accused


def test_checks_share_one_snapshot(shop: Shop) -> None:
    """What is committed while the audit runs is not seen by its later checks."""
    runtime = shop.app.runtime
    seen: list[str] = []

    def interfere(conn: Any, cursor: Any, statement: str, *rest: object) -> None:
        seen.append(statement)
        if len(seen) == 2:  # after the first check's statement has fixed the snapshot
            with other.engine.begin() as rival:
                rival.execute(text("UPDATE execution SET segments = '{7}'"))

    other = Runtime.open(runtime.settings)
    with runtime.engine.connect() as conn:
        event.listen(conn, "after_cursor_execute", interfere)
        assert audit(conn) == []
    with runtime.engine.connect() as conn:
        assert {one.check for one in audit(conn)} == {"segments"}
    other.close()


def test_audit_cannot_write(shop: Shop) -> None:
    """The audit's transaction is read-only, and one that is open already is refused: it may not be a snapshot."""
    with shop.app.runtime.engine.connect() as conn:
        audit(conn)
        with pytest.raises(DBAPIError, match="read-only"):
            conn.execute(text("UPDATE benefit SET remaining = 0"))
        conn.rollback()
        conn.execute(text("SELECT 1"))
        with pytest.raises(InvalidRequestError):
            audit(conn)


def test_thousands_of_grants_take_less_than_two_seconds(shop: Shop) -> None:
    """Over 5,000 grants with their assets and executions, all checks together stay under two seconds."""
    with shop.app.runtime.engine.begin() as conn:
        for table in ("execution", "grant_record", "asset"):
            conn.execute(
                text(
                    f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object('user_id', n,"  # noqa: S608  # names of tables
                    " 'activity_code', 'best', 'id', md5(n || :name)::uuid, 'event_id', n,"
                    " 'grant_id', md5(n || 'grant_record')::uuid, 'execution_id', md5(n || 'execution')::uuid))).*"
                    f" FROM {table} AS t, generate_series(1, 5000) AS n"
                    " WHERE t.activity_code = 'best' AND t.user_id = 'ann'"
                ),
                {"name": table},
            )
        conn.execute(text("UPDATE benefit SET stock_initial = stock_initial + 5000 WHERE activity_code = 'best'"))
    with shop.app.runtime.engine.connect() as conn:
        started = time.perf_counter()
        assert audit(conn) == []
        assert time.perf_counter() - started < 2

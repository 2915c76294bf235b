"""The audit log: who changed what, whoever made the change, and nothing of whom it is about."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tactics.flows import setup
from tactics.granting import change_asset
from tactics.store import audit_log, partitions
from tactics.store.db import make_engine
from tests.driving import Drive, acted, after, at_checkout
from tests.making import bought, document

# As somebody at `psql` would write them: statement, and what the log says of it: kind, action, subject, before, after.
BY_HAND: tuple[tuple[str, str, str, str, Any, Any], ...] = (
    ("UPDATE activity SET status = 'paused' WHERE code = 'camp18'", "activity", "changed", "camp18", {"status": "live"}, {"status": "paused"}),
    ("UPDATE activity_version SET definition = jsonb_set(definition, '{limits}', '{\"per_user\": 9}') WHERE activity_code = 'camp18'", "activity_version", "changed", "camp18", {"limits": {"per_user": 3}}, {"limits": {"per_user": 9}, "version": 1}),
    ("INSERT INTO play (code) VALUES ('p')", "play", "created", "p", None, {"version": None}),
    ("INSERT INTO play_version (play_code, version, definition) VALUES ('p', 1, '{}')", "play_version", "created", "p", None, {"version": 1}),
    ("UPDATE play SET version = 1 WHERE code = 'p'", "play", "changed", "p", {"version": None}, {"version": 1}),
    ("UPDATE behaviour_rule SET enabled = false", "behaviour_rule", "changed", "bought", {"enabled": True}, {"enabled": False}),
    ("INSERT INTO stored_chain (name, version) VALUES ('c', 1)", "stored_chain", "created", "c", None, {"version": 1, "enabled": True}),
    ("INSERT INTO stored_chain_version (name, version, template_type, link, steps) VALUES ('c', 1, 't', 'grant', '{a}')", "stored_chain_version", "created", "c", None, {"steps": ["a"]}),
    ("UPDATE stored_chain SET enabled = false", "stored_chain", "changed", "c", {"enabled": True}, {"enabled": False}),
    ("UPDATE benefit SET stock_initial = 12, remaining = 12", "benefit", "changed", "camp18/c18", {"stock_initial": 10}, {"stock_initial": 12}),
    ("INSERT INTO stock_movement (activity_code, benefit_code, delta, reason) VALUES ('camp18', 'c18', 5, 'more')", "stock_movement", "created", "camp18/c18", None, {"delta": 5, "reason": "more"}),
    ("INSERT INTO api_key (id, name, secret_hash, scopes, signing_secrets) VALUES ('k', 'shop', 'hidden1', '{audit:read}', '{hidden2}')", "api_key", "created", "k", None, {"name": "shop", "scopes": ["audit:read"]}),
    ("UPDATE api_key SET revoked_at = '2026-01-01'", "api_key", "changed", "k", {"revoked_at": None}, {"revoked_at": "2026-01-01T00:00:00+00:00"}),
    ("UPDATE asset SET status = 'revoked'", "asset", "changed", "{asset}", {"status": "available"}, {"status": "revoked"}),
    ("UPDATE item SET title = 'x'", "item", "changed", "*", None, {"rows": 2}),
    ("DELETE FROM item_set", "item_set", "deleted", "*", None, {"rows": 2}),
    ("DELETE FROM user_profile", "user_profile", "deleted", "*", None, {"rows": 1}),
    ("DELETE FROM api_key", "api_key", "deleted", "k", {"name": "shop"}, None),
    ("TRUNCATE item", "item", "emptied", "*", None, None),
)  # fmt: skip
# What the hot path writes, and what says nothing new: the log keeps silent.
SILENT = (
    "UPDATE benefit SET remaining = remaining - 1",
    "UPDATE asset SET status = 'expired' WHERE status = 'available'",
    "UPDATE asset SET changed_at = now()",
    "UPDATE api_key SET last_used_at = now()",
    "UPDATE activity SET updated_at = now()",
    "DELETE FROM item WHERE item_id = 'nobody knows it'",
    "INSERT INTO limit_counter VALUES ('camp18', 'day', '2017-11-01', 1)",
)


def _set_up(drive: Drive) -> str:
    """Load an activity with a rule, grant once, fill the catalogue; give the asset's id."""
    coupon = {"kind": "coupon", "value_minor": 500, "stock": 10, "validity_s": 86_400}
    drive.load(
        at_checkout(limits={"per_user": 3}, benefits={"c18": coupon}), {"behaviour_rules": {"bought": bought(1)}}
    )
    setup.import_users(drive.runtime, [{"user_id": "private-user", "segment": "private-segment"}])
    setup.import_items(drive.runtime, [{"item_id": "i1"}, {"item_id": "i2"}])
    setup.import_item_sets(drive.runtime, {"tea": ["i1", "i2"]})
    (result,) = drive.visit("private-user").results
    return str(result["assets"][0]["asset_id"])


def _entries(drive: Drive, **options: Any) -> list[audit_log.Entry]:
    with drive.runtime.engine.connect() as conn:
        return audit_log.listing(conn, **{"limit": 1000, **options})


def test_changes_by_hand_are_told(drive: Drive) -> None:
    """Whatever table an operator's things are in, a change at `psql` is one entry, by the database's user."""
    asset = _set_up(drive)
    by_hand = make_engine(drive.app.settings.database_url, pool_size=1)
    try:
        for statement, kind, action, subject, before, now in BY_HAND:
            with by_hand.begin() as conn:
                conn.execute(text(statement.replace(":", r"\:")))
            newest = _entries(drive, limit=1)[0]
            said = (newest.kind, newest.action, newest.subject)
            assert said == (kind, action, subject.replace("{asset}", asset)), statement
            assert newest.actor == f"database:{by_hand.url.username}"
            assert newest.request_id is None
            for wanted, found in ((before, newest.before), (now, newest.after)):
                assert (wanted is None) == (found is None), statement
                assert (wanted or {}).items() <= (found or {}).items(), statement
    finally:
        by_hand.dispose()
    kept = str([(one.subject, one.before, one.after) for one in _entries(drive)])
    for hidden in ("private-user", "private-segment", "hidden1", "hidden2"):
        assert hidden not in kept


def test_what_grants_do_is_no_entry(drive: Drive) -> None:
    """Granting, showing again, expiring and counting write nothing into the log; a grant's writes do not even fire it."""
    _set_up(drive)
    before = len(_entries(drive))
    assert drive.outcome("another") == "granted"
    assert drive.outcome("another") == "reused"
    assert drive.outcome("another", at=after(days=2)) == "granted"
    drive.happen(acted("another"))
    for statement in SILENT:
        drive.run(statement)
    assert len(_entries(drive)) == before
    asset = "INSERT INTO asset SELECT gen_random_uuid(), user_id, activity_code, grant_id, 9, benefit_code, kind, status, value_minor, currency, details, valid_from, valid_until, status_at FROM asset LIMIT 1"  # fmt: skip
    for statement in ("UPDATE benefit SET remaining = remaining - 1", asset):
        plan = "\n".join(row[0] for row in drive.rows(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}"))
        assert "Execution Time" in plan
        assert "audit_log" not in plan


def test_an_entry_names_who_asked(drive: Drive) -> None:
    """A change is told of in the name of whoever its runtime acts for, by which request, in that transaction alone."""
    drive.load(document())
    assert {one.actor for one in _entries(drive)} == {"tactics"}
    ann = drive.runtime.acting_as("ann", "request-1")
    setup.pause(ann, "camp18")
    newest = _entries(drive, limit=1)[0]
    assert (newest.actor, newest.request_id, newest.after and newest.after["status"]) == ("ann", "request-1", "paused")
    for _ in range(3):  # connections of the pool, used again
        drive.run("UPDATE activity SET priority = priority + 1")
        newest = _entries(drive, limit=1)[0]
        assert (newest.actor, newest.request_id) == ("tactics", None)


def test_an_asset_taken_back_is_told_without_its_user(drive: Drive) -> None:
    """A change of an asset's status says what it was and is, and whose asset it is nowhere."""
    asset = _set_up(drive)
    (held,) = drive.rows("SELECT id FROM asset")
    with drive.runtime.acting_as("bo").changing() as conn:
        change_asset(conn, held[0], "redeemed", after(hours=1))
    newest = _entries(drive, limit=1)[0]
    assert (newest.actor, newest.subject) == ("bo", asset)
    assert (newest.before, newest.after) == ({"status": "available"}, {"status": "redeemed"})


@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'somebody else'", "DELETE FROM {}", "TRUNCATE {}"])
def test_entries_stay(drive: Drive, statement: str) -> None:
    """No entry is changed or deleted, through the table or through its partitions; dropping a month is all there is."""
    drive.load(document())
    month = drive.value("SELECT tableoid::regclass::text FROM audit_log LIMIT 1")
    assert month != "audit_log_pdefault"
    count = len(_entries(drive))
    drive.run("INSERT INTO audit_log (at, actor, action, kind, subject) VALUES ('2001-01-01', 'a', 'b', 'c', 'd')")
    for table in ("audit_log", month, "audit_log_pdefault"):
        with pytest.raises(DBAPIError, match="only ever added to"):
            drive.run(statement.format(table))
    assert len(_entries(drive)) == count + 1
    with drive.runtime.engine.begin() as conn:
        assert month in [one.name for one in partitions.months(conn, "audit_log")]
        partitions.drop(conn, [month])
    assert len(_entries(drive)) == 1


def test_each_month_has_its_partition_and_its_guard(drive: Drive) -> None:
    """This month and the next ones have partitions of every table by time, those of the log with the guard of TRUNCATE."""
    with drive.runtime.engine.begin() as conn:
        assert partitions.ensure_months(conn) == []
        for table in partitions.TABLES:
            assert len(partitions.months(conn, table)) == partitions.AHEAD + 1
    logs = {row[0] for row in drive.rows("SELECT relname FROM pg_class WHERE relname ~ '^audit_log_p[0-9]+$'")}
    guarded = drive.rows("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only_truncate'")
    assert logs <= {row[0] for row in guarded}


def test_the_log_is_read_in_parts(drive: Drive) -> None:
    """Filters leave out what they say; pages follow each other without a gap; the newest is first."""
    drive.load(document(), document(code="camp19"))
    setup.pause(drive.runtime.acting_as("ann"), "camp19")
    every = _entries(drive)
    assert [(one.at, one.id) for one in every] == sorted([(one.at, one.id) for one in every], reverse=True)
    assert {one.kind for one in _entries(drive, kind="benefit")} == {"benefit"}
    assert {one.subject for one in _entries(drive, subject="camp19")} == {"camp19"}
    assert [one.action for one in _entries(drive, actor="ann")] == ["changed"]
    middle = every[len(every) // 2]
    assert _entries(drive, since=middle.at) + _entries(drive, until=middle.at) == every
    paged: list[audit_log.Entry] = []
    while page := _entries(drive, limit=3, after=(paged[-1].at, paged[-1].id) if paged else None):
        paged += page
    assert paged == every

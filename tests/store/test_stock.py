"""Stock that documents declare, while grants count it down."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from tactics.domain.activity import TacticsActivity
from tactics.errors import Conflict
from tactics.runtime import Runtime
from tactics.store import activities, stock
from tests.delivery.waiting import until
from tests.making import activity, with_coupon


def _take(conn: Connection, count: int) -> None:
    conn.execute(text("UPDATE benefit SET remaining = remaining - :count"), {"count": count})


def _stock(conn: Connection) -> tuple[int | None, int, int | None]:
    row = stock.of_activity(conn, "camp18")[0]
    return row.stock_initial, row.moved, row.remaining


def _pool(conn: Connection) -> list[str]:
    return list(conn.execute(text("SELECT code FROM benefit_code ORDER BY position")).scalars())


def test_first_import_sets_initial_and_remaining(runtime: Runtime) -> None:
    """A new benefit begins with the stock declared; without one it is unlimited."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(benefits={"c18": {"kind": "coupon", "stock": 7}, "free": {"kind": "points"}}))
        rows = stock.of_activity(conn, "camp18")
    assert [tuple(row) for row in rows] == [("c18", 7, 0, 7), ("free", None, 0, None)]


@pytest.mark.parametrize(("wanted", "moved", "left"), [(25, 15, 21), (6, -4, 2), (4, -6, 0)])
def test_other_stock_is_a_movement(runtime: Runtime, wanted: int, moved: int, left: int) -> None:
    """Another declared total moves stock by the difference, and what was granted stays granted."""
    with runtime.engine.begin() as conn:
        activities.save(conn, with_coupon(stock=10), publish=True)
        _take(conn, 4)
        activities.save(conn, with_coupon(stock=wanted))
        assert _stock(conn) == (10, moved, left)


def test_declared_totals_add_up_over_imports(runtime: Runtime) -> None:
    """The difference is always to the total declared last, also after the benefit was away for a version."""
    with runtime.engine.begin() as conn:
        activities.save(conn, with_coupon(stock=10), publish=True)
        _take(conn, 3)
        activities.save(conn, with_coupon(stock=20))
        rule = {"so": {"then": [{"block": "pbb.action.give_points", "params": {"points": 1}}]}}
        away = activities.save(conn, activity(benefits={}, rule=rule))
        assert _stock(conn) == (10, 10, 17)
        activities.save(conn, with_coupon(stock=12))
        assert _stock(conn) == (10, 2, 9)
    assert away.notes == ("benefit 'c18' is no longer in the document; what was granted of it stays",)


def test_stock_added_otherwise_stays_on_top(runtime: Runtime) -> None:
    """A movement that no document caused is not undone by the next import."""
    with runtime.engine.begin() as conn:
        activities.save(conn, with_coupon(stock=10), publish=True)
        conn.execute(
            text(
                "INSERT INTO stock_movement (activity_code, benefit_code, delta, reason)"
                " VALUES ('camp18', 'c18', 5, 'operator')"
            )
        )
        conn.execute(text("UPDATE benefit SET remaining = remaining + 5"))
        activities.save(conn, with_coupon(stock=11))
        assert _stock(conn) == (10, 6, 16)


def test_less_than_granted_is_refused(runtime: Runtime) -> None:
    """A total below what was granted is refused, and says the least that is possible."""
    with runtime.engine.begin() as conn:
        activities.save(conn, with_coupon(stock=10), publish=True)
        _take(conn, 4)
        with pytest.raises(Conflict, match=r"cannot go from 10 to 3.*only 6 are left.*least is 4") as raised:
            activities.save(conn, with_coupon(stock=3))
    assert raised.value.fields == {"activity": "camp18", "benefit": "c18", "least": 4}


@pytest.mark.parametrize(("before", "after"), [({"stock": 5}, {}), ({}, {"stock": 5})])
def test_limited_and_unlimited_change_only_before_publishing(
    runtime: Runtime, before: dict[str, int], after: dict[str, int]
) -> None:
    """A draft's benefit may become limited or unlimited; once published it may not."""
    with runtime.engine.begin() as conn:
        activities.save(conn, with_coupon(**before))
        activities.save(conn, with_coupon(**after), publish=True)
        assert _stock(conn) == (after.get("stock"), 0, after.get("stock"))
        with pytest.raises(Conflict, match="give the benefit another code"):
            activities.save(conn, with_coupon(**before))


def test_draft_limited_again_adds_up(runtime: Runtime) -> None:
    """Movements of a draft that was unlimited in between still add up to what remains."""
    with runtime.engine.begin() as conn:
        for members in ({"stock": 5}, {"stock": 8}, {}, {"stock": 6}):
            activities.save(conn, with_coupon(**members))
        initial, moved, left = _stock(conn)
    assert initial is not None
    assert initial + moved == left == 6


def test_pool_takes_new_codes_in_order_and_keeps_the_old(runtime: Runtime) -> None:
    """Codes are appended, never taken away; without `stock` the pool's size is the stock."""
    with runtime.engine.begin() as conn:
        activities.save(conn, with_coupon(codes=["A", "B"]), publish=True)
        assert _stock(conn) == (2, 0, 2)
        _take(conn, 1)
        saved = activities.save(conn, with_coupon(codes=["C", "B", "D"]))
        assert _pool(conn) == ["A", "B", "C", "D"]
        assert _stock(conn) == (2, 2, 3)
    assert saved.notes == ("benefit 'c18': codes that are no longer in the document stay in the pool: 1",)


def test_stock_smaller_than_the_pool_holds(runtime: Runtime) -> None:
    """A declared stock is the limit, however many codes there are."""
    with runtime.engine.begin() as conn:
        activities.save(conn, with_coupon(codes=["A", "B", "C"], stock=1), publish=True)
        assert _stock(conn) == (1, 0, 1)
        activities.save(conn, with_coupon(codes=["A", "B", "C"], stock=2))
        assert _stock(conn) == (1, 1, 2)


def test_importing_and_granting_codes_do_not_deadlock(runtime: Runtime) -> None:
    """An import waits for a grant that has just taken a code, before it holds anything that this grant takes next."""
    codes = {"kind": "coupon", "codes": ["A", "B"]}
    first = activity(benefits={"c18": codes}, limits={"per_day": 5})
    count = text("SELECT tactics_count_within('camp18', 'day', '2026-01-01', 1, 5)")
    with runtime.engine.begin() as conn:
        activities.save(conn, first, publish=True)
        conn.execute(count)  # a counter that imports lock
    given = [{"id": str(uuid4()), "line": 1, "benefit_code": "c18"}]
    with ThreadPoolExecutor(1) as pool, runtime.engine.connect() as granting:
        take = text("SELECT tactics_take_codes('camp18', 'c18', CAST(:given AS jsonb))")
        granting.execute(take, {"given": json.dumps(given)})
        importing = pool.submit(_save, runtime, activity(benefits={"c18": codes}, limits={"per_day": 6}))
        until(lambda: _waits(runtime) or importing.done(), "the import has met the grant")
        assert not importing.done()
        granting.execute(count)
        _take(granting, 1)
        granting.commit()
        importing.result(20)
    with runtime.engine.connect() as conn:
        assert _stock(conn)[2] == 1


def _save(runtime: Runtime, wanted: TacticsActivity) -> None:
    with runtime.engine.begin() as conn:
        activities.save(conn, wanted)


def _waits(runtime: Runtime) -> bool:
    with runtime.engine.connect() as conn:
        return bool(conn.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())

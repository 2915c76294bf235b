"""Co-occurrence: what is learnt bit by bit is what counting everything at once gives, whoever interrupts or does it twice."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import OperationalError

from tactics.runtime import Runtime
from tactics.store import items, recall
from tests.driving import NOON, after

Act = tuple[str, str, int]
"""Who did something with what, and so many minutes after noon."""

ACTS = st.tuples(st.sampled_from("ABcd"), st.sampled_from(["1", "2", "a", "B", "x"]), st.integers(0, 9))
STEPS = st.one_of(
    st.lists(ACTS, min_size=1, max_size=6),  # a batch of actions is recorded
    st.sampled_from(["learn", "learn", "killed", "rebuild"]),
)


def _record(conn: Connection, acts: Sequence[Act]) -> None:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for user_id, item_id, minute in sorted(acts, key=lambda act: act[2]):
        row = {"user_id": user_id, "item_id": item_id, "quantity": 1, "favourite": False, "last_action": "view"}
        rows[user_id, item_id] = {**row, "actions": 1, "last_at": after(minutes=minute)}
    items.record_actions(conn, [rows[key] for key in sorted(rows)])


def _latest(acts: Iterable[Act], window: int) -> dict[str, set[str]]:
    """Give each user's latest items, from all acts at once."""
    last: dict[str, dict[str, datetime]] = {}
    for user_id, item_id, minute in acts:
        mine = last.setdefault(user_id, {})
        mine[item_id] = max(mine.get(item_id, NOON), after(minutes=minute))
    return {
        user_id: set(sorted(mine, key=lambda one: (-mine[one].timestamp(), one))[:window])
        for user_id, mine in last.items()
    }


def _brute_force(acts: Iterable[Act], window: int) -> dict[tuple[str, str], int]:
    """Count the users of each pair by the definition."""
    return Counter(pair for mine in _latest(acts, window).values() for pair in product(mine, mine))


def _pairs(conn: Connection) -> dict[tuple[str, str], int]:
    return {(row[0], row[1]): row[2] for row in conn.execute(text("SELECT item_id, other_id, users FROM item_pair"))}


def _learn_all(conn: Connection, users: int, window: int) -> None:
    assert recall.take_turn(conn)
    while recall.learn_anew(conn, users=users, window=window):
        pass
    while recall.learn_waiting(conn, "", users=users, window=window):
        pass


@pytest.fixture
def engine(runtime: Runtime) -> Engine:
    """The test's own database, whose collation is that of the definition in Python."""
    with runtime.engine.begin() as conn:
        for table, column in (("user_item", "user_id"), ("user_item", "item_id")):
            conn.execute(text(f'ALTER TABLE {table} ALTER {column} TYPE text COLLATE "C"'))
    return runtime.engine


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=12), window=st.integers(1, 4), users=st.integers(1, 3))
def test_learning_bit_by_bit_is_counting_at_once(engine: Engine, steps: list[Any], window: int, users: int) -> None:
    """Any batches, order, interruptions, repetitions and rebuilds leave what a rebuild and a count in Python give."""
    with engine.begin() as conn:
        conn.execute(text("TRUNCATE user_item, item_pair, recall_rebuild"))
    acts: list[Act] = []
    for step in steps:
        _take(engine, step, users, window)
        acts += step if isinstance(step, list) else []
    with engine.begin() as conn:
        _learn_all(conn, users, window)
        learnt = _pairs(conn)
        _learn_all(conn, users, window)
        assert _pairs(conn) == learnt == _brute_force(acts, window)
        recall.begin_rebuild(conn)
        assert _pairs(conn) == {}
        _learn_all(conn, users, window)
        assert _pairs(conn) == learnt
        assert conn.execute(text("SELECT count(*) FROM user_item WHERE learnt IS NULL")).scalar_one() == 0


def _take(engine: Engine, step: Any, users: int, window: int) -> None:
    with engine.connect() as conn:
        assert recall.take_turn(conn)
        if isinstance(step, list):
            _record(conn, step)
        elif step == "rebuild":
            recall.begin_rebuild(conn)
        elif not recall.learn_anew(conn, users=users, window=window):
            recall.learn_waiting(conn, "", users=users, window=window)
        if step != "killed":
            conn.commit()


@contextmanager
def _acting_meanwhile(engine: Engine, acts: Sequence[Act]) -> Iterator[None]:
    """Record actions, from another connection, between what the learner reads and what it writes."""
    done: list[bool] = []

    def meanwhile(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("MERGE") and not done:
            done.append(True)
            with engine.begin() as other:
                _record(other, acts)

    event.listen(engine, "before_cursor_execute", meanwhile)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", meanwhile)
    assert done


BEFORE: Sequence[Act] = [("A", "1", 1), ("A", "2", 2), ("A", "3", 3)]


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param([("A", "4", 9)], id="a new item"),
        pytest.param([("A", "1", 9)], id="the one that is left out"),
        pytest.param([("A", "2", 9)], id="one that is counted"),
        pytest.param([("A", "1", 8), ("A", "2", 9), ("A", "3", 7), ("B", "1", 5)], id="all of them"),
        pytest.param([("A", "0", 0)], id="an old one"),
    ],
)
@pytest.mark.parametrize("counted_before", [False, True])
def test_actions_recorded_while_learning_are_not_lost(
    engine: Engine, meanwhile: Sequence[Act], counted_before: bool
) -> None:
    """What users do between the learner's reading and writing counts exactly once, if not in this batch, in the next."""
    more: list[Act] = [("A", "5", 6)] if counted_before else []
    with engine.begin() as conn:
        _record(conn, BEFORE)
        if counted_before:
            _learn_all(conn, 9, 2)
            _record(conn, more)
    with _acting_meanwhile(engine, meanwhile), engine.begin() as conn:
        assert recall.take_turn(conn)
        assert recall.learn_waiting(conn, "", users=9, window=2) == ["A"]
    with engine.begin() as conn:
        _learn_all(conn, 9, 2)
        assert _pairs(conn) == _brute_force([*BEFORE, *more, *meanwhile], 2)


def test_who_records_actions_is_never_the_one_to_give_way(engine: Engine) -> None:
    """Rows that somebody holds end the learner's batch before Postgres looks for deadlocks; nothing of it counts."""
    with engine.begin() as conn:
        _record(conn, BEFORE)
    with engine.connect() as acting:
        _record(acting, [("A", "1", 9)])
        with engine.connect() as conn:
            assert recall.take_turn(conn)
            with pytest.raises(OperationalError, match="lock timeout"):
                recall.learn_waiting(conn, "", users=9)
        acting.commit()
    with engine.begin() as conn:
        assert _pairs(conn) == {}
        _learn_all(conn, 9, recall.WINDOW)
        assert _pairs(conn) == _brute_force([*BEFORE, ("A", "1", 9)], recall.WINDOW)


def test_one_learner_at_a_time(engine: Engine) -> None:
    """While one learns, nobody else has a turn; who waits for one gets it when the first has committed."""
    got = threading.Event()

    def wait() -> None:
        with engine.begin() as conn:
            recall.wait_for_turn(conn)
            got.set()

    with engine.connect() as first, engine.connect() as second:
        assert recall.take_turn(first)
        assert not recall.take_turn(second)
        second.rollback()
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.05)
        first.rollback()
        assert got.wait(10)
        waiting.join()


def test_users_are_taken_in_batches(engine: Engine) -> None:
    """No more users than asked for are counted in one transaction, and one goes on after any of them."""
    with engine.begin() as conn:
        _record(conn, [(user, item, 1) for user in "abcde" for item in "12"])
        assert recall.take_turn(conn)
        assert recall.learn_waiting(conn, "c", users=1) == ["d"]
        assert recall.learn_waiting(conn, "", users=2) == ["a", "b"]
        assert _pairs(conn)["1", "2"] == 3
        assert recall.learn_waiting(conn, "", users=9) == ["c", "e"]
        assert recall.learn_waiting(conn, "", users=9) == []


def test_rebuild_goes_on_where_it_was_left(engine: Engine) -> None:
    """A rebuild that ended half-way is gone on with by the next turn; what comes meanwhile counts once."""
    acts: list[Act] = [(user, item, 1) for user in "abcde" for item in "12"]
    with engine.begin() as conn:
        _record(conn, acts)
        _learn_all(conn, 9, 9)
        conn.execute(text("UPDATE item_pair SET users = 77"))
        recall.begin_rebuild(conn)
        assert recall.learn_anew(conn, users=2) == ["a", "b"]
        more: list[Act] = [("a", "3", 2), ("d", "3", 2), ("aa", "1", 2)]
        _record(conn, more)
    with engine.begin() as conn:
        assert recall.state(conn, "1").rebuilding
        assert recall.learn_anew(conn, users=9) == ["c", "d", "e"]
        assert not recall.learn_anew(conn, users=9)
        assert not recall.state(conn, "1").rebuilding
        assert recall.learn_waiting(conn, "", users=9) == ["a", "aa"]
        assert _pairs(conn) == _brute_force([*acts, *more], 9)


def test_busy_users_cost_no_more_than_their_window(engine: Engine) -> None:
    """Of a user with many items, one more costs reading the window and what waits, not everything."""
    with engine.begin() as conn:
        _record(conn, [("A", f"{number:04}", number % 10) for number in range(400)])
        _learn_all(conn, 9, 5)
        _record(conn, [("A", "new", 9)])
        seen = conn.execute(recall._SEEN, {"users": ["A"], "window": 5, "everything": False}).all()
        assert len(seen) <= 5 + 2


def _cosine(pairs: Mapping[tuple[str, str], int], a: str, b: str) -> float:
    return pairs.get((a, b), 0) / math.sqrt(pairs[a, a] * pairs[b, b])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(acts=st.lists(ACTS, min_size=1, max_size=25), limit=st.integers(1, 4))
def test_candidates_are_what_goes_with_the_items_and_is_new(engine: Engine, acts: list[Act], limit: int) -> None:
    """Candidates are what the user never acted on, by the sum of cosines with the given items, ties by id."""
    with engine.begin() as conn:
        conn.execute(text("TRUNCATE user_item, item_pair, recall_rebuild"))
        _record(conn, acts)
        _learn_all(conn, 9, recall.WINDOW)
        pairs, user_id = _pairs(conn), acts[0][0]
        mine = sorted(_latest(acts, recall.WINDOW)[user_id])
        others = {other for item_id, other in pairs if item_id in mine} - set(mine)
        scores = {other: sum(_cosine(pairs, item_id, other) for item_id in mine) for other in others}
        found = recall.candidates(conn, user_id, [*mine, "nobody's"], limit)
    best = sorted(scores.values(), reverse=True)[:limit]
    assert [score for _, score in found] == pytest.approx(best)
    assert dict(found) == {item_id: pytest.approx(scores[item_id]) for item_id, _ in found}


def test_what_is_read_of_a_popular_item_is_bounded(engine: Engine) -> None:
    """Of an item that goes with everything, the others with the most users in common are looked at, and no more."""
    with engine.begin() as conn:
        acts = [(f"u{number}", item, 1) for number in range(60) for item in ("hub", f"i{number:02}")]
        acts += [(f"v{number}", item, 1) for number in range(3) for item in ("hub", "i07")]
        _record(conn, acts)
        _learn_all(conn, 99, recall.WINDOW)
        found = recall.candidates(conn, "nobody", ["hub"], 1_000)
        assert len(found) == recall.NEIGHBOURS
        assert found[0][0] == "i07"
        assert recall.beside(conn, "hub", 1)[0].users == 4


def test_what_goes_with_an_item(engine: Engine) -> None:
    """Of an item, those with the most users in common come first, with the users of each, their title and the cosine."""
    with engine.begin() as conn:
        conn.execute(text("INSERT INTO item (item_id, title, attributes) VALUES ('2', 'Tea', '{}')"))
        _record(conn, [("a", "1", 1), ("a", "2", 1), ("b", "1", 1), ("b", "2", 1), ("c", "2", 1), ("c", "3", 1)])
        assert recall.state(conn, "1") == (False, True, None)
        _learn_all(conn, 9, recall.WINDOW)
        assert recall.state(conn, "1") == (False, False, 2)
        assert recall.state(conn, "9").users is None
        found = recall.beside(conn, "2", 9)
        assert [tuple(row)[:4] for row in found] == [("1", None, 2, 2), ("3", None, 1, 1)]
        assert [row.score for row in found] == pytest.approx([2 / math.sqrt(6), 1 / math.sqrt(3)])
        assert [row.title for row in recall.beside(conn, "1", 9)] == ["Tea"]
        assert recall.beside(conn, "2", 1) == found[:1]

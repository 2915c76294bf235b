"""Behaviour rules over real user actions: when they speak, when they stay silent, and that the order does not matter."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tactics import rules
from tactics.flows import setup
from tactics.gateways.ports import Item
from tests.driving import NOON, Drive, acted, after

EMITTED = "SELECT id FROM event WHERE type = 'behaviour' ORDER BY at, id"


def _define(drive: Drive, rule: Any, key: str = "k", cooldown_s: int = 0) -> None:
    drive.load({"behaviour_rules": {key: {"rule": rules.to_json(rule), "cooldown_s": cooldown_s}}})


def _count(at_least: int, window_s: int = 3600, action: str = "purchase", **members: Any) -> Any:
    return rules.amount_at_least(rules.behaviour_count(action, window_s, **members), at_least)


def _emitted(drive: Drive) -> list[str]:
    return [row[0] for row in drive.rows(EMITTED)]


def test_rule_speaks_when_it_becomes_true(drive: Drive) -> None:
    """Only the action that makes the rule true emits; those after it, while it holds, do not; it may turn again."""
    _define(drive, _count(2))
    for number, minutes in enumerate((0, 10, 20, 85, 95)):
        drive.happen(acted("1", id=f"a{number}", at=after(minutes=minutes)))
    assert _emitted(drive) == ["k:1:a1", "k:1:a4"]
    assert drive.rows("SELECT source, channel, user_id, at FROM event WHERE id = 'k:1:a1'") == [
        ("tactics.behaviour:shop", "k", "1", after(minutes=10))
    ]


def test_action_leaves_the_window_at_its_end(drive: Drive) -> None:
    """An action exactly one window old no longer counts; a second younger it does."""
    _define(drive, _count(2, 60))
    drive.happen(acted("1", id="a"), acted("1", id="b", at=after(seconds=60)))
    drive.happen(acted("2", id="c"), acted("2", id="d", at=after(seconds=59)))
    assert _emitted(drive) == ["k:2:d"]


def test_rules_read_sets_categories_items_and_actions(drive: Drive) -> None:
    """Each rule counts what it names alone: an action, an item, a category, an item set; and quantities as given."""
    setup.import_items(drive.runtime, [{"item_id": "7", "category": "tea"}, {"item_id": "8", "category": "tea"}])
    setup.import_item_sets(drive.runtime, {"s": ["8", "9"]})
    _define(drive, _count(1, item_set="s"), "set")
    _define(drive, _count(1, category="tea"), "category")
    _define(drive, _count(1, item_id="7"), "item")
    _define(drive, _count(1, action="view"), "view")
    _define(drive, rules.amount_at_least(rules.behaviour_quantity("purchase", 3600), 5), "quantity")
    for number, (action, item_id) in enumerate(
        [("purchase", "7"), ("purchase", "8"), ("purchase", "9"), ("view", "9")]
    ):
        drive.happen(acted(str(number), action, item_id=item_id, id=f"x{number}"))
    drive.happen(acted("4", id="x4"), acted("5", id="x5", quantity=5), acted("6", id="x6", quantity=4))
    assert sorted(_emitted(drive)) == [
        "category:0:x0",
        "category:1:x1",
        "item:0:x0",
        "quantity:5:x5",
        "set:1:x1",
        "set:2:x2",
        "view:3:x3",
    ]


def test_rules_read_event_and_user(drive: Drive) -> None:
    """A rule sees the attributes of the triggering action and those stored of its user; the event carries the former."""
    city = rules.equals(rules.event_attribute("channel"), "app") & rules.equals(rules.user_attribute("city"), "Suzhou")
    _define(drive, city & _count(1))
    setup.import_users(drive.runtime, [{"user_id": "1", "city": "Suzhou"}, {"user_id": "2", "city": "Ulm"}])
    app: dict[str, Any] = {"attributes": {"channel": "app"}, "item_id": "7"}
    drive.happen(acted("1", id="a"), acted("2", id="b", **app), acted("3", id="c", **app), acted("1", id="d", **app))
    assert _emitted(drive) == ["k:1:d"]
    assert drive.value("SELECT data -> 'attributes' FROM event WHERE type = 'behaviour'") == {
        "action": "purchase",
        "channel": "app",
        "item_id": "7",
    }


def test_late_actions_count_by_their_own_time(drive: Drive) -> None:
    """An action that comes late is judged among those before it, and those after it are judged again."""
    _define(drive, _count(2, 600))
    drive.happen(acted("1", id="b", at=after(minutes=9)))
    drive.happen(acted("1", id="late", at=after(minutes=1)))
    assert _emitted(drive) == ["k:1:b"]
    drive.happen(acted("1", id="too_late", at=after(minutes=-8.5)))
    assert _emitted(drive) == ["k:1:late", "k:1:b"]


@pytest.mark.parametrize("backwards", [False, True])
def test_cooldown_keeps_events_apart_both_ways(drive: Drive, backwards: bool) -> None:
    """Within its cooldown a rule speaks once for a user, whether the other event lies before or after; others speak."""
    _define(drive, _count(1, 1), cooldown_s=60)
    times = [0, 59, 60, 119, 120]
    for seconds in reversed(times) if backwards else times:
        drive.happen(acted("1", id=f"{seconds:03}", at=after(seconds=seconds)))
    assert _emitted(drive) == ["k:1:000", "k:1:060", "k:1:120"]
    drive.happen(acted("2", id="x", at=after(seconds=1)))
    assert "k:2:x" in _emitted(drive)


def test_users_of_odd_names_keep_their_events_apart(drive: Drive) -> None:
    """A colon in ids does not make two users' behaviour events one."""
    _define(drive, _count(1))
    drive.happen(acted("b", id="c:d"), acted("b:c", id="d"))
    assert drive.rows("SELECT user_id FROM event WHERE type = 'behaviour' ORDER BY 1") == [("b",), ("b:c",)]


def test_disabled_rule_is_silent_and_a_new_version_speaks(drive: Drive) -> None:
    """A rule that is disabled emits nothing; a rule that changed is read again by processes that had read it before."""
    _define(drive, _count(1))
    _define(drive, _count(1), "off")
    drive.run("UPDATE behaviour_rule SET enabled = false WHERE rule_key = 'off'")
    drive.happen(acted("1", id="a"))
    _define(drive, _count(2))
    drive.happen(acted("2", id="b"), acted("2", id="c"))
    assert _emitted(drive) == ["k:1:a", "k:2:c"]


def test_rule_that_is_none_is_silent(drive: Drive) -> None:
    """A stored rule that cannot be evaluated never speaks; what the others say is not lost over it."""
    _define(drive, _count(1))
    _define(drive, _count(1), key="other")
    never = rules.amount_at_least(rules.behaviour_count("purchase", 3600), rules.Alias("times"))
    drive.run(
        "UPDATE behaviour_rule SET rule = CAST(:rule AS jsonb) WHERE rule_key = 'k'",
        rule=json.dumps(rules.to_json(never)),
    )
    drive.happen(acted("1", id="a"))
    assert _emitted(drive) == ["other:1:a"]


def test_what_users_did_with_items_is_recorded(drive: Drive) -> None:
    """Each user's items are counted over batches; a favourite or like marks the item, and favourites come first."""
    drive.happen(
        acted("1", item_id="7", quantity=2, at=after(minutes=5)),
        acted("1", item_id="8", at=after(minutes=6)),
        acted("1", "favourite", item_id="9"),
        acted("2", "like", item_id="7"),
        acted("1"),
    )
    drive.happen(acted("1", "view", item_id="7", quantity=3, at=after(minutes=4)))
    assert drive.rows(
        "SELECT user_id, item_id, actions, quantity, favourite, last_action, last_at FROM user_item ORDER BY 1, 2"
    ) == [
        ("1", "7", 2, 5, False, "purchase", after(minutes=5)),
        ("1", "8", 1, 1, False, "purchase", after(minutes=6)),
        ("1", "9", 1, 1, True, "favourite", NOON),
        ("2", "7", 1, 1, True, "like", NOON),
    ]
    with drive.runtime.engine.connect() as conn:
        found = drive.runtime.gateways.items.of_user(conn, "1", 2)
    assert found == [Item("9", "9"), Item("8", "8")]


def test_batches_of_one_user_at_once_count_each_other(drive: Drive) -> None:
    """Batches of one user that are routed at the same moment do not each count only themselves: the rule turns once."""
    _define(drive, _count(4, 86_400))
    users = [str(number) for number in range(10)]
    both = Barrier(2)

    def half(first: int) -> None:
        for user in users:
            both.wait()
            drive.happen(*[acted(user, id=f"{user}.{first + n}", at=after(seconds=first + n)) for n in (0, 1)])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(half, (0, 2)))
    assert sorted(row[0] for row in drive.rows("SELECT user_id FROM event WHERE type = 'behaviour'")) == users
    assert drive.value("SELECT count(*) FROM user_action") == 4 * len(users)


_TIMES = st.lists(st.integers(0, 40), min_size=1, max_size=8, unique=True)
_PASS = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_users = iter(range(1_000_000))


def _emitted_minutes(drive: Drive, key: str, batches: list[list[int]]) -> list[int]:
    """Let a new user act at these minutes, a batch at a time; give the minutes at which the rule spoke."""
    user = f"{key}{next(_users)}"
    for batch in batches:
        drive.happen(*[acted(user, id=f"{user}.{minute}", at=after(minutes=minute)) for minute in batch])
    query = "SELECT at FROM event WHERE type = 'behaviour' AND channel = :key AND user_id = :user ORDER BY at"
    return [(row[0] - NOON) // timedelta(minutes=1) for row in drive.rows(query, key=key, user=user)]


def _cut(order: list[int], cuts: list[bool]) -> list[list[int]]:
    batches: list[list[int]] = []
    for position, minute in enumerate(order):
        if position == 0 or cuts[position % len(cuts)]:
            batches.append([])
        batches[-1].append(minute)
    return batches


def _turns(times: list[int], window: int = 10, at_least: int = 2) -> list[int]:
    """Work out by hand when a count within a window becomes enough."""
    within = {at: [one for one in times if at - window < one <= at] for at in times}
    return sorted(at for at, seen in within.items() if len(seen) >= at_least and len(seen) - 1 < at_least)


@pytest.fixture
def counting(drive: Drive) -> Drive:
    """A drive with a rule of two actions in ten minutes, once without cooldown and once with one of fifteen minutes."""
    _define(drive, _count(2, 600), "plain")
    _define(drive, _count(2, 600), "cool", cooldown_s=900)
    return drive


@given(_TIMES, st.data())
@_PASS
def test_batching_never_matters_in_order(counting: Drive, times: list[int], data: st.DataObject) -> None:
    """Actions that come in the order of their times give the same events however they are cut, in any order within."""
    cuts = data.draw(st.lists(st.booleans(), min_size=1, max_size=8))
    shuffled = [data.draw(st.permutations(batch)) for batch in _cut(sorted(times), cuts)]
    assert _emitted_minutes(counting, "plain", shuffled) == _turns(times)
    one_by_one = _emitted_minutes(counting, "cool", [[at] for at in sorted(times)])
    assert _emitted_minutes(counting, "cool", shuffled) == one_by_one
    assert _emitted_minutes(counting, "cool", [list(times)]) == one_by_one


@given(_TIMES, st.data())
@_PASS
def test_any_order_misses_nothing(counting: Drive, times: list[int], data: st.DataObject) -> None:
    """Actions that come late take no event back and hide none.

    An event that was true when it was emitted stays, so a late action may leave one more than the order of times would
    have. What holds in any order and batching: every turn of the whole history has its event, with a cooldown one
    within the cooldown of it; events are never closer than the cooldown; and each was a turn of what was known then.
    """
    order = data.draw(st.permutations(times))
    batches = _cut(order, data.draw(st.lists(st.booleans(), min_size=1, max_size=8)))
    plain = _emitted_minutes(counting, "plain", batches)
    assert set(_turns(times)) <= set(plain)
    known: list[int] = []
    ever: set[int] = set()
    for batch in batches:
        known += batch
        ever |= set(_turns(known))
    assert set(plain) == ever
    cool = _emitted_minutes(counting, "cool", batches)
    assert set(cool) <= ever
    assert all(later - earlier >= 15 for earlier, later in pairwise(cool))
    assert all(any(abs(at - one) < 15 for one in cool) for at in ever)

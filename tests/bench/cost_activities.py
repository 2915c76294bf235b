"""What an event costs with 10,000 live activities, over what it costs with 10.

Each activity has a behaviour rule of its own, under its own key, over its own set of five items and one of four kinds
of actions; the sets do not overlap. Every action here is one that exactly one rule reads (and does not satisfy), and
every behaviour event prepares exactly one instance: what has to be done for an event is the same in both worlds, and
only what is registered beside it grows.

Actions choose among all activities evenly; behaviour events the n-th activity as often as 1/n says, as campaigns'
popularity goes. Of the two kinds of events the worse ratio is the figure. Items and sets come in by the public
imports; of the activities, one of each kind does, and the others are its clones (`clones`), the same rows under other
names. Two workers' processes for each world, on two servers, in turn.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tactics.flows import setup
from tests.bench import clones, cost, scene
from tests.bench.size import Size
from tests.bench.stage import MeasureFailed, plain_url, stage

KEYS = ("cost_10k_activities",)
USERS = cost.MOST
ITEMS_OF_A_SET = 5
KINDS = ("view", "favourite", "add_to_cart", "purchase")
NEVER = 1_000_000


def measure(size: Size) -> dict[str, float]:
    """Compare both kinds of events in both worlds."""
    with _world(size.few_activities) as small, _world(size.many_activities) as large:
        found = cost.compare(small, large, size)
    return {
        "cost_10k_activities": max(found["behaviours"], found["actions"]),
        **{f"cost_10k_activities_{name}": value for name, value in found.items()},
    }


@contextmanager
def _world(activities: int) -> Iterator[cost.World]:
    """Set up a shop with so many live activities."""
    chance = random.Random(activities)  # noqa: S311  # the same events in every run
    popularity = list(itertools.accumulate(1 / (number + 1) for number in range(activities)))

    def behaviours(name: str, count: int) -> list[dict[str, Any]]:
        chosen = chance.choices(range(activities), cum_weights=popularity, k=count)
        users = chance.sample(range(USERS), count)  # two at once of one instance would wait for each other
        return [
            scene.behaviour(f"{name}-{one}", user, f"key-{_name(number)}")
            for one, (number, user) in enumerate(zip(chosen, users, strict=True))
        ]

    def actions(name: str, count: int) -> list[dict[str, Any]]:
        chosen = [chance.randrange(activities) for _ in range(count)]
        return [
            scene.action(
                f"{name}-{one}",
                chance.randrange(USERS),
                KINDS[number % len(KINDS)],
                number * ITEMS_OF_A_SET + chance.randrange(ITEMS_OF_A_SET),
            )
            for one, number in enumerate(chosen)
        ]

    with stage() as local:
        runtime = local.app.runtime
        setup.import_items(runtime, [scene.item(number) for number in range(activities * ITEMS_OF_A_SET)])
        setup.import_item_sets(runtime, {f"set-{_name(number)}": _items(number) for number in range(activities)})
        setup.import_users(runtime, [{"user_id": scene.user(number), "level": "gold"} for number in range(USERS)])
        setup.import_activities(runtime, [_document(f"{kind}-{clones.MARK}") for kind in KINDS], publish=True)
        with psycopg.connect(plain_url(local)) as conn:
            for position, kind in enumerate(KINDS):
                clones.clone(conn, f"{kind}-{clones.MARK}", list(range(position, activities, len(KINDS))))
            clones.remove_marked(conn)
        # The last one by itself: an import is what tells workers to look again.
        setup.import_activities(runtime, [_document(_name(activities - 1), priority=1)], publish=True)
        with psycopg.connect(plain_url(local), autocommit=True) as conn:
            conn.execute("VACUUM (ANALYZE)")
            _check(conn, activities)
        yield cost.World(local, behaviours, actions)


def _check(conn: psycopg.Connection, activities: int) -> None:
    live = "SELECT (SELECT count(*) FROM activity WHERE status = 'live'), (SELECT count(*) FROM behaviour_rule WHERE enabled)"
    if (found := conn.execute(live).fetchone()) != (activities, activities):
        raise MeasureFailed(f"live activities and enabled rules are {found}, not {activities} each")


def _items(number: int) -> list[str]:
    return [str(number * ITEMS_OF_A_SET + one) for one in range(ITEMS_OF_A_SET)]


def _name(number: int) -> str:
    """Name what belongs to an activity."""
    return f"{KINDS[number % len(KINDS)]}-{number}"


def _document(name: str, **changes: Any) -> dict[str, Any]:
    rule = scene.at_least(NEVER, action=name.partition("-")[0], item_set=f"set-{name}")
    rules = {f"key-{name}": rule}
    return (
        scene.document(f"bench-{name}", rule_key=f"key-{name}", channel=f"banner-{name}", behaviour_rules=rules)
        | changes
    )

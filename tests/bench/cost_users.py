"""What an event costs with a million users who have a history, over what it costs with a thousand.

Both worlds have the same activity and the same past per user (`history`), written in bulk by SQL, then vacuumed and
analysed. Events are of random users, none of whom comes again before all others did, or the round is over: user actions
that the rule reads and that do not satisfy it, and behaviour events that prepare. Of the two kinds the worse ratio is
the figure. Two workers' processes for each world, on two servers, in turn.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench import cost, history, scene
from tests.bench.size import Size
from tests.bench.stage import plain_url, stage

KEYS = ("cost_1m_users",)
NEVER = 1_000_000


def measure(size: Size) -> dict[str, float]:
    """Compare both kinds of events in both worlds."""
    with _world(size.few_users) as small, _world(size.many_users) as large:
        found = cost.compare(small, large, size)
    return {
        "cost_1m_users": max(found["behaviours"], found["actions"]),
        **{f"cost_1m_users_{name}": value for name, value in found.items()},
    }


@contextmanager
def _world(users: int) -> Iterator[cost.World]:
    """Set up a shop with so many users."""
    chance = random.Random(users)  # noqa: S311  # the same events in every run

    def chosen(count: int) -> list[int]:
        order = chance.sample(range(users), min(users, count))
        return [order[one % len(order)] for one in range(count)]

    def behaviours(name: str, count: int) -> list[dict[str, Any]]:
        return scene.behaviours(name, chosen(count))

    def actions(name: str, count: int) -> list[dict[str, Any]]:
        return [
            scene.action(f"{name}-{one}", number, "view", chance.randrange(scene.ITEMS))
            for one, number in enumerate(chosen(count))
        ]

    with stage() as local:
        rules = {scene.RULE_KEY: scene.at_least(NEVER, action="view")}
        scene.set_up(local.app, 1, [scene.document(behaviour_rules=rules)])
        history.fill(plain_url(local), users)
        yield cost.World(local, behaviours, actions)

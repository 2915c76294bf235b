"""The activities of a run, and who asks for what and when: made up front from the seed alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.shape import Shape

BOUGHT = "chaos_bought"
SOURCE = "shop"
PER_USER = 3
EARLY = -1.0
"""When an event is sent that comes before anything fails: half of the users are known to the shop by then."""
_OFTEN = 0.8
VALUE = 500
# Channel, share of the visits, whether only the best activity is asked for, and the activities that answer there.
SLOTS: Sequence[tuple[str, float, bool, tuple[str, ...]]] = (
    ("home", 0.40, False, ("stocked",)),
    ("cart", 0.15, False, ("unlocked",)),
    ("popup", 0.15, True, ("better", "lesser")),
    ("wallet", 0.30, False, ("outside",)),
)
_LASTS = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Sent:
    """An event that a producer sends, at each of these seconds: more than one is the same again."""

    number: int
    type: str
    user_id: str
    happened_s: float
    sent_s: tuple[float, ...]


@dataclass(frozen=True)
class Visited:
    """A visit to a slot. `then` is what the user does with what is shown."""

    number: int
    user_id: str
    channel: str
    best_only: bool
    at_s: float
    twin: bool
    then: str


@dataclass(frozen=True)
class Script:
    """All that is asked for in a run."""

    events: Sequence[Sent]
    visits: Sequence[Visited]

    def demand(self, channel: str) -> int:
        """Count the grants that would be made on a channel if there were enough of everything."""
        wanted: Counter[str] = Counter()
        spent: dict[str, bool] = {}
        for visit in sorted((one for one in self.visits if one.channel == channel), key=lambda one: one.at_s):
            if spent.get(visit.user_id, True):
                wanted[visit.user_id] += 1
                spent[visit.user_id] = visit.then == "redeem"
        return sum(min(PER_USER, count) for count in wanted.values())


def write_script(seed: int, shape: Shape) -> Script:
    """Write down what happens in a run."""
    rng = random.Random(f"load of {seed}")  # noqa: S311  # to be repeated
    users = [f"u{number:05}" for number in range(shape.users)]
    # Whoever comes for the first time comes in time: the others make up for it.
    late_share = shape.reordered / (1 - shape.users / shape.events)
    early = users[: len(users) // 2]
    end = 0.95 * shape.seconds
    events = []
    for number in range(shape.events):
        at = rng.uniform(0, end)
        late = rng.uniform(1, 20) if rng.random() < late_share else 0.0
        first = min(end, at + late)
        again = (min(end, first + rng.choice((0.0, 0.05, 5.0)) * rng.random()),) * (rng.random() < shape.duplicated)
        kind = rng.choices(("purchase", "view", "behaviour"), (3, 6, 1))[0]
        user = users[number] if number < len(users) else rng.choice(users)
        if number < len(early):
            kind, first = "behaviour", EARLY
        elif number < len(users):
            kind, first = "behaviour", first / 4
        events.append(Sent(number, kind, user, at, (first, *again)))
    visits = []
    slots = [(channel, best) for channel, _, best, _ in SLOTS]
    shares = [share for _, share, _, _ in SLOTS]
    for number in range(shape.placements):
        channel, best = rng.choices(slots, shares)[0]
        then = rng.choices(("redeem", "release", "claim", "keep"), (75, 10, 5, 10))[0]
        at = rng.uniform(0.05 * end, end)
        user = rng.choice(early if rng.random() < _OFTEN else users)
        visits.append(Visited(number, user, channel, best, at, rng.random() < 0.1, then))
    return Script(events, visits)


def documents(script: Script, shape: Shape, provider: str) -> list[dict[str, Any]]:
    """Give the activities, their stock and budgets short of what the script asks for.

    Args:
        script: what is asked for.
        shape: by how much they fall short.
        provider: who gives the outside benefit.
    """

    def short(channel: str, share: float = 1.0) -> int:
        return max(1, int(script.demand(channel) * (1 - shape.short) * share))

    count = {"block": "pbb.resource.behaviour_count", "params": {"action": "purchase", "window_s": 86_400}}
    bought = {"block": "pbb.condition.amount_at_least", "params": {"amount": count, "amount_at": 1}}
    prepared = {"prepare": [BOUGHT]}
    per_user = {"per_user": PER_USER, "per_day": 10_000_000}
    outside = {"provider": provider}
    return [
        {
            **_document("stocked", "home", {"stock": short("home")}, prepare=[BOUGHT], limits=per_user),
            "behaviour_rules": {BOUGHT: {"rule": bought}},
        },
        _document("unlocked", "cart", {}, lock=False, limits={"budget_minor": VALUE * short("cart")}),
        _document("better", "popup", {"stock": short("popup", 0.5)}, priority=10, limits=per_user),
        _document("lesser", "popup", {"stock": short("popup", 0.5)}, limits={"per_user": PER_USER}),
        _document("outside", "wallet", {"stock": short("wallet"), **outside}, **prepared, limits=per_user),
    ]


def _document(
    code: str, channel: str, benefit: dict[str, Any], *, prepare: Sequence[str] = (), **changes: Any
) -> dict[str, Any]:
    return {
        "code": code,
        "template_type": "full_link_v3",
        "schedule": _LASTS,
        "channels": {"prepare": list(prepare), "grant": [channel]},
        "rule": {"so": {"then": [{"block": "pbb.action.send_coupon", "params": {"benefit": f"{code}_b"}}]}},
        "benefits": {f"{code}_b": {"kind": "coupon", "value_minor": VALUE, "validity_s": 86_400, **benefit}},
        **changes,
    }

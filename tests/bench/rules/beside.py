"""Other rule engines: each one's time over ours, for R1 to R3 and for 1,000 rules; then from raw JSON.

Each in its fastest form that a user would write, compiled before (`peers/`); what the host computes for it is in its
time. From JSON: `json.loads` first or the peer's own reading of the text, whichever is faster, over `decide_json`;
there the hand-written function stands beside too, as `hand`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.bench.rules import hand, ours, peers, verify
from tests.bench.rules.contestant import Contestant
from tests.bench.rules.facts import as_json, orders
from tests.bench.rules.rules import SINGLE, mixed
from tests.bench.rules.size import Size
from tests.bench.rules.timing import Work, over, times

PEERS, PEERS_JSON = "peers", "peers_json"
Figures = dict[str, dict[str, float]]


def load(names: Sequence[str]) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Give those peers that are installed, and why the others are not there."""
    found: dict[str, Contestant] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            found[name] = peers.load(name)
        except ImportError as error:
            missing[name] = f"not installed: {error}"
    return found, missing


def measure(contestants: Mapping[str, Contestant], size: Size) -> Figures:
    """Take R1 to R3 and 1,000 rules from facts that are Python objects."""
    figures: Figures = {name: {} for name in contestants}
    facts = orders(size.orders)
    for rule in SINGLE:
        wanted = verify.ours_are_by_hand(rule, facts)
        works: dict[str, Work] = {}
        for name, one in contestants.items():
            works[name] = (one.single()[rule], facts)
            verify.same(f"{name} on {rule}", map(works[name][0], facts), wanted)
        _put(figures, rule, works, (ours.single(rule).decide, facts), size)
    some = mixed(size.some)
    our = ours.many(some)
    keys = [ours.keys(our, one) for one in facts]
    works = {}
    for name, one in contestants.items():
        matching = one.many(some)
        verify.keys(f"{name} on {size.some} rules", matching, facts, keys)
        works[name] = (matching, facts)
    _put(figures, "rules_1000", works, (our.matching, facts), size)
    return figures


def measure_json(contestants: Mapping[str, Contestant], size: Size) -> Figures:
    """Take R1 to R3 from facts that are JSON text, in bytes."""
    everybody = {**contestants, "hand": hand.HAND}
    figures: Figures = {name: {} for name in everybody}
    facts = orders(size.orders)
    texts = [as_json(one) for one in facts]
    for rule in SINGLE:
        wanted = verify.ours_are_by_hand(rule, facts)
        decide_json = ours.single(rule).decide_json
        works: dict[str, Work] = {}
        for name, one in everybody.items():
            works[name] = (one.from_json()[rule], texts)
            verify.same(f"{name} on {rule} from JSON", map(works[name][0], texts), wanted)
        _put(figures, rule, works, (decide_json, texts), size)
    return figures


def _put(figures: Figures, key: str, works: Mapping[str, Work], our: Work, size: Size) -> None:
    taken = times({"ours": our, **works}, size, size.peer_rounds)
    for name in works:
        figures[name][key] = over(taken, name, "ours")

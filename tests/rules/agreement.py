"""Whether the engine and the plain evaluation say the same, and if not, in which words they differ."""

from __future__ import annotations

from typing import Any

from tactics.rules import Evaluation, Registry, calculate, explain, parse
from tests.rules.plain_rule import Variants, plain_answer

Json = dict[str, Any]
UNKNOWN = ("missing", "wrong_type", "failed")


def disagreement(
    rule: Any,
    facts: Any,
    item_id: str | None = None,
    registry: Registry | None = None,
    variants: Variants | None = None,
) -> str | None:
    """None where both give the same status, the same effects, and skip the same steps of a ladder."""
    node = None if rule is None else parse(rule, registry)
    plain = plain_answer(rule, facts, item_id, variants)
    wanted = (plain.status, plain.status == "matched", plain.effects, plain.unknown_steps)
    # The compiled rule answers `calculate`, wherever the facts are as it expects them; `explain` asks node by node.
    answers = [calculate(node, facts, registry, item_id=item_id)]
    answers += [] if node is None else [explain(node, facts, registry, item_id=item_id).evaluation]
    for engine in answers:
        said = (engine.status, engine.matched, list(engine.effects), unknown_steps(rule, engine))
        if said != wanted:
            return f"the engine says {engine.to_json()}, the plain evaluation {plain}"
    return None


def unknown_steps(rule: Any, answer: Evaluation) -> list[int]:
    """The steps of a ladder that the reasons tell to be unknown, as they were tried."""
    if not isinstance(rule, dict) or "tiers" not in rule:
        return []
    found = [int(reason.path.split("/")[3]) for reason in answer.reasons if reason.code in UNKNOWN]
    if rule["tiers"].get("mode", "highest") == "highest" and not answer.matched:
        # Without a winner the reasons follow the list, the trial went from its end.
        found.reverse()
    return list(dict.fromkeys(found))


def verdict(condition: Json, facts: Any, item_id: str | None = None) -> tuple[str, int]:
    """The condition's status, and how many times it holds (1 where it is neutral, 0 where it does not hold)."""
    point = {"block": "pbb.action.give_points", "params": {"points": 1}}
    answer = calculate({"so": {"when": condition, "then": [point]}}, facts, item_id=item_id)
    return answer.status, sum(effect["times"] for effect in answer.effects)


def registry_of(variants: Variants, blocks: Registry) -> Registry:
    """The blocks with the plain evaluation's variants as theirs."""
    registry = Registry(blocks)
    for block, by_scene in variants.items():
        definition = registry.get(block)
        assert definition is not None
        for scene, variant in by_scene.items():
            registry.add_scene(block, scene, _as_block(variant, of_facts=definition.kind == "resource"))
    return registry


def _as_block(variant: Any, *, of_facts: bool) -> Any:
    if of_facts:
        return lambda facts, **params: variant(facts.raw, **{name.removesuffix("_"): params[name] for name in params})
    return lambda **params: variant(**{name.removesuffix("_"): params[name] for name in params})

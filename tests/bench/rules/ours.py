"""The rules as blocks, and the engine's ways to judge them. The one module here that calls the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tactics.rules import (
    Decision,
    Evaluation,
    Rule,
    amount_at_least,
    compile_rule,
    default_registry,
    equals,
    event_attribute,
    in_set,
    item_promotion_price,
    no_batch_item_quantity,
    order_amount,
    order_amount_off,
    sku_quantity,
    so,
    tiers,
    user_attribute,
)
from tactics.rules.compiler import CompiledRule
from tactics.rules.ruleset import RuleSet
from tests.bench.rules import rules
from tests.bench.rules.facts import BLOCKED, Facts
from tests.bench.rules.rules import SEGMENTS, ItemRule, MixedRule, SkuRule


def like_r1(item_id: str) -> Rule:
    """At least 10 pieces of an item without batch: its price is 8.00."""
    enough = amount_at_least(no_batch_item_quantity(item_id), rules.R1_AT)
    return so(enough, item_promotion_price(item_id=item_id, price_minor=rules.R1_PRICE))


def like_r2(sku: str) -> Rule:
    """At least 3 pieces of a SKU, and the user is not blocked: its price is 2.00."""
    enough = amount_at_least(sku_quantity(sku), rules.R2_AT)
    blocked = in_set(user_attribute("id"), BLOCKED)
    return so(enough & ~blocked, item_promotion_price(sku=sku, price_minor=rules.R2_PRICE))


def like_r3(sales_channel: str) -> Rule:
    """A ladder over what was sold in one sales channel, for two levels of users."""
    level = in_set(user_attribute("level"), rules.R3_LEVELS)
    amount = order_amount(sales_channel=sales_channel)
    return tiers(*(so(amount_at_least(amount, at) & level, order_amount_off(off)) for at, off in rules.R3_STEPS))


LIKE = (like_r1, like_r2, like_r3)
_MEANT = (rules.R1_ITEM, rules.R2_SKU, rules.R3_SALES_CHANNEL)
SINGLE = {name: like(meant) for name, like, meant in zip(rules.SINGLE, LIKE, _MEANT, strict=True)}
"""R1 to R3."""
_GIVES = {"r1": (rules.R1_PRICE,), "r2": (rules.R2_PRICE,), "r3": tuple(off for _, off in rules.R3_STEPS)}


def gives(answer: Evaluation) -> Any:
    """Give an answer as the other contestants do: the price or the amount off, None when the rule does not match."""
    if not answer.matched:
        return None
    (effect,) = answer.effects
    params = effect["params"]
    return params["price_minor"] if "price_minor" in params else params["amount_minor"]


def decided(name: str, decision: Decision) -> Any:
    """Give a decision on R1, R2 or R3 as the other contestants do: by the step that it names."""
    if not decision.matched:
        return None
    ((step, _times),) = decision.steps
    return _GIVES[name][step]


def rule(one: MixedRule) -> Rule:
    """Give one of many rules; its conjuncts stand as a business person lists them, the channel last."""
    channel = equals(event_attribute("channel"), one.channel)
    if isinstance(one, ItemRule):
        enough = amount_at_least(no_batch_item_quantity(one.item_id), one.at)
        return so(enough & channel, item_promotion_price(item_id=one.item_id, price_minor=rules.R1_PRICE))
    if isinstance(one, SkuRule):
        enough = amount_at_least(sku_quantity(one.sku), one.at)
        inside = in_set(user_attribute("id"), SEGMENTS[one.segment])
        return so(enough & ~inside & channel, item_promotion_price(sku=one.sku, price_minor=rules.R2_PRICE))
    level = in_set(user_attribute("level"), one.levels)
    amount = order_amount(sales_channel=one.sales_channel)
    return tiers(*(so(amount_at_least(amount, at) & level & channel, order_amount_off(off)) for at, off in one.steps))


def many(mixed: Sequence[MixedRule]) -> RuleSet[str]:
    """Give the rules as one set; what is timed is its `matching`, which says of each match by which step, too."""
    return RuleSet([(one.key, rule(one)) for one in mixed])


def keys(rules_of: RuleSet[str], facts: Facts) -> list[str]:
    """Give the keys of the rules that match, sorted."""
    return sorted(match.key for match in rules_of.matching(facts))


def single(name: str) -> CompiledRule:
    """Compile R1, R2 or R3."""
    return compile_rule(SINGLE[name])


def forget_shapes() -> None:
    """Let the engine write the next rule's code anew, whatever was compiled before."""
    default_registry.blocks.shapes.clear()


__all__ = ["LIKE", "SINGLE", "compile_rule", "decided", "forget_shapes", "gives", "keys", "many", "rule", "single"]

"""Rules built from blocks: what must hold, and what is given then. Usable alone: it needs the standard library only.

    from tactics.rules import amount_at_least, calculate, item_promotion_price, no_batch_item_quantity, so

    rule = so(amount_at_least(no_batch_item_quantity("7"), 10), item_promotion_price("7", price_minor=800))
    answer = calculate(rule, {"order": {"lines": [{"item_id": "7", "quantity": 12, "price_minor": 1000}]}})
    answer.matched  # True
    answer.effects  # ({"block": "pbb.action.item_promotion_price", "params": {...}, "times": 1},)

Conditions join with `&`, `|` and `~`; `tiers(step, step)` makes a ladder; `loads` and `dumps` speak JSON.
"""

from tactics.rules.bind import aliases, bind
from tactics.rules.block import BlockDefinition, Builder, action, condition, resource
from tactics.rules.blocks import default_registry
from tactics.rules.blocks.action import (
    gift,
    give_points,
    item_amount_off,
    item_percent_off,
    item_promotion_price,
    order_amount_off,
    order_percent_off,
    rebate,
    send_coupon,
)
from tactics.rules.blocks.condition import (
    amount_at_least,
    amount_below,
    amount_between,
    amount_more_than,
    contains,
    equals,
    exists,
    has_member,
    in_set,
    within,
)
from tactics.rules.blocks.resource import (
    behaviour_count,
    behaviour_quantity,
    category_amount,
    category_quantity,
    day_of_week,
    event_attribute,
    hour_of_day,
    item_amount,
    item_quantity,
    no_batch_item_quantity,
    now,
    order_amount,
    order_quantity,
    seconds_since,
    sku_amount,
    sku_quantity,
    user_attribute,
)
from tactics.rules.check import check
from tactics.rules.codec import dumps, loads, parse, to_json
from tactics.rules.compiler import CompiledRule
from tactics.rules.effect import Effect, ExecutionRefused
from tactics.rules.engine import calculate, compile_rule, prepare
from tactics.rules.evaluation import Decision, Evaluation
from tactics.rules.execute import EffectResult, Execution, Handlers, NotDone, execute, resume
from tactics.rules.explain import Explanation, explain
from tactics.rules.facts import Facts
from tactics.rules.ledger import Ledger, MemoryLedger
from tactics.rules.ledger_sqlite import SqliteLedger
from tactics.rules.needs import BehaviourNeed, Needs, needs
from tactics.rules.price import PriceAnswer, price
from tactics.rules.problem import Problem, RuleError
from tactics.rules.reason import Reason
from tactics.rules.registry import Registry
from tactics.rules.ruleset import Match, RuleSet
from tactics.rules.tree import Alias, And, Block, Condition, Node, Not, Or, Rule, So, Tiers, so, tiers
from tactics.rules.value import Unknown

__all__ = [
    "Alias",
    "And",
    "BehaviourNeed",
    "Block",
    "BlockDefinition",
    "Builder",
    "CompiledRule",
    "Condition",
    "Decision",
    "Effect",
    "EffectResult",
    "Evaluation",
    "Execution",
    "ExecutionRefused",
    "Explanation",
    "Facts",
    "Handlers",
    "Ledger",
    "Match",
    "MemoryLedger",
    "Needs",
    "Node",
    "Not",
    "NotDone",
    "Or",
    "PriceAnswer",
    "Problem",
    "Reason",
    "Registry",
    "Rule",
    "RuleError",
    "RuleSet",
    "So",
    "SqliteLedger",
    "Tiers",
    "Unknown",
    "action",
    "aliases",
    "amount_at_least",
    "amount_below",
    "amount_between",
    "amount_more_than",
    "behaviour_count",
    "behaviour_quantity",
    "bind",
    "calculate",
    "category_amount",
    "category_quantity",
    "check",
    "compile_rule",
    "condition",
    "contains",
    "day_of_week",
    "default_registry",
    "dumps",
    "equals",
    "event_attribute",
    "execute",
    "exists",
    "explain",
    "gift",
    "give_points",
    "has_member",
    "hour_of_day",
    "in_set",
    "item_amount",
    "item_amount_off",
    "item_percent_off",
    "item_promotion_price",
    "item_quantity",
    "loads",
    "needs",
    "no_batch_item_quantity",
    "now",
    "order_amount",
    "order_amount_off",
    "order_percent_off",
    "order_quantity",
    "parse",
    "prepare",
    "price",
    "rebate",
    "resource",
    "resume",
    "seconds_since",
    "send_coupon",
    "sku_amount",
    "sku_quantity",
    "so",
    "tiers",
    "to_json",
    "user_attribute",
    "within",
]

"""The reference page of blocks, as it follows from the catalogue: each block in both languages, with an example."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tactics import rules
from tactics.rules import Block

_HEADINGS = {"resource": "Resources · 取值", "condition": "Conditions · 条件", "action": "Actions · 动作"}
_UNITS = {
    "minor": "minor units",
    "count": "pieces or times",
    "s": "seconds",
    "hour": "hours",
    "weekday": "days of the week",
}
_TYPES = {"string": "text", "array": "list", "integer": "whole number"}
_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}

_LEVEL = rules.user_attribute("level")
_WEEK_S = 604_800
_WRITTEN = (
    rules.order_amount(sales_channel="app"),
    rules.order_quantity(),
    rules.item_amount("7"),
    rules.item_quantity("7"),
    rules.sku_amount("7-red"),
    rules.sku_quantity("7-red"),
    rules.category_amount("tea"),
    rules.category_quantity("tea"),
    rules.no_batch_item_quantity("7"),
    _LEVEL,
    rules.event_attribute("page"),
    rules.behaviour_count("purchase", _WEEK_S, category="tea"),
    rules.behaviour_quantity("purchase", _WEEK_S, item_set="summer"),
    rules.seconds_since("purchase"),
    rules.now(),
    rules.hour_of_day(),
    rules.day_of_week(),
    rules.amount_at_least(rules.order_amount(), 10_000, enable_multiple=True, max_multiple=3),
    rules.amount_more_than(rules.order_amount(), 10_000),
    rules.amount_below(rules.item_quantity("7"), 5),
    rules.amount_between(rules.hour_of_day(), 9, 17),
    rules.equals(_LEVEL, "gold"),
    rules.in_set(_LEVEL, ["silver", "gold"]),
    rules.has_member(rules.user_attribute("tags"), "vip"),
    rules.contains(rules.event_attribute("page"), "/tea/"),
    rules.within(rules.now(), from_="2026-11-01T00:00:00+08:00", to="2026-11-12T00:00:00+08:00"),
    rules.exists(rules.user_attribute("birthday")),
    rules.send_coupon("five_off"),
    rules.give_points(points=20, benefit="points"),
    rules.item_promotion_price("7", price_minor=800, out_biz_id="1", no_batch=True),
    rules.item_amount_off(category="tea", amount_minor=100, per="line"),
    rules.item_percent_off("7", percent=12.5),
    rules.order_amount_off(amount_minor=1000),
    rules.order_percent_off(percent=5, base="original"),
    rules.rebate(percent=2, benefit="cash"),
    rules.gift(item_id="9", quantity=1),
)
EXAMPLES: Mapping[str, Block] = {example.block: example for example in _WRITTEN}


def catalogue() -> str:
    """Give a section for each block."""
    return "\n".join(_sections()) + "\n"


def _sections() -> Iterator[str]:
    english, chinese = (rules.default_registry.catalogue(language) for language in ("en", "zh"))
    pairs: list[Any] = [pair for pair in zip(english, chinese, strict=True) if str(pair[0]["id"]) in EXAMPLES]
    for kind, heading in _HEADINGS.items():
        yield f"## {heading}\n"
        for one, other in pairs:
            if one["kind"] == kind:
                yield from _section(one, other)


def _section(english: Any, chinese: Any) -> Iterator[str]:
    yield f"### {english['name']} · {chinese['name']}\n"
    yield f"`{english['id']}`: {english['description']}. {chinese['description']}。\n"
    facts = [f"In a sentence: “{english['words']}”, “{chinese['words']}”."]
    if "gives" in english:
        facts.insert(0, f"Gives: {english['gives']}{_of_unit(english.get('unit'))}.")
    if "scenes" in english:
        facts.append(f"Computes differently in the scenes {', '.join(english['scenes'])}.")
    yield " ".join(facts) + "\n"
    yield from _parameters(english["params"], chinese["params"])
    example = json.dumps(rules.to_json(EXAMPLES[english["id"]]), ensure_ascii=False)
    yield f"```json\n{example}\n```\n"


def _parameters(english: Any, chinese: Any) -> Iterator[str]:
    if not english["properties"]:
        return
    yield "| parameter | | constant | or a resource giving | what it is | 含义 |\n| --- | --- | --- | --- | --- | --- |"
    for name, schema in english["properties"].items():
        other = chinese["properties"][name]
        needed = "required" if name in english["required"] else ""
        takes = ", ".join(sorted(schema["x-takes"]))
        said = f"{other['title']}：{other['description']}"  # noqa: RUF001  # Chinese punctuation
        yield f"| `{name}` | {needed} | {_constant(schema)} | {takes} | {schema['description']} | {said} |"
    yield ""


def _constant(schema: Any) -> str:
    """What a constant may be, in words: type, unit and limits."""
    constant = schema["anyOf"][0]
    if "enum" in constant:
        return " or ".join(f"`{one}`" for one in constant["enum"])
    kinds: list[str] = constant["type"] if isinstance(constant["type"], list) else [constant["type"]]
    limits = [f"{sign} {constant[key]:,}" for key, sign in _LIMITS.items() if key in constant]
    limits += ["not empty"] if constant.get("minLength") or constant.get("minItems") else []
    return ", ".join([" or ".join(_TYPES.get(one, one) for one in kinds) + _of_unit(schema.get("x-unit")), *limits])


def _of_unit(unit: str | None) -> str:
    return "" if unit is None else f" ({_UNITS[unit]})"

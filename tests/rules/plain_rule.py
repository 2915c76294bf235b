"""Rules evaluated slowly and plainly, from JSON data to JSON data: what the engine is compared with.

It knows no rule engine and shares nothing with it. Where the contract leaves something open, a comment here says so
with "left open", and takes what the engine's own tests pin down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.rules.plain_facts import resource
from tests.rules.plain_value import BROKEN, GONE, Unknown, fits, is_number, same_value, time_of, written

# Other computations by block id, then scene: of the raw facts (for conditions: of nothing) and the parameters by name.
Variants = Mapping[str, Mapping[str, Callable[..., Any]]]
# True, False, None for unknown; a whole number: holds so many times.
Truth = bool | int | None

# What a parameter has to be, by its name; the pairs say where a name means different things in different blocks.
PARAMETER: dict[str, str] = {
    **dict.fromkeys(("amount", "low", "high", "amount_at"), "number"),
    **dict.fromkeys(("from", "to"), "point"),
    **dict.fromkeys(("enable_multiple", "no_batch"), "flag"),
    **dict.fromkeys(("points", "price_minor", "amount_minor"), "whole"),
    **dict.fromkeys(("max_multiple", "window_s", "quantity"), "counting"),
    "member": "scalar",
    "values": "scalars",
    "percent": "percent",
    "base": "running or original",
    "per": "unit or line",
}
BY_BLOCK: dict[tuple[str, str], str] = {
    ("amount_at_least", "amount_at"): "above zero",
    ("equals", "value"): "scalar",
    ("equals", "to"): "scalar",
    ("in_set", "value"): "scalar",
    ("has_member", "value"): "list",
    ("contains", "value"): "any text",
    ("within", "value"): "point",
    ("behaviour_count", "window_s"): "window",
    ("behaviour_quantity", "window_s"): "window",
}
PER_ITEM_ACTIONS = ("item_promotion_price", "item_amount_off", "item_percent_off")
SELECTORS = ("item_id", "sku", "category")
# As the blocks declare them: which of several unknown parameters is told must not hang on how the JSON is written.
DECLARED = ("action", "window_s", "item_id", "category", "item_set")


@dataclass(frozen=True)
class Plain:
    """The answer; `unknown_steps` are the steps of a ladder that were skipped on the way, as they were tried."""

    status: Literal["matched", "not_matched", "unknown", "null_rule"]
    effects: list[dict[str, Any]]
    unknown_steps: list[int]


def plain_answer(rule: Any, facts: Any, item_id: str | None = None, variants: Variants | None = None) -> Plain:
    """What a well-formed rule without aliases answers."""
    if rule is None:
        return Plain("null_rule", [], [])
    world = World(facts if isinstance(facts, Mapping) else {}, item_id, variants or {})
    if "so" in rule:
        truth, effects = world.so(rule["so"])
        return Plain(named(truth), effects, [])
    if "tiers" in rule:
        return world.ladder(rule["tiers"])
    return Plain(named(world.truth(rule)), [], [])


def named(truth: Truth) -> Literal["matched", "not_matched", "unknown"]:
    if truth is None:
        return "unknown"
    return "not_matched" if truth is False else "matched"


@dataclass(frozen=True)
class World:
    """The facts of one evaluation."""

    facts: Mapping[str, Any]
    item_id: str | None
    variants: Variants

    def ladder(self, body: Mapping[str, Any]) -> Plain:
        """Every step is tried; the mode says whose effects count."""
        mode = body.get("mode", "highest")
        tried = [(index, *self.so(step["so"])) for index, step in enumerate(body["steps"])]
        if mode == "highest":
            tried.reverse()
        holding = [index for index, truth, _ in tried if truth is not None and truth is not False]
        if mode != "all" and holding:
            # Left open: only unknown steps that might have won are reported, not those behind the winner.
            places = [index for index, _, _ in tried]
            tried = tried[: places.index(holding[0]) + 1]
        unknown = [index for index, truth, _ in tried if truth is None]
        effects = [effect for index, _, given in tried for effect in given if index in holding]
        return Plain("matched" if holding else "unknown" if unknown else "not_matched", effects, unknown)

    def so(self, body: Mapping[str, Any]) -> tuple[Truth, list[dict[str, Any]]]:
        truth = self.truth(body["when"]) if "when" in body else True
        if truth is None or truth is False:
            return truth, []
        times = 1 if truth is True else truth
        effects = []
        for action in body["then"]:
            params = self.params(action)
            if isinstance(params, Unknown):
                # Left open: what cannot be said cannot be given, so a `so` with it is unknown as a whole.
                return None, []
            name = action["block"].removeprefix("pbb.action.")
            # Left open: an item action that has another selector is not narrowed to the current item.
            if name in PER_ITEM_ACTIONS and self.item_id is not None and not any(one in params for one in SELECTORS):
                params["item_id"] = self.item_id
            effects.append({"block": action["block"], "params": params, "times": times})
        return truth, effects

    def truth(self, node: Mapping[str, Any]) -> Truth:  # noqa: PLR0911 -- one plain case after the other
        """Kleene's logic, with multiplicity: `and` takes the least, `or` the greatest of those that hold."""
        if "not" in node:
            inner = self.truth(node["not"])
            return None if inner is None else inner is False
        if "and" in node:
            parts = [self.truth(part) for part in node["and"]]
            if any(part is False for part in parts):
                return False
            if any(part is None for part in parts):
                return None
            return min((part for part in parts if part is not True), default=True)  # type: ignore[type-var]  # none is None
        if "or" in node:
            parts = [self.truth(part) for part in node["or"]]
            holding = [part for part in parts if part is not None and part is not False]
            if holding:
                return max((part for part in holding if part is not True), default=True)
            return None if any(part is None for part in parts) else False
        return self.condition(node)

    def condition(self, node: Mapping[str, Any]) -> Truth:
        params = self.params(node)
        if isinstance(params, Unknown):
            return None
        variant = self.variant(node["block"])
        if variant is not None:
            answer = variant(**params)
        else:
            answer = CONDITIONS[node["block"].removeprefix("pbb.condition.")](params)
        return None if isinstance(answer, Unknown) else answer

    def params(self, node: Mapping[str, Any]) -> dict[str, Any] | Unknown:
        """The parameters with resources fetched; unknown as the first one that is unknown or does not fit."""
        kind, name = node["block"].split(".")[1:]
        values: dict[str, Any] = {}
        for key, given in sorted(
            node.get("params", {}).items(), key=lambda param: param[0] in DECLARED and DECLARED.index(param[0])
        ):
            value = self.fetch(given) if isinstance(given, Mapping) else given
            if name != "exists" and isinstance(given, Mapping):
                if isinstance(value, Unknown):
                    return value
                if not fits(BY_BLOCK.get((name, key), PARAMETER.get(key, "text")), value):
                    return BROKEN
            values[key] = list(value) if kind == "action" and isinstance(value, tuple) else value
        return values

    def fetch(self, node: Mapping[str, Any]) -> Any:
        params = self.params(node)
        if isinstance(params, Unknown):
            return params
        variant = self.variant(node["block"])
        if variant is not None:
            value = variant(self.facts, **params)
        else:
            value = resource(node["block"].removeprefix("pbb.resource."), self.facts, params, self.item_id)
        if value is None:
            return GONE
        # Left open: a float that is not finite is no value at all; an integer beyond every float is one, of no use.
        return BROKEN if isinstance(value, float) and not is_number(value) else value

    def variant(self, block: str) -> Callable[..., Any] | None:
        """What computes the block in this scene; its default, and so None, where it has no variant for the scene."""
        scene = self.facts.get("scene")
        return self.variants.get(block, {}).get(scene) if isinstance(scene, str) else None


def at_least(params: Mapping[str, Any]) -> Truth:
    amount, least = params["amount"], params["amount_at"]
    if amount < least:
        return False
    if not params.get("enable_multiple", False):
        return True
    # Left open: numbers are divided as they are written, 0.3 / 0.1 being 3; what is enough is so at least once, also
    # where a float beyond 2^53 is above an integer and its digits are not.
    times = max(1, written(amount) // written(least))
    return min(times, params["max_multiple"]) if "max_multiple" in params else times


def within(params: Mapping[str, Any]) -> Truth | Unknown:
    value = params["value"]
    ends = [params[name] for name in ("from", "to") if name in params]
    # Left open: where one end cannot be compared, the other does not decide.
    if any(is_number(end) != is_number(value) for end in ends):
        return BROKEN
    place: Callable[[Any], Any] = (lambda number: number) if is_number(value) else time_of
    after = "from" not in params or place(params["from"]) <= place(value)
    return after and ("to" not in params or place(value) < place(params["to"]))


def exists(params: Mapping[str, Any]) -> Truth | Unknown:
    value = params["value"]
    # Left open: what is there but broken may or may not be there, and so is unknown; what is missing is not there.
    if isinstance(value, Unknown):
        return False if value.missing else value
    return True


CONDITIONS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "amount_at_least": at_least,
    "amount_more_than": lambda params: params["amount"] > params["amount_at"],
    "amount_below": lambda params: params["amount"] < params["amount_at"],
    "amount_between": lambda params: params["low"] <= params["amount"] <= params["high"],
    "equals": lambda params: same_value(params["value"], params["to"]),
    "in_set": lambda params: any(same_value(params["value"], one) for one in params["values"]),
    "has_member": lambda params: any(same_value(params["member"], one) for one in params["value"]),
    "contains": lambda params: params["text"] in params["value"],
    "within": within,
    "exists": exists,
}

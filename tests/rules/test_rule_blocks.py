"""Declaring blocks, finding them, listing them, and building with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tactics import rules
from tactics.rules import (
    Alias,
    Block,
    Facts,
    Not,
    Registry,
    RuleError,
    So,
    Tiers,
    action,
    condition,
    default_registry,
    resource,
    so,
)
from tactics.rules.parameter import flag, integer, text

STANDARD = {
    "resource": "order_amount order_quantity item_amount item_quantity sku_amount sku_quantity category_amount "
    "category_quantity no_batch_item_quantity user_attribute event_attribute behaviour_count behaviour_quantity "
    "seconds_since now hour_of_day day_of_week",
    "condition": "amount_at_least amount_more_than amount_below amount_between equals in_set has_member contains within exists",
    "action": "send_coupon give_points item_promotion_price item_amount_off item_percent_off order_amount_off "
    "order_percent_off rebate gift",
}


def test_the_standard_blocks_are_those_of_the_design() -> None:
    """Every standard block is registered under its id, and has a builder of its name."""
    expected = {f"pbb.{kind}.{name}" for kind, names in STANDARD.items() for name in names.split()}
    assert {definition.id for definition in default_registry} == expected
    for block_id in expected:
        assert getattr(rules, block_id.split(".")[2]).definition is default_registry.get(block_id)


def plainly(facts: Facts) -> object:
    return 1


def by_channel(facts: Facts, sales_channel: str | None = None) -> object:
    return 1


def by_text(facts: Facts, a: str) -> object:
    return 1


def judge(a: str) -> object:
    return True


DECLARATIONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: action("Coupon", "x", words="x"), "dotted lower-case"),
    (lambda: action("acme.action.x", " ", words="x"), "description"),
    (lambda: action("acme.action.x", "x", {"a": int}, words="x"), "declared by one of"),  # type: ignore[dict-item]
    (lambda: action("acme.action.x", "x", words="give {points}"), "'points' is not one of its parameters"),
    (lambda: action("acme.action.x", "x", words="x", implementation=print), "computes nothing"),
    (lambda: resource("acme.resource.x", "x", words="x", gives="money")(plainly), "what it gives"),  # type: ignore[arg-type]
    (lambda: resource("acme.resource.x", "x", words="x", gives="any")(lambda: 1), "does not fit its parameters"),
    (
        lambda: resource("acme.resource.x", "x", {"a": text("a")}, words="x", gives="any")(plainly),
        "does not fit its parameters",
    ),
    (
        lambda: resource("acme.resource.x", "x", {"a": text("a", optional=True)}, words="x", gives="any")(by_text),
        "missing a required argument",
    ),
    (
        lambda: resource("acme.resource.x", "x", words="x", gives="any", scenes={"cart": lambda: 1})(plainly),
        "does not fit its parameters",
    ),
    (
        lambda: condition("acme.condition.x", "x", {"a": text("a")}, words="x", subject="b")(judge),
        "'b' is not",
    ),
]


@pytest.mark.parametrize(("declare", "message"), DECLARATIONS)
def test_a_wrong_declaration_fails_where_it_is_written(declare: Callable[[], Any], message: str) -> None:
    """A block that cannot work is refused when it is declared, in words that say what is wrong."""
    with pytest.raises(RuleError, match=message) as caught:
        declare()
    assert {problem.code for problem in caught.value.problems} == {"declaration"}


def test_a_registry_refuses_what_it_has_and_what_does_not_fit() -> None:
    """An id is registered once, a scene's variant too, and a variant has to take the block's parameters."""
    registry = Registry([rules.order_amount])
    with pytest.raises(RuleError, match="already registered"):
        registry.add(rules.order_amount)
    registry.add_scene("pbb.resource.order_amount", "cart", by_channel)
    for scene, block_id, implementation, message in (
        ("cart", "pbb.resource.order_amount", by_channel, "already has a variant"),
        ("page", "pbb.resource.order_amount", plainly, "does not fit"),
        ("page", "pbb.resource.now", plainly, "there is no block"),
    ):
        with pytest.raises(RuleError, match=message):
            registry.add_scene(block_id, scene, implementation)
    assert not default_registry.get("pbb.resource.order_amount").scenes  # type: ignore[union-attr]


def test_an_added_block_counts_at_once() -> None:
    """A rule that was invalid for want of a block is evaluated once a plugin adds it."""
    registry = Registry(default_registry)
    grant = action("acme.action.badge", "Give a badge", {"name": text("which")}, words="give badge {name}")
    rule = so(grant("gold"))
    assert rules.calculate(rule, {}, registry).status == "invalid"
    registry.add(grant)
    assert rules.calculate(rule, {}, registry).effects[0]["params"] == {"name": "gold"}


def test_the_catalogue_lists_every_block_with_its_schema() -> None:
    """Kind, description, and JSON Schema with required and optional parameters, constants, resources and aliases."""
    catalogue: list[dict[str, Any]] = default_registry.catalogue()
    assert [entry["id"] for entry in catalogue] == sorted(definition.id for definition in default_registry)
    (entry,) = [entry for entry in catalogue if entry["id"] == "pbb.action.item_percent_off"]
    schema = entry["params"]
    assert (entry["kind"], schema["required"], schema["additionalProperties"]) == ("action", ["percent"], False)
    assert set(schema["properties"]) == {"item_id", "sku", "category", "percent", "base"}
    constant, *others = schema["properties"]["percent"]["anyOf"]
    assert constant == {"type": "number", "exclusiveMinimum": 0, "maximum": 100}
    assert others == [{"$ref": "#/$defs/resource"}, {"$ref": "#/$defs/alias"}]
    assert schema["properties"]["base"]["anyOf"][0]["enum"] == ["running", "original"]
    params = {one["id"]: one["params"]["properties"] for one in catalogue}
    assert params["pbb.action.give_points"]["points"]["anyOf"][0] == {"type": "integer", "minimum": 0}
    window = params["pbb.resource.behaviour_count"]["window_s"]
    assert window["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 100 * 365 * 86_400}
    for entry in catalogue:
        assert entry["description"]
        assert all(parameter["description"] for parameter in entry["params"]["properties"].values())


MISUSES: list[tuple[Callable[[], object], str, str]] = [
    (rules.send_coupon, "/params/benefit", "missing_param"),
    (lambda: rules.send_coupon("a", "b"), "/params", "unknown_param"),
    (lambda: rules.send_coupon("a", benefit="b"), "/params/benefit", "form"),
    (lambda: rules.send_coupon("a", stock=1), "/params/stock", "unknown_param"),
    (lambda: rules.amount_at_least("10", 1), "/params/amount", "type"),
    (lambda: rules.exists(rules.send_coupon("a")), "/params/value", "kind"),
    (lambda: rules.exists(1) & rules.send_coupon("a"), "/and/1", "kind"),
    (lambda: rules.exists(1) | rules.now(), "/or/1", "kind"),
    (lambda: ~rules.send_coupon("a"), "", "kind"),
    (lambda: rules.send_coupon("a") & rules.exists(1), "", "kind"),
    (lambda: so(rules.exists(1)), "/so/then", "form"),
    (so, "/so/then", "form"),
    (lambda: so(rules.exists(1), rules.exists(1)), "/so/then/0", "kind"),
    (lambda: So(rules.send_coupon("a"), (rules.send_coupon("a"),)), "/so/when", "kind"),
    (lambda: Tiers(()), "/tiers/steps", "form"),
    (lambda: rules.tiers(rules.exists(1)), "/tiers/steps/0", "form"),  # type: ignore[arg-type]
    (lambda: rules.tiers(so(rules.send_coupon("a")), mode="best"), "/tiers/mode", "form"),  # type: ignore[arg-type]
    (lambda: rules.And(()), "/and", "form"),
    (lambda: Not(7), "/not", "kind"),  # type: ignore[arg-type]
    (lambda: Block("a.b", {"x": {}}), "/params/x", "type"),  # type: ignore[dict-item]
]


@pytest.mark.parametrize(("build", "path", "code"), MISUSES)
def test_misuse_in_python_is_refused_at_once(build: Callable[[], object], path: str, code: str) -> None:
    """The builder refuses what the codec would, with the path."""
    with pytest.raises(RuleError) as caught:
        build()
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [(path, code)]


def test_builders_make_the_json_of_the_design() -> None:
    """Positional and named parameters, optional ones left out, `from_` for `from`, and joins that stay flat."""
    one, two, three = (rules.equals(rules.event_attribute("x"), value) for value in ("1", "2", "3"))
    assert rules.to_json(one & two & ~three) == {
        "and": [one.to_json(), two.to_json(), {"not": three.to_json()}],
    }
    assert rules.to_json(one | two | three) == {"or": [one.to_json(), two.to_json(), three.to_json()]}
    assert rules.to_json((one | two) & three) == {"and": [(one | two).to_json(), three.to_json()]}
    within = rules.within(rules.hour_of_day(), from_=9, to=None)
    assert dict(within.params) == {"value": rules.hour_of_day(), "from": 9}
    assert rules.item_promotion_price("7", 800).to_json()["params"] == {"item_id": "7", "price_minor": 800}
    assert rules.in_set(Alias("who"), ["a"]).to_json()["params"] == {"value": {"alias": "who"}, "values": ["a"]}


def test_nodes_cannot_be_changed() -> None:
    """A rule is the same for as long as it lives."""
    values = ["a"]
    node = rules.in_set("a", values)
    values.append("b")
    assert node.params["values"] == ("a",)
    with pytest.raises(TypeError):
        node.params["values"] = ()  # type: ignore[index]
    with pytest.raises(AttributeError):
        node.block = "x"  # type: ignore[misc]


def test_parameters_describe_what_belongs_there() -> None:
    """The message of a wrong constant says what is wanted and what was found."""
    give = action(
        "acme.action.x", "x", {"n": integer("n", minimum=1, maximum=5), "f": flag("f", optional=True)}, words="x"
    )
    with pytest.raises(RuleError, match="a whole number of at least 1 and at most 5 belongs here, not 6"):
        give(6)
    with pytest.raises(RuleError, match="true or false belongs here, not 1"):
        give(5, 1)

"""Rules to JSON and back; what is no rule is refused with every problem and its path."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics.rules import RuleError, check, default_registry, dumps, loads, parse, to_json
from tactics.rules.codec import load_json

TEXTS = st.text(min_size=1, max_size=6)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
ALIASES = st.builds(lambda name: {"alias": name}, TEXTS)


def block(kind: str, name: str, /, **params: Any) -> dict[str, Any]:
    return {"block": f"pbb.{kind}.{name}", "params": params}


COUNTS = (
    st.builds(lambda item: block("resource", "item_quantity", item_id=item), TEXTS | ALIASES)
    | st.just(block("resource", "order_quantity"))
    | st.builds(lambda name: block("resource", "event_attribute", name=name), TEXTS | ALIASES)
)
CONDITIONS = st.recursive(
    st.builds(lambda a, n: block("condition", "amount_more_than", amount=a, amount_at=n), COUNTS, NUMBERS | COUNTS)
    | st.builds(
        lambda a, vs: block("condition", "in_set", value=a, values=vs),
        COUNTS,
        st.lists(TEXTS | NUMBERS | st.booleans(), min_size=1, max_size=3),
    )
    | st.builds(lambda a, v: block("condition", "equals", value=a, to=v), COUNTS, TEXTS | NUMBERS | st.booleans()),
    lambda part: (
        st.builds(lambda one: {"not": one}, part)
        | st.builds(lambda some: {"and": some}, st.lists(part, min_size=1, max_size=3))
        | st.builds(lambda some: {"or": some}, st.lists(part, min_size=1, max_size=3))
    ),
    max_leaves=8,
)
ACTIONS = st.builds(lambda c: block("action", "send_coupon", benefit=c), TEXTS | ALIASES) | st.builds(
    lambda n: block("action", "give_points", points=n), st.integers(0, 10**12)
)
SOS = st.builds(
    lambda when, then: {"so": {**({"when": when} if when else {}), "then": then}},
    st.none() | CONDITIONS,
    st.lists(ACTIONS, min_size=1, max_size=3),
)
TIERS = st.builds(
    lambda mode, steps: {"tiers": {"mode": mode, "steps": steps}},
    st.sampled_from(["highest", "first", "all"]),
    st.lists(SOS, min_size=1, max_size=3),
)
RULES = CONDITIONS | SOS | TIERS


@given(RULES)
def test_rules_survive_the_round_trip(obj: dict[str, Any]) -> None:
    """JSON → rule → JSON gives the same JSON, and rules that say the same are equal."""
    rule = parse(obj)
    assert to_json(rule) == obj
    assert loads(dumps(rule)) == rule
    assert loads(json.dumps(obj).encode()) == rule
    assert pickle.loads(pickle.dumps(rule)) == copy.deepcopy(rule) == rule  # noqa: S301 -- its own pickle
    assert hash(parse(obj)) == hash(rule)


def test_the_canonical_form_spells_out_what_may_be_left_out() -> None:
    """A ladder without a mode is `highest`; a block without parameters has none."""
    bare = {
        "tiers": {
            "steps": [{"so": {"then": [{"block": "pbb.action.order_amount_off", "params": {"amount_minor": 5}}]}}]
        }
    }
    assert to_json(parse(bare))["tiers"]["mode"] == "highest"  # type: ignore[index]
    exists = {"block": "pbb.condition.exists", "params": {"value": {"block": "pbb.resource.now"}}}
    assert to_json(parse(exists)) == block("condition", "exists", value=block("resource", "now"))


def test_rules_that_differ_only_by_type_are_different() -> None:
    """1 and true are the same to Python, and two things to a rule."""
    one, true = (parse(block("condition", "equals", value=block("resource", "now"), to=to)) for to in (1, True))
    assert one != true
    assert one == parse(to_json(one))


OK = block("action", "send_coupon", benefit="c")
HOLDS = block("condition", "exists", value=block("resource", "now"))
AMOUNT = block("resource", "order_amount")


def at_least(**params: Any) -> dict[str, Any]:
    return block("condition", "amount_at_least", **{"amount": AMOUNT, "amount_at": 10, **params})


WRONG: list[tuple[object, str, str]] = [
    (None, "", "null_rule"),
    ([], "", "form"),
    ("so", "", "form"),
    ({}, "", "form"),
    ({"and": [HOLDS], "or": [HOLDS]}, "", "form"),
    ({"so": {"then": [OK]}, "name": "x"}, "/name", "form"),
    ({"and": []}, "/and", "form"),
    ({"or": HOLDS}, "/or", "form"),
    ({"not": [HOLDS]}, "/not", "form"),
    ({"not": None}, "/not", "form"),
    ({"so": []}, "/so", "form"),
    ({"so": {"when": HOLDS}}, "/so/then", "form"),
    ({"so": {"then": []}}, "/so/then", "form"),
    ({"so": {"when": None, "then": [OK]}}, "/so/when", "form"),
    ({"so": {"if": HOLDS, "then": [OK]}}, "/so/if", "form"),
    ({"so": {"when": OK, "then": [OK]}}, "/so/when", "kind"),
    ({"so": {"when": AMOUNT, "then": [OK]}}, "/so/when", "kind"),
    ({"so": {"when": {"so": {"then": [OK]}}, "then": [OK]}}, "/so/when", "kind"),
    ({"so": {"when": {"and": [HOLDS, {"tiers": {}}]}, "then": [OK]}}, "/so/when/and/1", "kind"),
    ({"so": {"then": [OK, HOLDS]}}, "/so/then/1", "kind"),
    ({"so": {"then": [{"so": {"then": [OK]}}]}}, "/so/then/0", "kind"),
    (OK, "", "kind"),
    (AMOUNT, "", "kind"),
    ({"tiers": {"mode": "best", "steps": [{"so": {"then": [OK]}}]}}, "/tiers/mode", "form"),
    ({"tiers": {"mode": [], "steps": [{"so": {"then": [OK]}}]}}, "/tiers/mode", "form"),
    (
        {"so": {"then": [block("action", "order_percent_off", percent=5, base="sideways")]}},
        "/so/then/0/params/base",
        "type",
    ),
    ({"tiers": {"mode": "all", "steps": []}}, "/tiers/steps", "form"),
    ({"tiers": {"mode": "all", "steps": [HOLDS]}}, "/tiers/steps/0", "kind"),
    ({"tiers": {"mode": "all", "steps": [{"tiers": {"mode": "all", "steps": []}}]}}, "/tiers/steps/0", "kind"),
    ({"alias": "x"}, "", "form"),
    ({"block": "pbb.condition.nothing", "params": {}}, "", "unknown_block"),
    ({"block": 7, "params": {}}, "/block", "form"),
    ({"block": "pbb.condition.exists", "params": []}, "/params", "form"),
    ({**HOLDS, "scene": "cart"}, "/scene", "form"),
    (block("condition", "exists"), "/params/value", "missing_param"),
    (block("condition", "exists", value=HOLDS), "/params/value", "kind"),
    (block("condition", "exists", value={"alias": ""}), "/params/value/alias", "form"),
    (block("condition", "exists", value={"alias": "a", "x": 1}), "/params/value/x", "form"),
    (block("condition", "exists", value={"a/b~c": 1}), "/params/value", "type"),
    (block("condition", "exists", value=None), "/params/value", "type"),
    (at_least(**{"a/b~c": 1}), "/params/a~1b~0c", "unknown_param"),
    (at_least(amount_at="10"), "/params/amount_at", "type"),
    (at_least(amount_at=True), "/params/amount_at", "type"),
    (at_least(amount_at=0), "/params/amount_at", "type"),
    (at_least(amount_at=-1), "/params/amount_at", "type"),
    (at_least(amount_at=float("nan")), "/params/amount_at", "type"),
    (at_least(amount_at=float("inf")), "/params/amount_at", "type"),
    (at_least(amount_at=10**400), "/params/amount_at", "type"),
    (at_least(amount_at=[10]), "/params/amount_at", "type"),
    (at_least(enable_multiple=1), "/params/enable_multiple", "type"),
    (at_least(max_multiple=3), "/params", "form"),
    (at_least(max_multiple=3, enable_multiple=False), "/params", "form"),
    (at_least(max_multiple=0, enable_multiple=True), "/params/max_multiple", "type"),
    (at_least(amount=block("resource", "now")), "/params/amount", "type"),
    (at_least(amount_at=block("resource", "order_quantity")), "/params/amount_at", "unit"),
    (at_least(amount=block("resource", "item_amount", item_id=7)), "/params/amount/params/item_id", "type"),
    (at_least(amount=block("resource", "sku_amount")), "/params/amount/params/sku", "missing_param"),
    (block("condition", "within", value=block("resource", "now")), "/params", "form"),
    (block("condition", "within", value=block("resource", "now"), to="2024-01-01T00:00:00"), "/params/to", "type"),
    (block("condition", "within", value=AMOUNT, **{"from": 1, "to": "2024-01-01T00:00:00Z"}), "/params", "form"),
    (block("condition", "in_set", value=AMOUNT, values=[]), "/params/values", "type"),
    (block("condition", "in_set", value=AMOUNT, values="a"), "/params/values", "type"),
    (block("condition", "in_set", value=AMOUNT, values=[["a"]]), "/params/values", "type"),
    (block("condition", "contains", value=AMOUNT, text="a"), "/params/value", "type"),
    (block("condition", "has_member", value="a", member="a"), "/params/value", "type"),
    ({"so": {"then": [block("action", "rebate")]}}, "/so/then/0/params", "form"),
    ({"so": {"then": [block("action", "rebate", amount_minor=1, percent=1)]}}, "/so/then/0/params", "form"),
    ({"so": {"then": [block("action", "send_coupon", benefit="")]}}, "/so/then/0/params/benefit", "type"),
    (
        {"so": {"then": [block("action", "order_amount_off", amount_minor=block("resource", "order_quantity"))]}},
        "/so/then/0/params/amount_minor",
        "unit",
    ),
    *(
        ({"so": {"then": [block("action", "order_percent_off", percent=bad)]}}, "/so/then/0/params/percent", "type")
        for bad in (0, -5, 100.5, 12.345, "10", True)
    ),
    *(
        (
            {"so": {"then": [block("action", "order_amount_off", amount_minor=bad)]}},
            "/so/then/0/params/amount_minor",
            "type",
        )
        for bad in (-1, 1.0, 1.5, "1", True, None)
    ),
]


@pytest.mark.parametrize(("obj", "path", "code"), WRONG)
def test_what_is_no_rule_is_refused_with_its_path(obj: object, path: str, code: str) -> None:
    """Each mistake is one problem, with a pointer to where it is, a code and a sentence."""
    with pytest.raises(RuleError) as caught:
        parse(obj)
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [(path, code)]
    assert caught.value.problems[0].message
    assert check(obj, open_aliases=True)["problems"] == [problem.to_json() for problem in caught.value.problems]


def test_every_problem_is_reported_at_once() -> None:
    """An operator sees all mistakes of a rule, not the first one of them."""
    obj = {"so": {"when": {"and": [OK, at_least(amount_at=0, more=1)]}, "then": [HOLDS]}}
    with pytest.raises(RuleError) as caught:
        parse(obj)
    paths = {"/so/when/and/0", "/so/when/and/1/params/amount_at", "/so/when/and/1/params/more", "/so/then/0"}
    assert {problem.path for problem in caught.value.problems} == paths


def test_values_on_the_edge_are_accepted() -> None:
    """A percentage has two decimals at most and reaches 100; amounts may be 0."""
    for percent in (0.01, 12.5, 33.33, 100, 100.0):
        parse({"so": {"then": [block("action", "order_percent_off", percent=percent)]}})
    parse({"so": {"then": [block("action", "order_amount_off", amount_minor=0)]}})
    for base in ("running", "original"):
        parse({"so": {"then": [block("action", "item_percent_off", percent=5, base=base)]}})
    for per in ("unit", "line"):
        parse({"so": {"then": [block("action", "item_amount_off", amount_minor=5, per=per)]}})
    parse(at_least(max_multiple=1, enable_multiple=True))
    parse(at_least(max_multiple=1, enable_multiple={"alias": "open"}))


def nested(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = block("condition", "exists", value=block("resource", "now"))
    for _ in range(depth - 2):
        node = {"not": node}
    return node


def test_depth_is_limited_to_64() -> None:
    """64 nodes above each other are a rule, 65 are not, and any depth beyond ends in the same answer."""
    parse(nested(64))
    for depth in (65, 500, 100_000):
        with pytest.raises(RuleError) as caught:
            parse(nested(depth))
        assert [problem.code for problem in caught.value.problems] == ["limit"]


def test_nodes_are_limited_to_10_000() -> None:
    """10,000 nodes are a rule, one more is not; aliases and resources count."""
    one = block("condition", "exists", value={"alias": "a"})
    parse({"and": [*[one] * 4999, block("condition", "exists", value=1)]})
    for extra in ({"not": one}, one):
        with pytest.raises(RuleError) as caught:
            parse({"and": [*[one] * 4999, extra]})
        assert [problem.code for problem in caught.value.problems] == ["limit"]


def compact(obj: object) -> str:
    return json.dumps(obj, separators=(",", ":"))


def test_size_is_limited_to_1_mib() -> None:
    """1 MiB of text is a rule, one byte more is not, as text, as bytes and as data."""
    rule = block("condition", "equals", value=AMOUNT, to="")
    rule["params"]["to"] = "x" * (1024 * 1024 - len(compact(rule)))
    assert loads(compact(rule)) == loads(compact(rule).encode()) == parse(rule)
    rule["params"]["to"] += "x"
    reads: list[Callable[[], object]] = [
        lambda: parse(rule),
        lambda: loads(compact(rule)),
        lambda: loads(compact(rule).encode()),
    ]
    for read in reads:
        with pytest.raises(RuleError) as caught:
            read()
        assert [problem.code for problem in caught.value.problems] == ["limit"]


@pytest.mark.parametrize(
    "text",
    [
        '{"so": {"then": [], "then": []}}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        "{",
        "",
        b"\xff\xfe{",
        "[" * 100_000,
        "1" * 5000,
    ],
)
def test_text_that_readers_disagree_about_is_refused(text: str | bytes) -> None:
    """Keys given twice, numbers that are not finite, and what is not JSON end in RuleError, not in a guess."""
    with pytest.raises(RuleError):
        load_json(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda part: (
            st.lists(part, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["block", "params", "not", "and", "or", "so", "when", "then", "tiers", "steps", "alias"]
                )
                | st.integers(),
                part | st.sampled_from([definition.id for definition in default_registry]),
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
def test_rubbish_is_refused_and_never_crashes(obj: object) -> None:
    """Whatever is handed in is a rule or a RuleError."""
    try:
        rule = parse(obj)
    except RuleError:
        assert not check(obj)["ok"]
    else:
        assert parse(to_json(rule)) == rule

"""Compiled rules decide as the exact evaluation does, and say which condition decided."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import threading
import weakref
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings

from tactics import rules
from tactics.rules import Registry, RuleError, RuleSet, calculate, compile_rule
from tactics.rules.block import condition, resource
from tactics.rules.blocks import STANDARD_BLOCKS
from tactics.rules.evaluation import decide, evaluate
from tactics.rules.parameter import number, text
from tactics.rules.quick import Quick
from tests.rules.rules_at_random import facts as any_facts
from tests.rules.rules_at_random import item_ids
from tests.rules.rules_at_random import rules as any_rules

TWENTY = {"order": {"lines": [{"item_id": "7", "quantity": 12, "price_minor": 1000}]}}
TEN_OF_7 = rules.so(
    rules.amount_at_least(rules.no_batch_item_quantity("7"), 10), rules.item_promotion_price("7", price_minor=800)
)


@settings(max_examples=400)
@given(any_rules(), any_facts(), item_ids())
def test_compiled_as_exact(rule: Any, facts: Any, item_id: str | None) -> None:
    """Status, steps, times, effects and reasons are those of the exact evaluation, whatever the rule and the facts."""
    compiled = compile_rule(rules.parse(rule))
    exact = evaluate(compiled.plan, compiled.run(facts, item_id))
    decided = compiled.decide(facts, item_id)
    assert decided.status == exact.status
    assert decided.steps == decide(compiled.plan, compiled.run(facts, item_id)).steps
    assert compiled.matches(facts, item_id) is exact.matched
    assert compiled.calculate(facts, item_id) == exact


@settings(max_examples=200)
@given(any_rules(), any_facts(), item_ids())
def test_exit_names_what_failed(rule: Any, facts: Any, item_id: str | None) -> None:
    """The path of a decision against a rule is that of a condition that does not hold, and without which it might."""
    parsed = rules.parse(rule)
    compiled = compile_rule(parsed)
    decided = compiled.decide(facts, item_id)
    if decided.status != "not_matched" or decided.evaluation is not None:
        return
    node: Any = parsed.to_json()
    for step in decided.path.split("/")[1:]:
        node = node[int(step)] if isinstance(node, list) else node[step]
    assert calculate(rules.parse(node), facts, item_id=item_id).status == "not_matched"


def test_resource_is_computed_once_and_only_when_needed() -> None:
    """A block is asked once in one evaluation, however often the rule uses it, and not at all where it cannot matter."""
    asked: list[str] = []

    @resource("t.resource.counted", "Counted", {"of": number("what")}, words="counted", gives="number")
    def counted(facts: rules.Facts, of: int) -> object:
        asked.append(f"{of}")
        return facts.attribute("user", f"n{of}")

    registry = Registry([*STANDARD_BLOCKS, counted])
    one, two = counted(1), counted(2)
    rule = rules.tiers(
        rules.so(rules.amount_at_least(one, 1) & rules.amount_at_least(two, 1), rules.give_points(1)),
        rules.so(rules.amount_at_least(one, 2) & rules.amount_at_least(two, 2), rules.give_points(2)),
    )
    compiled = compile_rule(rule, registry)
    for user, status, expected in (
        ({"n1": 1, "n2": 5}, "matched", ["1", "2"]),
        ({"n1": 0, "n2": 5}, "not_matched", ["1"]),
        ({"n2": 1}, "unknown", ["1", "2"]),
        ({"n1": 1}, "unknown", ["1", "2"]),
    ):
        asked.clear()
        assert compiled.decide({"user": user}).status == status
        assert asked == expected


def test_impure_blocks_are_asked_where_they_stand() -> None:
    """Only pure and total blocks are asked sooner than written: a costly one that stands first stays first."""
    asked: list[str] = []

    def block(name: str, *, total: bool) -> rules.Builder:
        @resource(f"t.resource.{name}", name, words=name, gives="number", total=total)
        def compute(_: rules.Facts) -> object:
            asked.append(name)
            return 0

        return compute

    fixed, free = block("fixed", total=False), block("free", total=True)
    registry = Registry([*STANDARD_BLOCKS, fixed, free])
    vip = rules.equals(rules.user_attribute("vip"), to=True)
    for first, expected in ((fixed, ["fixed"]), (free, [])):
        asked.clear()
        rule = rules.amount_at_least(first(), 1) & vip
        assert compile_rule(rule, registry).decide({"user": {"vip": False}}).status == "not_matched"
        assert asked == expected


def test_what_decided_is_named_in_a_ladder() -> None:
    """What every step asks is asked first, and named where it fails; else the condition of the step asked last."""
    gold = rules.equals(rules.user_attribute("level"), "gold")
    ladder = rules.tiers(
        *(rules.so(gold & rules.amount_at_least(rules.order_amount(), at), rules.give_points(at)) for at in (10, 20))
    )
    order = {"lines": [{"price_minor": 5}]}
    decide_ = compile_rule(ladder).decide
    assert decide_({"user": {"level": "tin"}, "order": order}).path == "/tiers/steps/0/so/when/and/0"
    assert decide_({"user": {"level": "gold"}, "order": order}).path == "/tiers/steps/0/so/when/and/1"
    assert decide_({"user": {"level": "gold"}, "order": {"lines": [{"price_minor": 25}]}}).steps == ((1, 1),)


def test_where_every_step_may_win_the_last_is_named_whole() -> None:
    """Of a ladder that gives every step, none of which holds, the last step's whole condition is named."""
    enough = rules.amount_at_least(rules.order_amount(), 1)
    gone = rules.exists(rules.user_attribute("x"))
    ladder = rules.tiers(rules.so(enough & gone, rules.give_points(1)), mode="all")
    found = compile_rule(ladder).decide({"user": {}, "order": {"lines": []}})
    assert (found.status, found.path) == ("not_matched", "/tiers/steps/0/so/when")


def test_decision_in_words() -> None:
    """The condition that decided says what it asks for, without a look at the facts."""
    gold = rules.equals(rules.user_attribute("level"), "gold")
    compiled = compile_rule(rules.so(~gold | rules.exists(rules.user_attribute("x")), rules.give_points(1)))
    decision = compiled.decide({"user": {"level": "gold"}})
    assert decision.path == "/so/when"
    assert compiled.asked_at(decision.path) == "(not (the user's level: exactly gold)) or (the user's x: a value)"
    ten = compile_rule(TEN_OF_7)
    path = ten.decide({"order": {"lines": []}}).path
    assert ten.asked_at(path) == "the number of pieces without batch of the item in the order (item 7): at least 10"
    assert ten.asked_at("/nowhere") == ""


@pytest.mark.parametrize(
    "text", ["__import__('os').system('x')", "'); raise SystemExit #", '"', "\n\t\\", "\ud800", "facts", "{x}", "k0"]
)
def test_constants_are_never_code(text: str) -> None:
    """A text that looks like Python is only a text, wherever it stands in a rule."""
    when = rules.equals(rules.user_attribute(text), text) & rules.in_set(rules.event_attribute(text), [text])
    compiled = compile_rule(rules.so(when, rules.send_coupon(text)))
    found = compiled.calculate({"user": {text: text}, "event": {text: text}})
    assert found.effects == ({"block": "pbb.action.send_coupon", "params": {"benefit": text}, "times": 1},)
    assert compiled.decide({"user": {text: "other"}, "event": {text: text}}).path == "/so/when/and/0"


def test_compiled_code_has_no_builtins() -> None:
    """Compiled code can name nothing but what its rule needs."""
    assert compile_rule(TEN_OF_7).decide.__globals__["__builtins__"] == {}


def test_same_rule_is_compiled_once() -> None:
    """Rules that say the same share what was compiled, as long as one of them lives; a changed registry begins anew."""
    registry = Registry(STANDARD_BLOCKS)
    one, other = rules.loads(rules.dumps(TEN_OF_7)), rules.loads(rules.dumps(TEN_OF_7))
    compiled = compile_rule(one, registry)
    assert compile_rule(other, registry) is compiled
    assert compile_rule(one) is not compiled
    registry.add_scene("pbb.resource.no_batch_item_quantity", "cart", lambda _, item_id=None: 0)  # noqa: ARG005  # the block's own signature

    again = compile_rule(one, registry)
    assert again is not compiled
    assert not again.decide({**TWENTY, "scene": "cart"}).matched
    assert again.decide(TWENTY).matched
    gone = weakref.ref(again)
    del one, other, again, compiled
    gc.collect()
    assert gone() is None


def test_compiled_rules_copy_and_pickle() -> None:
    """A rule that was compiled can still be copied and pickled."""
    assert calculate(TEN_OF_7, TWENTY).matched
    for twin in (copy.deepcopy(TEN_OF_7), pickle.loads(pickle.dumps(TEN_OF_7))):  # noqa: S301  # our own
        assert twin == TEN_OF_7
        assert calculate(twin, TWENTY).matched


def test_threads_compile_and_decide_together() -> None:
    """Threads that meet a new rule at once all get the right answer."""
    found: list[bool] = []
    barrier = threading.Barrier(4)

    def work(number_: int) -> None:
        barrier.wait()
        for at in range(50):
            rule = rules.amount_at_least(rules.item_quantity("7"), 1 + (at + number_) % 24)
            found.append(compile_rule(rule).decide(TWENTY).matched is (1 + (at + number_) % 24 <= 12))

    threads = [threading.Thread(target=work, args=(number_,)) for number_ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 200


QUICK = (
    rules.order_amount(),
    rules.order_amount("app"),
    rules.order_quantity(),
    rules.order_quantity("app"),
    rules.item_amount("7"),
    rules.item_quantity("7"),
    rules.item_quantity(),
    rules.sku_amount("s7"),
    rules.sku_quantity("s7"),
    rules.category_amount("food"),
    rules.category_quantity("food"),
    rules.no_batch_item_quantity("7"),
    rules.no_batch_item_quantity(),
)
PLAIN = {"item_id": "7", "sku": "s7", "sales_channel": "app", "category": ["food"], "price_minor": 5, "quantity": 3}


def quick_and_exact(block: rules.Block, facts: Any) -> tuple[object, object]:
    """What a resource's quick form answers, None where it raises, and what the block's own function does."""
    definition = rules.default_registry.get(block.block)
    assert definition
    assert definition.implementation
    quick: Any = definition.quick
    exact = definition.implementation(rules.Facts(facts), **block.params)
    try:
        found = quick.compute(facts, *quick.given, *block.params.values()) if block.params else quick.whole(facts)
    except Exception:  # noqa: BLE001  # it does not answer
        return None, exact
    return found, exact


@pytest.mark.parametrize("block", QUICK, ids=repr)
def test_quick_answers_plain_orders(block: rules.Block) -> None:
    """Orders whose fields are all there, and of the right type, are counted quickly."""
    facts = {"order": {"lines": [PLAIN, {**PLAIN, "item_id": "8", "sku": "s8", "batch": "b"}]}}
    found, exact = quick_and_exact(block, facts)
    assert found == exact is not None


@settings(max_examples=200)
@given(any_facts())
@example({"order": {"lines": [{"item_id": "7", "quantity": True, "price_minor": 1}]}})
@example({"order": {"lines": [{"item_id": 7, "quantity": 20, "price_minor": 1}]}})
@example({"order": {"lines": [{"item_id": "7", "quantity": -1, "price_minor": 1}]}})
@example({"order": {"lines": [{"item_id": "7", "quantity": 300, "price_minor": 2**70}]}})
@example({"order": {"lines": [{"item_id": "7", "quantity": 20.0, "price_minor": 1, "batch": 1}]}})
@example({"order": {"lines": [{"item_id": "7", "quantity": None, "batch": None, "category": ["a", 1]}]}})
@example({"order": {"lines": ({"item_id": "7", "quantity": 20},)}})
@example({"order": {"lines": {"item_id": "7"}}})
def test_quick_as_exact(facts: Any) -> None:
    """Where a resource's quick form answers at all, it answers what the block's own function does."""
    for block in QUICK:
        found, exact = quick_and_exact(block, facts)
        assert found is None or (found == exact and type(found) is int)


@settings(max_examples=200)
@given(any_rules(), any_facts(only_json=True), item_ids())
def test_json_text_as_data(rule: Any, facts: Any, item_id: str | None) -> None:
    """Facts as JSON text are decided as the data that they stand for, whatever is decoded of them."""
    compiled = compile_rule(rules.parse(rule))
    text = json.dumps(facts).encode()
    expected = compiled.decide(json.loads(text), item_id)
    found = compiled.decide_json(text, item_id)
    assert (found.status, found.steps) == (expected.status, expected.steps)


@pytest.mark.parametrize("block", QUICK, ids=repr)
@pytest.mark.parametrize(
    "line",
    [
        {},
        {"quantity": None},
        {"quantity": True},
        {"quantity": 2.0},
        {"quantity": 2.5},
        {"quantity": -1},
        {"price_minor": None},
        {"price_minor": True},
        {"price_minor": -5},
        {"item_id": 7, "sku": 7, "sales_channel": 7},
        {"item_id": None, "sku": None, "sales_channel": None},
        {"batch": 7},
        {"batch": "b"},
    ],
    ids=repr,
)
def test_json_lines_are_judged_exactly(block: rules.Block, line: dict[str, Any]) -> None:
    """What is odd about a line is told apart in JSON text as in data."""
    facts = {"order": {"lines": [PLAIN, {**PLAIN, **line}, {"price_minor": 1}]}}
    for at in (1, 4, 7, 16, 31):
        compiled = compile_rule(rules.amount_at_least(block, at))
        found, expected = compiled.decide_json(json.dumps(facts)), compiled.decide(facts)
        assert (found.status, found.path) == (expected.status, expected.path)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", "nonsense", "[" * 100_000])
def test_what_is_no_json_is_refused(text: bytes | str) -> None:
    """Facts that are not JSON at all are an error, and say so."""
    with pytest.raises(rules.RuleError, match="not JSON"):
        compile_rule(TEN_OF_7).decide_json(text)


def test_explain_has_every_value_and_number_of_times() -> None:
    """An explanation has what each resource came to, and how many times each part holds."""
    counted = rules.amount_at_least(rules.order_amount(), 500, enable_multiple=True)
    points = rules.give_points(rules.user_attribute("points"))
    rule = rules.so(counted & rules.exists(rules.user_attribute("id")), points)
    tree = rules.explain(rule, {"order": {"lines": [{"price_minor": 1700}]}, "user": {"id": "u"}}).to_json()["tree"]
    condition, action = tree["children"]
    assert condition["times"] == condition["children"][0]["times"] == 3
    assert condition["children"][0]["resources"] == [
        {"path": "/so/when/and/0/params/amount", "block": "pbb.resource.order_amount", "value": 1700}
    ]
    assert "times" not in condition["children"][1]
    assert action["resources"][0]["unknown"] == "user.points is missing"
    assert tree["verdict"] is None


@pytest.mark.parametrize("block", [rules.order_amount(), rules.item_amount("1"), rules.order_amount("app")])
def test_a_price_out_of_range_is_unknown(block: rules.Block) -> None:
    """A price that no number holds is unknown, also on a line that adds nothing to the sum."""
    line = {"item_id": "1", "sales_channel": "app", "price_minor": 10**400, "quantity": 0}
    assert calculate(rules.amount_below(block, 5), {"order": {"lines": [line]}}).status == "unknown"


def test_order_of_parameters_says_nothing() -> None:
    """Rules that say the same answer the same, whichever parameter stands first."""
    window, action = rules.user_attribute("bad"), rules.user_attribute("gone")
    params = {"action": action, "window_s": window}
    facts = {"user": {"bad": "x"}, "behaviours": [], "now": "2024-01-01T00:00:00Z"}
    for ordered in (params, dict(reversed(params.items()))):
        count = rules.Block("pbb.resource.behaviour_count", ordered, "resource")
        assert calculate(rules.exists(count), facts, Registry(STANDARD_BLOCKS)).status == "not_matched"


def test_what_is_enough_holds_once_at_least() -> None:
    """An amount that reaches a threshold holds once, also where decimals would say a little less."""
    at = 10000000000000000905969664
    rule = rules.amount_at_least(rules.user_attribute("n"), at, enable_multiple=True)
    found = calculate(rules.so(rule, rules.give_points(1)), {"user": {"n": 1e25}})
    assert [effect["times"] for effect in found.effects] == [1]


def test_fractions_are_summed_before_they_are_rounded() -> None:
    """What an order is worth is exact until it is one number."""
    lines = [
        {"price_minor": 9953, "quantity": 0.762280082457942},
        {"price_minor": 7298, "quantity": 0.26633056045725956},
    ]
    exact_sum = sum(Fraction(line["price_minor"]) * Fraction(repr(line["quantity"])) for line in lines)
    between = rules.amount_between(rules.order_amount(), float(exact_sum), float(exact_sum))
    assert calculate(between, {"order": {"lines": lines}}).matched


def test_built_far_too_deep_is_an_error_everywhere() -> None:
    """A rule that was built deeper than Python can walk is refused as a rule, whatever is asked of it."""
    deep: rules.Condition = rules.exists(rules.now())
    for _ in range(3000):
        deep = rules.Not(deep)
    asked: list[Any] = [rules.to_json, rules.dumps, rules.needs, rules.aliases, compile_rule, hash]
    for ask in (*asked, lambda rule: rules.bind(rule, {}), lambda rule: rule == TEN_OF_7):
        with pytest.raises(RuleError, match="too deep"):
            ask(deep)
    assert [problem["code"] for problem in rules.check(deep)["problems"]] == ["limit"]
    assert calculate(deep, {}).status == "invalid"


def test_effects_say_parameters_as_declared() -> None:
    """Equal rules answer alike to the letter, whichever parameter an action names first."""
    registry = Registry(STANDARD_BLOCKS)
    params: dict[str, Any] = {"benefit": "b", "points": 5}
    for ordered in (params, dict(reversed(params.items()))):
        rule = rules.so(rules.Block("pbb.action.give_points", ordered, "action"))
        for answer in (calculate(rule, {}, registry), rules.explain(rule, {}, registry).evaluation):
            assert list(answer.effects[0]["params"]) == ["points", "benefit"]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -float("inf")])
def test_a_number_that_is_not_finite_is_not_there(value: float) -> None:
    """A number that is not finite is of the wrong type for `exists` as for everything else."""
    rule = rules.exists(rules.user_attribute("n"))
    facts = {"user": {"n": value}}
    assert calculate(rule, facts).status == compile_rule(~rule).decide(facts).status == "unknown"
    assert not RuleSet([(1, rule)]).matching(facts)
    assert compile_rule(rule).decide_json('{"user": {"n": 1e400}}').status == "unknown"


def test_reading_facts_adds_nothing_to_them() -> None:
    """Dictionaries that make what they lack are read like any others, and stay as they are."""
    made: Any = defaultdict(lambda: defaultdict(int))
    line: Any = defaultdict(int, {"item_id": "7", "sales_channel": "web"})
    several: list[rules.Condition] = [
        ~rules.amount_at_least(rules.user_attribute("n"), 5),
        rules.equals(rules.user_attribute("n"), "x"),
        rules.amount_at_least(rules.item_quantity("7"), 1),
        rules.amount_at_least(rules.order_amount("app"), 1),
        rules.amount_at_least(rules.no_batch_item_quantity("7"), 1),
        rules.exists(rules.user_attribute("n")),
    ]
    for facts in (made, {"user": defaultdict(int), "order": {"lines": [line]}}):
        before = copy.deepcopy(facts)
        for rule in several:
            compiled = compile_rule(rule)
            exact = evaluate(compiled.plan, compiled.run(facts))
            assert compiled.calculate(facts) == exact
        RuleSet(enumerate(several)).matching(facts)
        assert facts == before


def test_source_is_read_when_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands on disk later is never looked at: a package that is replaced changes no running process."""
    monkeypatch.setattr("inspect.getsource", lambda _: "def broken(:")
    rule = rules.amount_at_least(rules.item_quantity("7"), 12) & rules.exists(rules.user_attribute("never seen shape"))
    assert compile_rule(rule).decide({**TWENTY, "user": {"never seen shape": 1}}).matched


def test_a_compiled_rule_keeps_its_blocks() -> None:
    """A rule that was compiled before a scene was added answers as before, whichever way it is asked."""
    registry = Registry(STANDARD_BLOCKS)
    rule = rules.amount_at_least(rules.order_amount(), 10)
    compiled, found = compile_rule(rule, registry), RuleSet([(1, rule)], registry)
    registry.add_scene("pbb.resource.order_amount", "vip", lambda _, sales_channel=None: 99)  # noqa: ARG005  # its signature
    facts = {"order": {"lines": []}, "scene": "vip"}
    assert not compiled.decide(facts).matched
    assert not compiled.matches(facts)
    assert compiled.calculate(facts).status == "not_matched"
    assert not found.matching(facts)
    assert calculate(rule, facts, registry).matched


@pytest.mark.parametrize(
    ("value", "status"), [(float("nan"), "unknown"), (None, "unknown"), (True, "unknown"), (4, "matched")]
)
def test_a_plugins_quick_form_is_not_trusted(value: object, status: str) -> None:
    """What a quick form of somebody else's gives is judged as what the block's own function gives."""

    @resource("t.resource.q", "Q", words="q", gives="number", quick=Quick(lambda _: value, (), lambda _: value))
    def q(_: rules.Facts) -> object:
        return value

    registry = Registry([*STANDARD_BLOCKS, q])
    rule = rules.amount_below(q(), 5)
    assert calculate(rule, {}, registry).status == status
    assert compile_rule(rule, registry).matches({}) is (status == "matched")
    assert calculate(rules.exists(q()), {}, registry).matched is (value is True or value == 4)


def test_a_block_that_borrows_a_function_keeps_its_parameters() -> None:
    """A condition with a standard function and stricter parameters is as strict as it says."""
    borrowed = rules.equals.definition.implementation
    params = {"value": text("a text"), "to": text("what it has to be")}
    strict = condition("t.condition.same_text", "Same", params, words="{to}", subject="value")(borrowed)  # type: ignore[arg-type]  # it is one
    registry = Registry([*STANDARD_BLOCKS, strict])
    rule = ~strict(rules.user_attribute("n"), "x")
    facts = {"user": {"n": 5}}
    assert calculate(rule, facts, registry).status == "unknown"
    assert not RuleSet([(1, rule)], registry).matching(facts)


def test_callables_and_counts_of_a_plugin() -> None:
    """A condition may be computed by any callable; 0 times is false; an exception that cannot be told is unknown."""

    @dataclass
    class Counter:
        by: int

        def __call__(self, amount: int) -> object:
            return amount // self.by

    class Untold(Exception):  # only here
        def __str__(self) -> str:
            raise ValueError

    def fails(amount: int) -> object:
        raise Untold

    amount = {"amount": number("how much")}
    counted = condition("t.condition.tens", "Tens", amount, words="tens", subject="amount", counts=True)(Counter(10))
    failing = condition("t.condition.fails", "Fails", amount, words="fails", subject="amount")(fails)
    registry = Registry([*STANDARD_BLOCKS, counted, failing])
    rule = rules.so(counted(rules.user_attribute("n")), rules.give_points(1))
    assert calculate(rule, {"user": {"n": 35}}, registry).effects[0]["times"] == 3
    assert calculate(rule, {"user": {"n": 5}}, registry).status == "not_matched"
    assert [match.key for match in RuleSet([(1, rule)], registry).matching({"user": {"n": 20}})] == [1]
    assert calculate(failing(rules.user_attribute("n")), {"user": {"n": 5}}, registry).status == "unknown"


@pytest.mark.parametrize(
    "make",
    [
        lambda: rules.Block("pbb.condition.exists", {1: 2, "value": 3}),  # type: ignore[dict-item]  # that is the test
        lambda: rules.Block(object(), {}),  # type: ignore[arg-type]  # as above
        lambda: rules.Alias(object()),  # type: ignore[arg-type]  # as above
    ],
)
def test_nodes_of_junk_are_refused_when_built(make: Any) -> None:
    """A node says what is wrong with it where it is built, not later."""
    with pytest.raises(RuleError):
        make()


@pytest.mark.parametrize("given_text", [None, 5, {}])
def test_facts_that_are_no_text_are_refused(given_text: Any) -> None:
    """What is neither text nor bytes is not JSON."""
    for rule in (TEN_OF_7, rules.exists(rules.now())):
        with pytest.raises(RuleError, match="not JSON"):
            compile_rule(rule).decide_json(given_text)


def _two_items(one: str, other: str) -> rules.Rule:
    return rules.amount_at_least(rules.item_quantity(one), 2) & rules.amount_below(rules.item_quantity(other), 2)


def _two_steps(one: str, other: str) -> rules.Rule:
    """Whether the steps share their first condition is all that tells such ladders apart."""
    named = [rules.equals(rules.user_attribute("n"), text_) for text_ in (one, other)]
    at = [rules.amount_at_least(rules.order_amount(), amount) for amount in (1, 2)]
    return rules.tiers(*(rules.so(who & enough, rules.give_points(1)) for who, enough in zip(named, at, strict=True)))


ALIKE = [
    [_two_steps("x", "x"), _two_steps("x", "y"), _two_steps("y", "x")],
    [rules.equals(rules.user_attribute("n"), to) for to in ("x", 5, 5.0, True, False)],
    [rules.in_set(rules.user_attribute("n"), values) for values in (["x"], ["x", 5], [True, 1.5])],
    [_two_items("7", "8"), _two_items("7", "7"), _two_items("8", "7")],
    [rules.amount_at_least(rules.order_amount(), 10, enable_multiple=flag) for flag in (True, False)],
    [
        rules.so(rules.amount_at_least(rules.order_amount(), 10, enable_multiple=f), rules.give_points(1))
        for f in (True, False)
    ],
]


@pytest.mark.parametrize("alike", ALIKE, ids=range(len(ALIKE)))
@pytest.mark.parametrize("turned", [False, True])
def test_rules_share_code_only_where_they_may(alike: list[rules.Rule], turned: bool) -> None:
    """Rules that look alike answer each as itself, whichever was compiled first."""
    registry = Registry(STANDARD_BLOCKS)
    lines = [{"item_id": "7", "quantity": 3, "price_minor": 10}, {"item_id": "8", "price_minor": 5}]
    for rule in reversed(alike) if turned else alike:
        compiled = compile_rule(rule, registry)
        values: tuple[Any, ...] = ("x", "y", 5, 5.0, 1, True, False, 1.5, None, [])
        for n in values:
            facts = {"user": {"n": n}, "order": {"lines": lines}}
            assert compiled.calculate(facts) == evaluate(compiled.plan, compiled.run(facts))


def test_impure_blocks_that_all_steps_ask_stay_behind_their_guards() -> None:
    """What every step of a ladder asks is asked before the rest only if it is pure and total, alone and in a set."""
    asked: list[int] = []

    @resource("t.resource.dear", "Dear", words="dear", gives="number")
    def dear(_: rules.Facts) -> object:
        asked.append(1)
        return 5

    registry = Registry([*STANDARD_BLOCKS, dear])
    guards = [rules.exists(rules.user_attribute(name)) for name in ("a", "b")]
    ladder = rules.tiers(
        *(rules.so(guard & rules.amount_at_least(dear(), 1), rules.give_points(1)) for guard in guards)
    )
    assert not compile_rule(ladder, registry).decide({"user": {}}).matched
    assert not RuleSet([(1, ladder)], registry).matching({"user": {}})
    assert not asked
    assert RuleSet([(1, ladder)], registry).matching({"user": {"b": 1}})


@pytest.mark.parametrize(
    ("quantities", "at"), [((float("inf"),), 3), ((1.1, 2.2), 3.3000000000000003), ((10**400,), 3), ((2.5,), 2.5)]
)
def test_totals_of_a_set_are_exact(quantities: tuple[float, ...], at: float) -> None:
    """Fractions, giants and infinities are counted in a set as alone."""
    rule = rules.amount_at_least(rules.item_quantity("7"), at)
    facts = {"order": {"lines": [{"item_id": "7", "quantity": quantity} for quantity in quantities]}}
    compiled = compile_rule(rule)
    exact = evaluate(compiled.plan, compiled.run(facts)).matched
    assert bool(RuleSet([(1, rule)]).matching(facts)) is compiled.matches(facts) is exact

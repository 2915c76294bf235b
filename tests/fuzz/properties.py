"""What must hold for any input to the rule engine, each as a function that raises where it does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from tactics.rules import (
    Rule,
    RuleError,
    RuleSet,
    aliases,
    bind,
    calculate,
    check,
    compile_rule,
    dumps,
    explain,
    loads,
    needs,
    parse,
    price,
)
from tests.fuzz.mutation import ANYTHING, mutated_rules, mutated_texts
from tests.rules.agreement import disagreement
from tests.rules.facts_at_random import Json, mostly, some
from tests.rules.plain_rule import plain_answer
from tests.rules.rules_at_random import facts, item_ids, open_rules, orders, rules
from tests.rules.test_rule_rubbish import ANY_FACTS

STATUSES = {"matched", "not_matched", "unknown", "invalid", "null_rule"}
# What `check` says of the form alone, and `parse` has to say as well.
FORM = {"form", "kind", "type", "unit", "limit", "unknown_block", "unknown_param", "missing_param", "null_rule"}
# Far above what any input here takes, on any machine: it tells work that grows without bound from a slow machine.
LIMIT_S = 20.0


def evaluates(rule: Any, facts: Any, item_id: str | None) -> None:
    """The engine says what the plain evaluation says; `explain` says the same; the facts are as they were."""
    before = repr(facts)
    difference = disagreement(rule, facts, item_id)
    assert difference is None, difference
    answered(rule, facts, item_id)
    assert repr(facts) == before, "the facts were changed"


def answered(rule: Any, facts: Any, item_id: str | None) -> None:
    """One of five statuses, which JSON can carry, and the same from `explain`."""
    answer = calculate(rule, facts, item_id=item_id)
    assert answer.status in STATUSES
    _encodable(answer.to_json())
    explained = explain(rule, facts, item_id=item_id)
    assert repr(explained.evaluation.to_json()) == repr(answer.to_json()), "explain answers otherwise than calculate"
    _encodable(explained.to_json())
    "\n".join(explained.lines()).encode("utf-8", "surrogatepass")


def decides(rule: Any, several: list[Any], item_id: str | None) -> None:
    """A compiled rule, asked again and again, decides what the plain evaluation does, as often as that says."""
    compiled = compile_rule(rule)
    for seen in several:
        plain = plain_answer(rule, seen, item_id)
        decision = compiled.decide(seen, item_id)
        assert decision.status == plain.status, f"decided {decision}, plain {plain}"
        assert compiled.matches(seen, item_id) is (plain.status == "matched")
        assert list(compiled.calculate(seen, item_id).effects) == plain.effects
        times = [times for _, times in decision.steps]
        assert set(times) == {effect["times"] for effect in plain.effects}, f"decided {decision}, plain {plain}"


def finds(listed: list[Any], several: list[Any], item_id: str | None) -> None:
    """A set of rules finds those that match by themselves, in their order, with the same decision."""
    chosen = RuleSet(list(enumerate(listed)))
    for seen in several:
        found = [match.key for match in chosen.matching(seen, item_id)]
        expected = [key for key, rule in enumerate(listed) if plain_answer(rule, seen, item_id).status == "matched"]
        assert found == expected, f"found {found} instead of {expected}"
        for match in chosen.matching(seen, item_id):
            alone = compile_rule(listed[match.key]).decide(seen, item_id)
            assert (match.decision.status, match.decision.steps) == (alone.status, alone.steps)


def reads_data(obj: Any, facts: Any) -> None:
    """`parse` and `check` agree on what is a rule; what is one goes through the codec unchanged and is evaluated."""
    problems = check(obj, open_aliases=True)["problems"]
    _encodable(problems)
    formal = [(one["path"], one["code"]) for one in problems if one["code"] in FORM and one["severity"] == "error"]
    try:
        rule = parse(obj)
    except RuleError as error:
        refused = [(one.path, one.code) for one in error.problems]
        assert formal == refused, f"parse says {refused}, check {formal}"
        answer = calculate(obj, facts)
        assert answer.status == ("null_rule" if obj is None else "invalid")
        _encodable(answer.to_json())
        return
    assert not formal, f"parse takes it, check says {formal}"
    _goes_through_the_codec(rule)
    if aliases(rule):
        assert calculate(rule, facts).status == "invalid"
        assert "unbound_alias" in [one["code"] for one in check(obj)["problems"]]
    else:
        evaluates(rule.to_json(), facts, None)


def reads_text(text: bytes) -> None:
    """Text is a rule or a RuleError, as bytes and as text alike."""
    read: list[object] = []
    for given in (text, text.decode("utf-8", "surrogatepass") if _is_utf8(text) else text):
        try:
            read.append(loads(given))
        except RuleError as error:
            _encodable([problem.to_json() for problem in error.problems])
            read.append(None)
    assert read[0] == read[1] or text.startswith(b"\xef\xbb\xbf"), "bytes and text are read differently"
    for rule in read:
        if rule is not None:
            _goes_through_the_codec(rule)  # type: ignore[arg-type]  # what loads gave
            answered(rule, {}, None)


def binds(drawn: tuple[Json, Json, Json], facts: Any) -> None:
    """A rule with its aliases bound is the rule with constants in their places."""
    opened, values, closed = drawn
    rule = parse(opened)
    assert aliases(rule) == values.keys()
    bound = bind(rule, values)
    assert bound == parse(closed)
    evaluates(bound.to_json(), facts, None)


def prices(order: Any, entries: Any, mode: Any, facts: Any) -> None:
    """A price, or a RuleError; what a price says adds up, and JSON can carry it."""
    try:
        answer = price(order, entries, mode, facts)
    except RuleError as error:
        _encodable([problem.to_json() for problem in error.problems])
        return
    _encodable(answer)
    totals = [line["total_minor"] for line in answer["lines"]]
    assert min(totals, default=0) >= 0
    assert sum(totals) == answer["total_minor"] <= answer["original_total_minor"]
    assert len(answer["rules"]) == len(entries)


def told(rule: Any) -> None:
    """What a rule reads can be told of every rule; `check` has only warnings for it, or that it can never hold."""
    needs(rule)
    problems = check(rule)["problems"]
    assert not [one for one in problems if one["code"] in FORM and one["severity"] == "error"], problems
    assert check(parse(rule)) == check(rule), "check says one thing of a rule and another of its JSON"


def _goes_through_the_codec(rule: Rule) -> None:
    data = rule.to_json()
    assert parse(data) == rule
    text = dumps(rule)
    assert loads(text) == rule
    assert dumps(loads(text)) == text


def _encodable(answer: object) -> None:
    json.dumps(answer, allow_nan=False)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _whole(order: Json) -> Json:
    lines = [{**line, "quantity": int(line.get("quantity", 1))} for line in order["lines"]]
    return {**order, "lines": lines}


ORDERS = mostly(orders(sound=True).map(_whole), orders() | ANYTHING)
ENTRY = st.fixed_dictionaries(
    {"rule": mostly(rules(3), mutated_rules())},
    optional={
        "code": mostly(some(("a", "b")), ANYTHING, 30),
        "priority": mostly(st.integers(-1, 1), ANYTHING, 30),
        "exclusive_group": mostly(some(("g", "h")), ANYTHING, 30),
    },
)
MODES = mostly(some(("stack", "best")), ANYTHING, 20)

SEEN = mostly(facts(), ANY_FACTS, 4)

# What is tried, and on which input.
PROPERTIES: Mapping[Callable[..., None], tuple[st.SearchStrategy[Any], ...]] = {
    evaluates: (rules(), SEEN, item_ids()),
    decides: (rules(), st.lists(SEEN, min_size=1, max_size=4), item_ids()),
    finds: (st.lists(rules(4), max_size=8), st.lists(SEEN, min_size=1, max_size=3), item_ids()),
    reads_data: (mostly(mutated_rules(), ANYTHING, 20), facts()),
    reads_text: (mutated_texts(),),
    binds: (open_rules(), facts()),
    prices: (ORDERS, mostly(st.lists(rules(3) | ENTRY, max_size=4), ANYTHING, 30), MODES, st.none() | facts()),
    told: (rules(),),
}


def timed(holds: Callable[..., None], *given: Any) -> None:
    """Raises where the property does not hold, or took far too long to find out."""
    start = time.monotonic()
    holds(*given)
    took = time.monotonic() - start
    assert took < LIMIT_S, f"took {took:.0f} s"

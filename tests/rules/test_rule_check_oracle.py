"""`check` against brute force: random rules, evaluated with every value that could make a difference.

The engine says what each single condition is for each value; logic and ladders are worked out here, plainly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tactics.rules import calculate, check

Json = dict[str, Any]
# A resource's values, as facts that give it one each; the last are such as leave it missing, or unusable.
Values = tuple[Json, ...]

TIMES = ["2024-01-01T00:00:00Z", "2024-01-03T00:00:00Z"]
AROUND = ["2023-12-31T00:00:00Z", "2024-01-01T01:00:00+01:00", "2024-01-02T00:00:00Z", "2024-01-04T00:00:00Z"]
NUMBERS = [0, 2, 5]
# Below, at, between and above the numbers that rules name.
BESIDE = [-1, 0, 1, 2, 3.5, 5, 6]


def block(kind: str, name: str, /, **params: Any) -> Json:
    return {"block": f"pbb.{kind}.{name}", "params": params}


def pieces(quantity: object) -> Json:
    return {"order": {"lines": [{"item_id": "7", "quantity": quantity}]}}


def actions(count: int) -> Json:
    at = "2024-01-01T00:00:00Z"
    return {"now": at, "behaviours": [{"action": "view", "at": at}] * count}


ATTRIBUTE = [*BESIDE, True, False, "x", "y", *TIMES, *AROUND, None, ["x"]]
SUBJECTS: dict[str, tuple[Json, Values, str]] = {
    "user": (
        block("resource", "user_attribute", name="a"),
        (*({"user": {"a": one}} for one in ATTRIBUTE), {"user": "nobody"}),
        "anything",
    ),
    "event": (
        block("resource", "event_attribute", name="a"),
        (*({"event": {"a": one}} for one in ATTRIBUTE), {"event": "none"}),
        "anything",
    ),
    "pieces": (
        block("resource", "item_quantity", item_id="7"),
        (*(pieces(one) for one in BESIDE if one >= 0), pieces("many"), {}),
        "number",
    ),
    "count": (
        block("resource", "behaviour_count", action="view", window_s=60),
        (*map(actions, range(7)), {}, {"now": TIMES[0], "behaviours": 5}),
        "whole",
    ),
    "hour": (
        block("resource", "hour_of_day"),
        (*({"now": f"2024-01-01T{hour:02}:00:00Z"} for hour in range(24)), {}, {"now": "noon"}),
        "hour",
    ),
    "now": (
        block("resource", "now"),
        (*({"now": at} for at in [*TIMES, *AROUND]), {}, {"now": "noon"}),
        "time",
    ),
}
# Facts of one of these never change those of another.
APART = [("user",), ("event",), ("pieces",), ("count", "hour", "now")]


def conditions_on(name: str) -> st.SearchStrategy[Json]:
    """One condition on one resource, with constants from the few above."""
    subject, _, kind = SUBJECTS[name]
    number = st.sampled_from(NUMBERS + {"whole": [2.5, 2.0], "hour": [23, 24, 2.5]}.get(kind, [2.0]))
    scalar = number | st.sampled_from([True, "x", *TIMES])
    time = st.sampled_from(TIMES)
    amounts = [
        number.filter(bool).map(lambda at: block("condition", "amount_at_least", amount=subject, amount_at=at)),
        number.map(lambda at: block("condition", "amount_more_than", amount=subject, amount_at=at)),
        number.map(lambda at: block("condition", "amount_below", amount=subject, amount_at=at)),
        st.builds(
            lambda low, high: block("condition", "amount_between", amount=subject, low=low, high=high), number, number
        ),
    ]
    others = [
        st.just(block("condition", "exists", value=subject)),
        scalar.map(lambda to: block("condition", "equals", value=subject, to=to)),
        st.lists(scalar, min_size=1, max_size=3).map(
            lambda values: block("condition", "in_set", value=subject, values=values)
        ),
        *(
            st.builds(
                lambda start, end: block(
                    "condition",
                    "within",
                    value=subject,
                    **({"from": start} if start is not None or end is None else {}),
                    **({} if end is None else {"to": end}),
                ),
                st.none() | ends if ends is not number else ends,
                st.none() | ends,
            ).filter(lambda made: made["params"].get("from", 0) is not None)
            for ends in (number, time)
        ),
    ]
    return st.one_of(others if kind == "time" else amounts + others)


CONSTANT = st.builds(
    lambda amount, at: block("condition", "amount_more_than", amount=amount, amount_at=at),
    *[st.sampled_from([1, 2])] * 2,
)


@st.composite
def names(draw: st.DrawFn) -> list[str]:
    """The resources of one rule, each independent of the others."""
    groups = draw(st.lists(st.sampled_from(APART), min_size=1, max_size=2, unique=True))
    return [draw(st.sampled_from(group)) for group in groups]


def trees(some: list[str], leaves: int) -> st.SearchStrategy[Json]:
    """Conditions on some resources."""
    leaf = st.one_of(*[conditions_on(name) for name in some] * 4, CONSTANT)
    return st.recursive(
        leaf,
        lambda part: (
            part.map(lambda one: {"not": one})
            | st.lists(part, min_size=1, max_size=3).map(lambda all_: {"and": all_})
            | st.lists(part, min_size=1, max_size=3).map(lambda all_: {"or": all_})
        ),
        max_leaves=leaves,
    )


@st.composite
def rules(draw: st.DrawFn) -> tuple[list[str], Json]:
    some = draw(names())
    return some, draw(trees(some, 7))


@st.composite
def ladders(draw: st.DrawFn) -> tuple[list[str], Json]:
    some = draw(names())
    steps = draw(st.lists(st.none() | trees(some, 3), min_size=2, max_size=4))
    then = [block("action", "send_coupon", benefit="c")]
    bodies = [{"then": then} if when is None else {"when": when, "then": then} for when in steps]
    mode = draw(st.sampled_from(["highest", "first", "all"]))
    return some, {"tiers": {"mode": mode, "steps": [{"so": body} for body in bodies]}}


@cache
def told(leaf: str, facts: str) -> float:
    """What the engine says of one condition: 1 holds, 0 does not, one half unknown."""
    answer = calculate(json.loads(leaf), json.loads(facts))
    return {"matched": 1.0, "not_matched": 0.0, "unknown": 0.5}[answer.status]


def truth(node: Json, facts: Mapping[str, Json]) -> float:
    """Kleene's logic over what the engine says of the leaves; `facts` are by resource."""
    if "not" in node:
        return 1 - truth(node["not"], facts)
    if "and" in node:
        return min(truth(part, facts) for part in node["and"])
    if "or" in node:
        return max(truth(part, facts) for part in node["or"])
    leaf = json.dumps(node)
    mine = next((name for name in facts if json.dumps(SUBJECTS[name][0]) in leaf), None)
    return told(leaf, json.dumps(facts[mine] if mine else {}))


def worlds(some: list[str]) -> list[dict[str, Json]]:
    """Every combination of values that could make a difference."""
    return [dict(zip(some, values, strict=True)) for values in product(*(SUBJECTS[name][1] for name in some))]


def parts(node: Json, path: str) -> Iterator[tuple[Json, str]]:
    if "not" in node:
        yield node["not"], f"{path}/not"
    for form in ("and", "or"):
        for index, part in enumerate(node.get(form, [])):
            yield part, f"{path}/{form}/{index}"


def expected(node: Json, path: str, every: list[dict[str, Json]], severity: str = "error") -> Iterator[tuple[str, ...]]:
    """The outermost conditions that are never true, or never false, with their severity."""
    verdicts = {truth(node, world) for world in every}
    if 1 not in verdicts:
        yield "never_holds", severity, path
    elif 0 not in verdicts:
        yield "always_holds", "warning", path
    else:
        for part, at in parts(node, path):
            yield from expected(part, at, every, "warning")


def agree(problems: list[dict[str, str]], wanted: list[tuple[str, ...]]) -> None:
    """The problems are those, in that order; what never holds may be named more narrowly than by its whole."""
    assert [(one["code"], one["severity"]) for one in problems] == [one[:2] for one in wanted]
    for problem, (code, _, path) in zip(problems, wanted, strict=True):
        exact = problem["path"] == path
        assert exact or (code == "never_holds" and problem["path"].startswith(path + "/")), (problem, path)
        assert problem["message"]


SETTINGS = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(rules())
def test_conditions_that_never_or_always_hold_are_found_and_no_others(made: tuple[list[str], Json]) -> None:
    """What is true for no facts is an error where a rule hangs on it; what is false for none is a warning."""
    some, rule = made
    wanted = list(expected(rule, "", worlds(some)))
    answer = check(rule)
    agree(answer["problems"], wanted)
    assert answer["ok"] == all(severity == "warning" for _, severity, _ in wanted)


@SETTINGS
@given(ladders())
def test_steps_that_can_never_win_are_found_and_no_others(made: tuple[list[str], Json]) -> None:
    """A step never wins when others win with all facts for which it holds; steps that never hold are errors instead."""
    some, rule = made
    every = worlds(some)
    steps = [step["so"] for step in rule["tiers"]["steps"]]
    mode = rule["tiers"]["mode"]
    held: set[int] = set()
    won: set[int] = set()
    for world in every:
        holding = [i for i, step in enumerate(steps) if "when" not in step or truth(step["when"], world) == 1]
        held.update(holding)
        won.update(holding if mode == "all" else holding[-1:] if mode == "highest" else holding[:1])
    problems = check(rule)["problems"]
    never = {one["path"] for one in problems if one["code"] == "never_wins"}
    assert never == {f"/tiers/steps/{index}" for index in held - won}
    others = [one for one in problems if one["code"] in {"never_holds", "always_holds"}]
    wanted = [
        one
        for index, step in enumerate(steps)
        if "when" in step
        for one in expected(step["when"], f"/tiers/steps/{index}/so/when", every)
    ]
    agree(others, wanted)
    assert {one["code"] for one in problems} <= {"never_holds", "always_holds", "never_wins", "not_rising"}

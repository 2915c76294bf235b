"""What holds for all prices, and that they are those of a slow and plain calculation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tactics import rules
from tactics.rules import PriceAnswer, price, so
from tactics.rules.spread import half_up, spread
from tests.rules.plain_price import Lines, Step, Told, worked_out

few = settings(max_examples=150)

NAMES = st.sampled_from(["a", "b"])
MINOR = st.integers(0, 300)
PERCENT = st.integers(1, 10_000).map(lambda hundredths: hundredths / 100) | st.sampled_from([10, 50, 100, 33.33])
SELECTED = {"item_id": NAMES, "sku": NAMES}
BASE = {"base": st.sampled_from(["running", "original"])}
ITEM_ACTIONS = (
    st.tuples(
        st.just("item_promotion_price"),
        st.fixed_dictionaries({"price_minor": MINOR}, optional={**SELECTED, "no_batch": st.booleans()}),
    )
    | st.tuples(
        st.just("item_amount_off"),
        st.fixed_dictionaries(
            {"amount_minor": MINOR}, optional={**SELECTED, "category": NAMES, "per": st.sampled_from(["unit", "line"])}
        ),
    )
    | st.tuples(
        st.just("item_percent_off"),
        st.fixed_dictionaries({"percent": PERCENT}, optional={**SELECTED, "category": NAMES, **BASE}),
    )
)
ORDER_ACTIONS = st.tuples(st.just("order_amount_off"), st.fixed_dictionaries({"amount_minor": MINOR})) | st.tuples(
    st.just("order_percent_off"), st.fixed_dictionaries({"percent": PERCENT}, optional=BASE)
)
OTHER_ACTIONS = st.sampled_from([("give_points", {"points": 5}), ("rebate", {"amount_minor": 5})])
ACTIONS = ITEM_ACTIONS | ORDER_ACTIONS | OTHER_ACTIONS


def steps(actions: st.SearchStrategy[Any] = ACTIONS) -> st.SearchStrategy[Step]:
    return st.builds(
        Step, st.integers(0, 2000), st.booleans(), st.lists(actions, min_size=1, max_size=2).map(tuple)
    ).map(lambda step: step if step.at else Step(0, False, step.actions))


def told(actions: st.SearchStrategy[Any] = ACTIONS) -> st.SearchStrategy[Told]:
    place = {"priority": st.integers(-1, 1), "group": st.sampled_from([None, None, "g", "h"])}
    single = st.builds(Told, st.tuples(steps(actions)), st.none(), **place)
    several = st.lists(steps(actions), min_size=1, max_size=3).map(tuple)
    return single | st.builds(Told, several, st.sampled_from(["highest", "first", "all"]), **place)


LINE = st.fixed_dictionaries(
    {"price_minor": st.integers(0, 999), "quantity": st.integers(0, 4)},
    optional={**SELECTED, "category": NAMES | st.lists(NAMES, max_size=2), "batch": st.none() | NAMES},
)
LINES = st.lists(LINE, max_size=4)
RULES = st.lists(told(), max_size=4)
MODES = st.sampled_from(["stack", "best"])


def priced(lines: Lines, listed: Sequence[Told], mode: str = "stack") -> PriceAnswer:
    return price({"lines": list(lines)}, [one.entry() for one in listed], mode)  # type: ignore[arg-type]  # one of two


@settings(max_examples=500)
@given(LINES, RULES, MODES)
def test_prices_are_those_of_the_plain_calculation(lines: Lines, listed: list[Told], mode: str) -> None:
    """Line totals, the order discount, and which rules apply."""
    answer = priced(lines, listed, mode)
    totals, off, apply = worked_out(lines, listed, mode)
    assert [one["total_minor"] for one in answer["lines"]] == totals
    assert answer["order_discount_minor"] == off
    assert [one["status"] == "applied" for one in answer["rules"]] == apply


@few
@given(LINES, RULES, MODES)
def test_an_answer_adds_up(lines: Lines, listed: list[Told], mode: str) -> None:
    """Totals are the sums of lines; each line, and the whole, is the original less what is said to be saved on it."""
    answer = priced(lines, listed, mode)
    for one, given_line in zip(answer["lines"], lines, strict=True):
        assert one["original_total_minor"] == given_line["price_minor"] * given_line["quantity"]
        assert one["total_minor"] == one["original_total_minor"] - sum(part["saved_minor"] for part in one["applied"])
        assert 0 <= one["total_minor"] <= one["original_total_minor"]
        assert 0 <= one["unit_price_minor"] <= one["original_unit_price_minor"]
        assert all(part["saved_minor"] > 0 for part in one["applied"])
    for name in ("total_minor", "original_total_minor"):
        assert answer[name] == sum(one[name] for one in answer["lines"])
    assert answer["total_minor"] == answer["original_total_minor"] - sum(
        one["saved_minor"] for one in answer["applied"]
    )
    in_order = [one for one in answer["applied"] if one["effect"]["block"].startswith("pbb.action.order_")]
    assert answer["order_discount_minor"] == sum(one["saved_minor"] for one in in_order)
    for effect in answer["applied"]:
        parts = [part for one in answer["lines"] for part in one["applied"] if _same(part, effect)]
        alike = [one for one in answer["applied"] if _same(one, effect)]
        assert sum(part["saved_minor"] for part in parts) == sum(one["saved_minor"] for one in alike)


def _same(one: Any, other: Any) -> bool:
    return (one["rule"], one["effect"]) == (other["rule"], other["effect"])


@few
@given(LINES, RULES)
def test_best_is_the_cheapest_of_each_rule_alone_and_stack_is_never_dearer(lines: Lines, listed: list[Told]) -> None:
    """Best gives exactly the lowest total that one rule gives; stacking keeps that rule, or one as good, and adds."""
    best = priced(lines, listed, "best")["total_minor"]
    alone = [priced(lines, [one])["total_minor"] for one in listed]
    assert best == min(alone, default=priced(lines, [])["total_minor"])
    assert priced(lines, listed)["total_minor"] <= best


@few
@given(LINES, RULES)
def test_at_most_one_of_a_group_applies(lines: Lines, listed: list[Told]) -> None:
    """And one does, whenever one of the group matches."""
    answer = priced(lines, listed)
    for group in ("g", "h"):
        status = [one["status"] for one, rule in zip(answer["rules"], listed, strict=True) if rule.group == group]
        assert status.count("applied") == (1 if {"applied", "outdone"} & set(status) else 0)


@few
@given(LINES, st.lists(told(), max_size=3), st.randoms())
def test_the_listing_of_rules_matters_only_where_priorities_tie(lines: Lines, listed: list[Told], random: Any) -> None:
    """With priorities of their own, rules may be listed in any sequence."""
    ranked = [Told(one.steps, one.ladder, rank, one.group) for rank, one in enumerate(listed)]
    shuffled = random.sample(ranked, len(ranked))
    assert priced(lines, ranked)["lines"] == [
        {**line, "applied": [{**part, "rule": ranked.index(shuffled[part["rule"]])} for part in line["applied"]]}
        for line in priced(lines, shuffled)["lines"]
    ]


@few
@given(LINES, RULES, MODES, st.randoms())
def test_the_sequence_of_lines_matters_only_where_shares_tie(
    lines: Lines, listed: list[Told], mode: str, random: Any
) -> None:
    """Item effects know no sequence; nor do the totals of the order while it is rounded only as a whole."""
    places = random.sample(range(len(lines)), len(lines))
    one, other = priced(lines, listed, mode), priced([lines[at] for at in places], listed, mode)
    names = ("total_minor", "order_discount_minor", "rules")
    assert [one[name] for name in names] == [other[name] for name in names]  # type: ignore[literal-required]  # three of its names
    moved = [other["lines"][places.index(at)]["unit_price_minor"] for at in range(len(lines))]
    assert [line["unit_price_minor"] for line in one["lines"]] == moved


@few
@given(LINES, st.lists(told(ITEM_ACTIONS), max_size=3), st.lists(told(ORDER_ACTIONS), max_size=3))
def test_item_rules_come_first_wherever_they_are_listed(lines: Lines, item: list[Told], order: list[Told]) -> None:
    """Order rules before item rules, or after them: the prices are the same."""

    def free(listed: list[Told]) -> list[Told]:
        return [Told(one.steps, one.ladder) for one in listed]

    one, other = priced(lines, free(item) + free(order)), priced(lines, free(order) + free(item))
    assert [line["total_minor"] for line in one["lines"]] == [line["total_minor"] for line in other["lines"]]


@few
@given(LINES, RULES, MODES)
def test_a_rule_that_does_not_match_changes_nothing(lines: Lines, listed: list[Told], mode: str) -> None:
    """Nor does one that is unknown, or a bare condition."""
    entries = [one.entry() for one in listed]
    silent = [
        so(~rules.exists(1), rules.order_amount_off(50)),
        so(rules.equals(rules.user_attribute("vip"), True), rules.order_amount_off(50)),
        rules.exists(1),
    ]
    alone, among = (price({"lines": list(lines)}, each, mode) for each in (entries, [*entries, *silent]))  # type: ignore[arg-type]  # one of two
    assert [one["status"] for one in among["rules"][-3:]] == ["not_matched", "unknown", "no_effect"]
    assert {**among, "rules": among["rules"][:-3]} == alone


@few
@given(st.lists(st.integers(0, 10**20), max_size=6), st.integers(0, 10**4))
def test_spreading_loses_nothing(totals: list[int], ten_thousandth: int) -> None:
    """Shares sum to the amount, are the exact share rounded down or up, and never pass their total."""
    whole = sum(totals)
    amount = whole * ten_thousandth // 10**4
    shares = spread(amount, totals)
    assert sum(shares) == amount
    ups = []
    for share, total in zip(shares, totals, strict=True):
        exact = Fraction(amount * total, whole) if whole else Fraction(0)
        assert exact - 1 < share < exact + 1
        assert share <= total
        ups.append((exact % 1, share > exact))
    assert min((part for part, up in ups if up), default=1) >= max((part for part, up in ups if not up), default=0)


def test_units_left_over_go_to_the_earlier_of_equal_lines() -> None:
    """Where remainders tie, the sequence of the lines decides."""
    assert spread(2, [5, 5, 5]) == [1, 1, 0]
    assert spread(1, [1, 2, 2]) == [0, 1, 0]
    assert spread(0, [3]) == [0]
    assert spread(0, []) == []


def test_a_half_rounds_up() -> None:
    """Also where a banker would round to even."""
    assert [half_up(Fraction(n, 4)) for n in range(9)] == [0, 0, 1, 1, 1, 1, 2, 2, 2]

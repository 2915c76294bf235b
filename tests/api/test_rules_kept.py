"""Rules that are asked about again are ready, and take bounded room."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi.testclient import TestClient

from tactics import rules
from tactics.api.kept import KeptRules
from tactics.rules import Alias, so


def coupon(number: int) -> dict[str, Any]:
    return rules.to_json(so(rules.send_coupon(f"c{number:04}")))


SIZE = 82
"""The length of the text of such a rule."""


def test_the_same_rule_is_the_same_object() -> None:
    """Asked again, also as other data that says the same, a rule is not made anew; another rule is another one."""
    kept = KeptRules()
    found = kept.find(coupon(1))
    assert found == rules.parse(coupon(1))
    assert kept.find(coupon(1)) is found
    assert kept.find(coupon(2)) != found
    assert kept.find(rules.to_json(rules.equals(rules.now(), 1))) != kept.find(
        rules.to_json(rules.equals(rules.now(), True))
    )


def test_what_is_no_rule_comes_back_as_it_is() -> None:
    """Who evaluates it says what is wrong with it; it takes no room. A rule with an open parameter is one."""
    kept = KeptRules()
    strange: list[Any] = [None, 5, [], "x", {}, {"block": "acme.condition.gone"}, {"so": {"then": []}}]
    deep: Any = coupon(1)
    for _ in range(5_000):
        deep = {"not": deep}
    for wrong in [*strange, deep]:
        assert kept.find(wrong) is wrong
    assert len(kept) == 0
    tool = rules.to_json(rules.exists(Alias("x")))
    assert rules.calculate(kept.find(tool), {}) == rules.calculate(tool, {})


def test_the_longest_unused_goes_first() -> None:
    """Beyond the size in all, rules that were not asked about lately are forgotten; a very large one is never kept."""
    kept = KeptRules(3 * SIZE)
    first, second, _ = (kept.find(coupon(number)) for number in (1, 2, 3))
    assert kept.find(coupon(1)) is first
    kept.find(coupon(4))
    assert len(kept) == 3
    assert kept.find(coupon(1)) is first
    assert kept.find(coupon(2)) is not second
    large = rules.to_json(so(*(rules.send_coupon(f"c{number:05}") for number in range(2_000))))
    assert rules.to_json(kept.find(large)) == large
    assert len(kept) == 3


def test_threads_may_ask_at_once() -> None:
    """Whoever asks when, everybody gets the rule that was asked for, and the room stays bounded."""
    kept = KeptRules(20 * SIZE)

    def ask(number: int) -> bool:
        return bool(rules.to_json(kept.find(coupon(number % 50))) == coupon(number % 50))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(2_000)))
    assert len(kept) == 20


def test_answers_are_the_same_from_the_second_time_on(service: TestClient) -> None:
    """A request that is repeated has the answer of the first time, in evaluating, explaining and pricing."""
    listed = [coupon(1), {"code": "x", "rule": rules.to_json(so(rules.order_amount_off(amount_minor=5)))}]
    order = {"lines": [{"price_minor": 10}]}
    for route, body in (
        ("evaluate", {"rule": coupon(7), "facts": {"now": None}, "explain": True}),
        ("evaluate", {"rules": [{"code": "a", "rule": coupon(8)}], "facts": {}}),
        ("price", {"rules": listed, "order": order}),
        ("price", {"rules": [{"rule": {"so": 1}}], "order": order}),
    ):
        answers = [service.post(f"/v1/rules/{route}", json=body, headers={"x-request-id": "r"}).text for _ in range(2)]
        assert answers[0] == answers[1]

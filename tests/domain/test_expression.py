"""Words for what a user gets."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.domain.expression import express, money
from tests.making import activity

COUPON = {"kind": "coupon", "value_minor": 500, "currency": "USD", "code": "X", "status": "available"}


def _words(
    asset: dict[str, Any] | None, language: str = "en", outcome: str = "granted", **changes: Any
) -> tuple[str, str]:
    found = express(activity(**changes), outcome, [asset] if asset else [], language)
    return found.title, found.text


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (0, "USD", "0.00 USD"),
        (5, "USD", "0.05 USD"),
        (123456, "EUR", "1234.56 EUR"),
        (800, "JPY", "800 JPY"),
        (1005, "KWD", "1.005 KWD"),
    ],
)
def test_money_has_its_currency_s_digits(minor: int, currency: str, text: str) -> None:
    """An amount of minor units is written with as many decimals as its currency has."""
    assert money(minor, currency) == text


@pytest.mark.parametrize(
    ("asset", "english", "chinese"),
    [
        (COUPON, "Use code X at the checkout and save 5.00 USD.", "下单时使用优惠码 X, 立减 5.00 USD"),
        ({"kind": "points", "points": 30}, "30 points are on your account.", "30 积分已到账"),
        (
            {"kind": "price", "price_minor": 800, "item_id": "7"},
            "Item 7 for 8.00 USD a piece.",
            "商品 7 专享价 8.00 USD",
        ),
        ({"kind": "price"}, "Applied at the checkout.", "结算时自动生效"),
        ({"kind": "rebate", "value_minor": 40}, "0.40 USD comes back to you after delivery.", "确认收货后返 0.40 USD"),
        ({"kind": "rebate", "percent": 5}, "5% comes back to you after delivery.", "确认收货后返 5%"),
        ({"kind": "gift", "item_id": "9", "quantity": 2}, "2 x item 9, free.", "赠送商品 9 x 2"),
    ],
)
def test_each_kind_has_words_in_both_languages(asset: dict[str, Any], english: str, chinese: str) -> None:
    """A benefit of each kind is worded by its kind, in English and Chinese; other languages read English."""
    whole = {"value_minor": 0, "currency": "USD", **asset}
    assert _words(whole)[1] == english
    assert _words(whole, "zh-CN")[1] == chinese
    assert _words(whole, "ZH")[1] == chinese
    assert _words(whole, "fr")[1] == english


def test_own_words_come_first_with_their_places_filled() -> None:
    """An activity's own words replace the standard ones, and every placeholder stands for what the first asset has."""
    places = "{value}|{code}|{points}|{price}|{item_id}|{until}|{other}"
    asset = {**COUPON, "points": 3, "price_minor": 800, "item_id": "7", "valid_until": "2018-01-01T00:00:00+00:00"}
    own = {"en": {"title": "{code}!", "text": places}}
    assert _words(asset, expression=own) == ("X!", "5.00 USD|X|3|8.00 USD|7|2018-01-01|{other}")
    assert _words({"kind": "gift"}, expression={"en": "{value}{price}{code}."})[1].endswith(".")


@pytest.mark.parametrize("own", [{}, {"expression": {"en": "Take {code}"}}])
def test_what_is_spent_or_open_is_not_offered(own: dict[str, Any]) -> None:
    """A pending grant promises, and a spent one says so, in the caller's language and whatever the activity's words."""
    spent = {**COUPON, "status": "redeemed"}
    assert _words(None, outcome="pending", **own)[1] == "Your benefit is on its way."
    assert _words(None, "zh", outcome="pending", **own)[1] == "权益发放中"
    assert _words(spent, outcome="replayed", **own)[1] == "You have had this benefit already."
    assert _words(spent, "zh", outcome="replayed", **own)[1] == "权益已使用"
    assert "already" not in _words(COUPON, outcome="replayed", **own)[1]


def test_tool_type_of_its_own_follows_the_kind() -> None:
    """A standard or unknown tool type words each benefit by its kind."""
    assert _words(COUPON, tool_type="points") == _words(COUPON, tool_type="my_tool") == _words(COUPON)

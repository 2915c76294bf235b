"""Words for what a user gets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tactics.domain.activity import Expression
from tactics.domain.context import SHOWN, ItemContext
from tactics.domain.event import Event
from tactics.domain.expression import LANGUAGES, express, express_item
from tactics.domain.wording import STANDARD, Wordings
from tests.driving import NOON
from tests.making import activity

EVENT = Event("shop", "1", "placement", "7", "home", {}, NOON)
COUPON = {"kind": "coupon", "value_minor": 500, "currency": "USD", "code": "X", "status": "available"}
TEA = {"item_id": "7", "title": "Green tea", "price_minor": 1000, "currency": "USD"}


def _ctx(asset: dict[str, Any] | None = None, language: str = "en", outcome: str = "granted", **changes: Any) -> Any:
    items = changes.pop("items", [])
    found = [asset] if asset else []
    made = activity(**changes)
    return ItemContext(made, EVENT, "grant", NOON, language=language, outcome=outcome, assets=found, items=items)


def _words(*args: Any, **changes: Any) -> tuple[str, str]:
    found = express(_ctx(*args, **changes))
    return found.title, found.text


@pytest.mark.parametrize(
    ("asset", "english", "chinese"),
    [
        (COUPON, "Use code X at the checkout and save 5.00 USD.", "下单时使用优惠码 X, 立减 5.00 USD"),
        ({"kind": "coupon", "code": "X"}, "Use code X at the checkout.", "下单时使用优惠码 X"),
        ({"kind": "points", "points": 30}, "30 points are on your account.", "30 积分已到账"),
        ({"kind": "points", "points": 1}, "1 point is on your account.", "1 积分已到账"),
        ({"kind": "points"}, "New points are on your account.", "积分已到账"),
        (
            {"kind": "price", "price_minor": 800, "item_id": "8"},
            "Item 8 for 8.00 USD a piece.",
            "商品 8 专享价 8.00 USD",
        ),
        (
            {"kind": "price", "price_minor": 0, "item_id": "7"},
            "Green tea for 0.00 USD a piece.",
            "Green tea 专享价 0.00 USD",
        ),
        ({"kind": "price", "price_minor": 800}, "8.00 USD a piece.", "每件 8.00 USD"),
        (
            {"kind": "price", "amount_minor": 150, "times": 2},
            "3.00 USD off, applied at the checkout.",
            "结算时自动立减 3.00 USD",
        ),
        ({"kind": "price", "percent": 10, "item_id": "7"}, "Green tea: 10% off.", "Green tea 立减 10%"),
        ({"kind": "price"}, "Applied at the checkout.", "结算时自动生效"),
        ({"kind": "rebate", "value_minor": 40}, "0.40 USD comes back to you after delivery.", "确认收货后返 0.40 USD"),
        ({"kind": "rebate", "percent": 5}, "5% comes back to you after delivery.", "确认收货后返 5%"),
        ({"kind": "gift", "item_id": "9", "quantity": 2}, "2 x item 9, free.", "赠送商品 9 x 2"),
        ({"kind": "gift", "item_id": "7", "quantity": 1}, "1 x Green tea, free.", "赠送Green tea x 1"),
        ({"kind": "gift"}, "It comes with your order, free.", "随单赠送"),
    ],
)
def test_each_kind_has_words_in_both_languages(asset: dict[str, Any], english: str, chinese: str) -> None:
    """A benefit of each kind is worded by its kind, in English and Chinese; other languages read English."""
    whole = {"value_minor": 0, "currency": "USD", **asset}
    assert _words(whole, items=[TEA])[1] == english
    assert _words(whole, "zh-CN", items=[TEA])[1] == chinese
    assert _words(whole, "ZH", items=[TEA])[1] == chinese
    assert _words(whole, "fr", items=[TEA])[1] == english


_ASSETS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(sorted(STANDARD)),
        "value_minor": st.integers(0, 10**9),
        "currency": st.sampled_from(["USD", "JPY", "KWD"]),
        "status": st.sampled_from(["available", "claimed", "redeemed", "expired", "revoked"]),
        "valid_until": st.just("2018-01-01T00:00:00+00:00"),
    },
    optional={
        "code": st.just("SAVE5"),
        "points": st.integers(0, 10**6),
        "item_id": st.sampled_from(["7", "8"]),
        "quantity": st.integers(1, 9),
        "percent": st.sampled_from([5, 12.5]),
        "price_minor": st.integers(0, 10**6),
        "amount_minor": st.integers(0, 10**6),
        "times": st.integers(2, 5),
    },
)


@given(
    asset=_ASSETS,
    tool_type=st.sampled_from(["own_kind", "my_tool", *sorted(STANDARD)]),
    language=st.sampled_from([*LANGUAGES, "zh-TW", "de"]),
    outcome=st.sampled_from(sorted(SHOWN)),
)
def test_there_are_always_words(asset: dict[str, Any], tool_type: str, language: str, outcome: str) -> None:
    """Every tool type, language and outcome gives a title and a text, with nothing left to be filled in."""
    asset = {name: value for name, value in asset.items() if value is not None}
    title, text = _words(asset, language, outcome, tool_type=tool_type, items=[TEA])
    assert title
    assert text
    assert not {"{", "}", "None"} & {*title, *text, *title.split(), *text.split()}
    assert text.isascii() == (not language.startswith("zh"))


def test_own_words_come_first_with_their_places_filled() -> None:
    """An activity's own words replace the standard ones, and every placeholder stands for what the first asset has."""
    places = "{value}|{code}|{points}|{price}|{item_id}|{until}|{other}"
    asset = {**COUPON, "points": 3, "price_minor": 800, "item_id": "7", "valid_until": "2018-01-01T00:00:00+00:00"}
    own = {"en": {"title": "{code}!", "text": places}}
    assert _words(asset, expression=own) == ("X!", "5.00 USD|X|3|8.00 USD|7|2018-01-01|{other}")
    assert _words({"kind": "gift"}, expression={"en": "{value}{price}{code}."})[1].endswith(".")
    assert _words({**COUPON, "code": "{until}"}, expression={"en": "{code}"})[1] == "{until}"


@pytest.mark.parametrize("own", [{}, {"expression": {"en": "Take {code}"}}])
def test_what_is_spent_or_open_is_not_offered(own: dict[str, Any]) -> None:
    """A pending grant promises, and a spent one says so, in the caller's language and whatever the activity's words."""
    spent = {**COUPON, "status": "redeemed"}
    assert _words(None, outcome="pending", **own)[1] == "Your benefit is on its way."
    assert _words(None, "zh", outcome="pending", **own)[1] == "权益发放中"
    assert _words(spent, outcome="replayed", **own)[1] == "You have had this benefit already."
    assert _words(spent, "zh", outcome="replayed", **own)[1] == "权益已使用"
    assert "already" not in _words(COUPON, outcome="replayed", **own)[1]


def test_unknown_tool_type_follows_the_kind() -> None:
    """A standard or unknown tool type words each benefit by its kind."""
    assert _words(COUPON, tool_type="points") == _words(COUPON, tool_type="my_tool") == _words(COUPON)


def test_tool_type_of_its_own_has_its_own_words() -> None:
    """A declared tool type words every subject from asset and context, also where there is no asset."""
    known = Wordings()
    known.add(lambda asset, ctx: Expression(text=f"{ctx.placement}: {asset.get('code')}"), "lottery", "en")
    known.add(lambda _, ctx: Expression(text=f"drawing, {ctx.user_id}"), "lottery", "en", "pending")
    known.add(lambda item, _: Expression(text=f"{item['item_id']}?"), "lottery", "en", "item")

    def said(*args: Any) -> str:
        ctx = _ctx(*args, tool_type="lottery")
        ctx.placement = "top"
        return express(ctx, known).text

    assert said(COUPON, "zh") == "top: X"
    assert said() == "top: None"
    assert said(COUPON, "en", "pending") == "drawing, 7"
    assert said({**COUPON, "status": "redeemed"}, "en", "replayed") == ""
    assert express_item(TEA, _ctx(tool_type="lottery"), known) == "7?"
    assert express_item(TEA, _ctx(), known) == ""


def test_nothing_in_hand_has_no_words() -> None:
    """A play that grants nothing shows no words of the standard tool types."""
    assert _words(None) == ("", "")


_TWO = {"needs": 2, "unit": "quantity", "price_minor": 800}


@pytest.mark.parametrize(
    ("item", "english", "chinese"),
    [
        ({}, "", ""),
        ({"price_minor": 1000}, "10.00 EUR", "10.00 EUR"),
        ({"price_minor": 1000, "currency": "JPY"}, "1000 JPY", "1000 JPY"),
        (
            {"price_minor": 1000, "promotion_price_minor": 0},
            "0.00 EUR instead of 10.00 EUR",
            "0.00 EUR, 原价 10.00 EUR",
        ),
        (
            {"price_minor": 1000, "unmet": [_TWO]},
            "10.00 EUR; 2 more for 8.00 EUR each",
            "10.00 EUR; 再买 2 件, 每件 8.00 EUR",
        ),
        (
            {
                "price_minor": 1000,
                "promotion_price_minor": 900,
                "unmet": [_TWO, {"needs": 1250, "unit": "amount_minor", "price_minor": 700}],
            },
            "9.00 EUR instead of 10.00 EUR; 2 more for 8.00 EUR each; 12.50 EUR more for 7.00 EUR each",
            "9.00 EUR, 原价 10.00 EUR; 再买 2 件, 每件 8.00 EUR; 再消费 12.50 EUR, 每件 7.00 EUR",
        ),
    ],
)
def test_item_says_its_price_and_what_more_would_bring(item: dict[str, Any], english: str, chinese: str) -> None:
    """An item's price, its promotion and unmet thresholds are words, in the item's currency or the activity's."""
    assert express_item({"item_id": "7", **item}, _ctx(currency="EUR")) == english
    assert express_item({"item_id": "7", **item}, _ctx(language="zh", currency="EUR")) == chinese

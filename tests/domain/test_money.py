"""Amounts in words."""

from __future__ import annotations

import pytest

from tactics.domain.money import money


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

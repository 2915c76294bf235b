"""`POST /v1/events`: producers tell what users did."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from tactics import metrics
from tactics.api import examples_events as examples
from tactics.api.access import needs
from tactics.api.body import StrictRoute
from tactics.api.cloudevents import BATCH, STRUCTURED, read
from tactics.api.inbox import Inbox
from tactics.api.problems import Refused, described
from tactics.errors import TacticsError
from tactics.flows.accepting import Receipt, Status

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=StrictRoute)


class Verdict(BaseModel):
    """What became of one event; `reason` says why it was rejected, which happens only to one of a batch."""

    source: str
    id: str
    status: Status
    reason: str | None = None


class Verdicts(BaseModel):
    """What became of each event of a batch, in order."""

    results: list[Verdict]


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            STRUCTURED: {"schema": examples.EVENT_SCHEMA, "examples": examples.ONE},
            BATCH: {"schema": examples.BATCH_SCHEMA, "examples": examples.MANY},
        },
    }
}


@router.post(
    "",
    status_code=202,
    dependencies=[needs("events:write")],
    openapi_extra=_BODY,
    responses={
        202: {"model": Verdict | Verdicts, "description": "Committed, or known already; in a batch, each with its own"},
        **described(400, 401, 403, 408, 413, 415, 422, 429, 503),
    },
)
async def ingest(request: Request) -> Response:
    """Accept events: what is `accepted` is committed, and will be worked on whatever happens next.

    CloudEvents 1.0 in structured mode, in batches, or in binary mode (`ce-` headers and the data as JSON body). The same
    `source` and `id` is accepted once: again it is a `duplicate`, with another body it is rejected. In a batch each
    event stands for itself. What is refused as a whole (429, 503) was not accepted: send it again, with the same ids.
    """
    mode, messages = await read(request)
    inbox: Inbox = request.app.state.inbox
    try:
        receipts = await inbox.accept(messages)
    except TacticsError as error:
        metrics.EVENTS_REFUSED.count(error.code, by=len(messages))
        raise
    if mode == "batch":
        return _accepted({"results": [one.to_json() for one in receipts]})
    (receipt,) = receipts
    if receipt.status == "rejected":
        raise _refused(receipt)
    return _accepted(receipt.to_json())


def _refused(receipt: Receipt) -> Refused:
    return Refused(422, receipt.code or "bad_input", receipt.reason or "it was rejected", receipt.problems)


def _accepted(answer: object) -> Response:
    try:
        body = msgspec.json.encode(answer)
    except UnicodeEncodeError:
        # What was sent may hold half a surrogate pair, which has no UTF-8: escaped it goes back as it came.
        body = json.dumps(answer, separators=(",", ":")).encode()
    return Response(body, 202, media_type="application/json")

"""What producers and callers ask of the plain chain, over HTTP: accepted is what the broker has taken."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, FastAPI, Header, Response
from fastapi.responses import JSONResponse
from kombu.exceptions import OperationalError

from tests.chaos.plain.app import chain_of, record

app = FastAPI()
_ACCEPTED = 202


@app.get("/readyz")
def ready() -> dict[str, str]:
    """Say that it is up."""
    return {"status": "ready"}


@app.post("/v1/events")
def accept(body: Annotated[Any, Body()]) -> Response:
    """Publish an event, or a batch."""
    for event in body if isinstance(body, list) else [body]:
        record.delay(event)
    one = {"status": "accepted"}
    return JSONResponse({"results": [one for _ in body]} if isinstance(body, list) else one, _ACCEPTED)


@app.post("/v1/placements/{channel}")
def visit(channel: str, body: Annotated[Any, Body()], idempotency_key: Annotated[str, Header()]) -> Response:
    """Publish the chain of a visit; what comes of it, its user sees later."""
    published = chain_of(idempotency_key.strip('"'), body["user_id"], channel).apply_async()
    return JSONResponse({"execution_ids": [published.id]}, _ACCEPTED)


@app.exception_handler(OperationalError)
def not_taken(_: Any, __: OperationalError) -> Response:
    """Let the client try again: the broker did not take it."""
    return JSONResponse({"error": "try again"}, 503)

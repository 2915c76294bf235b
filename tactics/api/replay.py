"""Reads a request's body before the app does, within the limits that hold for all, and hands it on."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from tactics.api.body import too_large, too_slow
from tactics.api.limits import BODY_PATIENCE_S, MAX_BODY_BYTES
from tactics.api.problems import Refused


async def read_whole(scope: Scope, receive: Receive) -> bytes:
    """Read the raw body.

    Raises:
        Refused: it is too large, does not arrive in time, or its sender went away.
    """
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
        raise too_large()
    try:
        async with asyncio.timeout(BODY_PATIENCE_S):
            return await _read(receive)
    except TimeoutError:
        raise too_slow() from None


async def _read(receive: Receive) -> bytes:
    found = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "form", "the body ended before it was complete")
        found += message.get("body", b"")
        if len(found) > MAX_BODY_BYTES:
            raise too_large()
        if not message.get("more_body", False):
            return bytes(found)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Give what the app is to receive from: the body that was read, then whatever still comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again

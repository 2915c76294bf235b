"""Reads JSON bodies strictly: never more than the limit, and nothing that JSON readers disagree about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from email.message import Message
from functools import lru_cache
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from tactics.api.limits import BODY_PATIENCE_S, MAX_BODY_BYTES
from tactics.api.problems import Refused
from tactics.rules import RuleError
from tactics.rules.codec import load_json

# Sooner read than handed to a thread and back.
_SMALL = 64 * 1024


class StrictRoute(APIRoute):
    """A route whose body, where it has one, is read strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, given a request that is read strictly."""
        handle = super().get_route_handler()
        optional = self.body_field is not None and not self.body_field.field_info.is_required()

        async def strict(request: Request) -> Response:
            given = _StrictRequest(request.scope, request.receive)
            given.optional = optional
            return await handle(given)

        return strict


class _StrictRequest(Request):
    optional = False

    async def body(self) -> bytes:
        """The body, once it is known to be JSON by its headers and small enough; empty only where it may be left out."""
        if self.optional and "transfer-encoding" not in self.headers and self.headers.get("content-length", "0") == "0":
            return b""
        if not hasattr(self, "_body"):
            self._check_headers()
            try:
                async with asyncio.timeout(BODY_PATIENCE_S):
                    self._body = await self._read()
            except TimeoutError:
                raise too_slow() from None
        return self._body

    async def json(self) -> Any:
        """The body as data. A large one takes a while: the event loop goes on meanwhile."""
        body = await self.body()
        return _loaded(body) if len(body) <= _SMALL else await run_in_threadpool(_loaded, body)

    def _check_headers(self) -> None:
        # The data of a CloudEvent in headers is JSON where nothing else is said, as it is in the JSON format.
        assumed = "application/json" if "ce-specversion" in self.headers else "application/octet-stream"
        media, subtype, charset = _content_type(self.headers.get("content-type", assumed))
        if media != "application" or not (subtype == "json" or subtype.endswith("+json")):
            raise Refused(415, "media_type", f"a body of {media}/{subtype} was sent")
        if charset not in {"utf-8", "utf8", "us-ascii"}:
            raise Refused(415, "media_type", "JSON is sent as UTF-8")
        if self.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise Refused(415, "media_type", "a compressed body was sent")
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
            raise too_large()

    async def _read(self) -> bytes:
        found = bytearray()
        async for chunk in self.stream():
            found += chunk
            if len(found) > MAX_BODY_BYTES:
                raise too_large()
        if not found:
            raise Refused(400, "not_json", "the body is empty")
        return bytes(found)


@lru_cache(64)
def _content_type(header: str) -> tuple[str, str, str]:
    """Give media type, subtype and charset; most callers always send the same."""
    sent = Message()
    sent["content-type"] = header
    return sent.get_content_maintype(), sent.get_content_subtype(), sent.get_content_charset("utf-8")


def too_slow() -> Refused:
    """Make the answer to a body that does not come; nobody reads on what may still follow it."""
    told = f"the body did not arrive within {BODY_PATIENCE_S:g} s"
    return Refused(408, "too_slow", told, headers={"Connection": "close"})


def too_large() -> Refused:
    """Make the answer to a body over the limit."""
    return Refused(413, "too_large", f"the body has more than {MAX_BODY_BYTES} bytes")


def _loaded(body: bytes) -> object:
    try:
        return load_json(body.decode(), MAX_BODY_BYTES)
    except UnicodeDecodeError:
        raise Refused(400, "not_json", "the body is not UTF-8") from None
    except RuleError as error:
        raise Refused(400, "not_json", error.problems[0].message) from None

"""The gate: more requests inside than can be answered in time, and the next is told so before anything is done for it.

Refusing behind routing, authentication and body costs as much as answering, so it is the outermost thing there is.
"""

from __future__ import annotations

import json
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tactics import metrics
from tactics.api.problems import MEDIA_TYPE, TITLES
from tactics.errors import Overloaded

# Whoever watches has to see, now of all times.
ALWAYS = frozenset({"/healthz", "/readyz", "/metrics"})
_BODY = json.dumps(
    {
        "type": f"urn:tactics:problem:{Overloaded.code}",
        "title": TITLES[Overloaded.code],
        "status": Overloaded.http_status,
        "detail": "too many requests are being answered at this moment; this one was not begun",
        "code": Overloaded.code,
    }
).encode()
_START: Message = {
    "type": "http.response.start",
    "status": Overloaded.http_status,
    "headers": [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(_BODY)).encode()),
        (b"retry-after", b"1"),
    ],
}
_REST: Message = {"type": "http.response.body", "body": _BODY}


class Gate:
    """ASGI middleware: lets so many requests in at a time, and notes when each arrived."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        """Keep what is needed.

        Args:
            app: what is behind it.
            most: requests inside at a time.
        """
        self._app = app
        self._most = most
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._inside >= self._most and scope["path"] not in ALWAYS:
            metrics.REQUESTS.count("(gate)", metrics.OTHER, str(Overloaded.http_status))
            await send(_START)
            await send(_REST)
            return
        self._inside += 1
        scope.setdefault("state", {})["arrived_at"] = time.monotonic()
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1

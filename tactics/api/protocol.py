"""HTTP/1.1 as uvicorn reads it, with two things it lacks: an end to how long a request's head may be, and problems.

What is no HTTP never reaches the app, so this is where it is answered.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tactics.api.limits import MAX_HEAD_BYTES
from tactics.api.problems import MEDIA_TYPE, TITLES
from tactics.api.request_id import HEADER

# Who still sends while they are refused would lose the answer with the connection: so long it stays open.
_LINGER_S = 1.0


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = True
        self._head_bytes = 0
        self._refused = False

    def data_received(self, data: bytes) -> None:
        """Read what came; a head that is too long, or that is none, is answered at once."""
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self._refused:
            detail = f"address and headers have more than {MAX_HEAD_BYTES} bytes"
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", detail)

    def on_headers_complete(self) -> None:
        """Hand the request on."""
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for the next request."""
        self._in_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's, in place of which this stands
        """Answer what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, "not_http", "the request is not HTTP as RFC 9112 has it")

    def _refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            # Whoever works on what came so far has nobody to answer any more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        request_id = uuid4().hex
        body = {
            "type": f"urn:tactics:problem:{code}",
            "title": TITLES[code],
            "status": int(status),
            "detail": detail,
            "code": code,
            "request_id": request_id,
        }
        content = json.dumps(body).encode()
        head = (
            f"HTTP/1.1 {int(status)} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(content)}\r\n{HEADER}: {request_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

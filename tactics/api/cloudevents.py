"""CloudEvents 1.0 over HTTP: one in the body, one in headers and body, or many in the body.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from fastapi import Request

from tactics.api.limits import MAX_EVENTS
from tactics.api.problems import Refused

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_PREFIX = "ce-"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")

Mode = Literal["one", "batch"]


async def read(request: Request) -> tuple[Mode, list[Any]]:
    """Read the events of a request, whichever way they are sent.

    Returns:
        Whether one was sent or a batch; the events in the JSON format, as they were sent: not checked yet.

    Raises:
        Refused: what was sent is no CloudEvent in any of the three modes, or too many of them.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == BATCH:
        return "batch", _batch(await request.json())
    if media == STRUCTURED:
        return "one", [await request.json()]
    if media.startswith("application/cloudevents"):
        raise Refused(415, "media_type", f"{media} is not understood: send {STRUCTURED} or {BATCH}")
    attributes = _attributes(request.headers)
    if "specversion" not in attributes:
        told = f"send {STRUCTURED}, {BATCH}, or the attributes as headers, such as ce-specversion and ce-id"
        raise Refused(415, "media_type", f"this is no CloudEvent: {told}")
    return "one", [{**attributes, "datacontenttype": media, "data": await request.json()}]


def _batch(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise Refused(422, "form", "a batch is a JSON list of events")
    if len(body) > MAX_EVENTS:
        raise Refused(413, "too_large", f"a batch has at most {MAX_EVENTS} events, this one has {len(body)}")
    return body


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in headers.items() if name.startswith(_PREFIX)}
    for name, value in found.items():
        # Some clients send UTF-8, others Latin-1: a guess would make two events of one.
        if not value.isascii():
            raise Refused(422, "form", f"the header {name} is not ASCII: percent-encode the UTF-8 of what is beyond it")
    return {name[len(_PREFIX) :]: _decoded(value) for name, value in found.items()}


def _decoded(value: str) -> str:
    """Read a header's value: quotes and escapes taken off, then percent-decoded, as section 3.1.3.2 says."""
    quoted = _QUOTED.fullmatch(value.strip())
    if quoted:
        value = _ESCAPED.sub(r"\1", quoted[1])
    # What is no UTF-8 becomes half surrogates, which the event's own check refuses with its path.
    return unquote_to_bytes(value).decode(errors="surrogateescape") if "%" in value else value

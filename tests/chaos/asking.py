"""One HTTP request over a connection of its own, by asyncio alone: cheap, and it breaks as real clients' do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

LOST = 0
"""The status of a request that was not answered."""


async def ask(
    port: int, method: str, path: str, body: Any, *, headers: Mapping[str, str] | None = None, patience_s: float = 4.0
) -> tuple[int, Any]:
    """Ask the API on this machine.

    Args:
        port: where it listens.
        method: of HTTP.
        path: what is asked for.
        body: sent as JSON; None: without one.
        headers: beside those that every request has.
        patience_s: how long to wait for the whole answer.

    Returns:
        The status, LOST where no whole answer came, and what the body says.
    """
    content = b"" if body is None else json.dumps(body).encode()
    told = {"Host": "chaos", "Connection": "close", "Content-Length": str(len(content))}
    if body is not None:
        told["Content-Type"] = "application/json"
    head = "".join(f"{name}: {value}\r\n" for name, value in {**told, **(headers or {})}.items())
    writer = None
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
            answer = await reader.read()
    except (OSError, TimeoutError):
        return LOST, None
    finally:
        if writer is not None:
            with suppress(OSError):
                writer.transport.abort()
    return _read(answer)


def _read(answer: bytes) -> tuple[int, Any]:
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return LOST, None
    first, *fields = head.decode("latin-1").split("\r\n")
    length = next((int(one.split(":")[1]) for one in fields if one.lower().startswith("content-length:")), None)
    if length is None or len(body) != length:
        return LOST, None
    with suppress(ValueError):
        return int(first.split()[1]), json.loads(body) if body else None
    return LOST, None

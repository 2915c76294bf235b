"""A benefit system to test against: a real HTTP server in a process of its own, which does what it is told to do wrong.

    python -m tests.provider.simulator --log provider.jsonl --seed 7 --commit-then-timeout 0.1

The first line that it prints is its port. It serves POST /grants, GET /grants/<id>, GET /grants?from=&to=&cursor=, and for
tests alone PUT /faults, which changes what it does wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import struct
import time
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tactics.gateways.signing import verify
from tests.provider.book import Book, Effect, digest
from tests.provider.faults import Faults, add_options, from_options

PAGE = 100
_MOST_HEADERS = 200


@dataclass
class Request:
    """A request, as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """The provider: what it has done, what it does wrong, whose signatures it takes."""

    book: Book
    faults: Faults
    seed: int
    secrets: tuple[str, ...] = ()
    tolerance_s: float = 300.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection, one after the other."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while request := await _read(reader):
                await self.answer(request, reader, writer)
                if writer.is_closing():
                    break
        writer.close()

    async def answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what a request asks for."""
        if (request.method, request.path) == ("PUT", "/faults"):
            self.faults.change(json.loads(request.body))
            return await _say(writer, 200, {})
        wrong = (
            verify(request.headers, self.secrets, request.body, time.time(), self.tolerance_s) if self.secrets else None
        )
        if wrong is not None:
            return await _say(writer, 401, {"error": wrong})
        await asyncio.sleep(self.faults.slow_ms / 1000)
        match request.method, request.path.split("/")[1:]:
            case "POST", ["grants"]:
                return await self.grant(request, reader, writer)
            case "GET", ["grants"]:
                return await _say(writer, 200, self.page(request.query))
            case "GET", ["grants", key]:
                found = self.book.keys.get(unquote(key))
                said = _result(found) if found is not None else {"status": "unknown"}
                return await _say(writer, 200 if found is not None else 404, said)
            case _:
                return await _say(writer, 405, {"error": "there is no such thing"})

    async def grant(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Grant once under a key, and do wrong what is to be done wrong."""
        said = json.loads(request.body)
        key = said["idempotency_id"]
        if unquote(request.headers.get("idempotency-key", "")) != key:
            return await _say(writer, 400, {"error": "Idempotency-Key is not the body's id"})
        act = self.faults.act(self.seed, key, self.book.calls[key] + 1)
        if act in {"error_before", "busy"}:
            self.book.calls[key] += 1
            status, headers = (429, {"Retry-After": "1"}) if act == "busy" else (500, {})
            return await _say(writer, status, {"error": "not now"}, headers)
        if act == "reset_before":
            self.book.calls[key] += 1
            return _reset(writer)
        effect = self.commit(request.body, said, refuse=act == "refused")
        if effect is None:
            return await _say(writer, 422, {"error": "another body under the same key"})
        if act == "double":
            self.book.write("effect", request.body, said)
        return await self.after(act, effect, reader, writer)

    def commit(self, body: bytes, said: dict[str, Any], *, refuse: bool) -> Effect | None:
        """Write the effect, or that it was there already; None when the body is another than then."""
        key = said["idempotency_id"]
        known = None if self.faults.not_idempotent else self.book.known(key, self.faults.forget_after_s)
        if known is None:
            refuse = refuse or self.faults.refuses(self.seed, key, said["user_id"])
            return self.book.write("refused" if refuse else "effect", body, said)
        same = digest(body) == known.digest
        self.book.write("replay" if same else "body_changed", body, said)
        return known if same else None

    async def after(self, act: str, effect: Effect, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a call that has had its effect, rightly or not."""
        result = _result(effect)
        match act:
            case "commit_then_timeout":
                await reader.read(1)  # until the caller hangs up
                writer.close()
            case "late":
                await asyncio.sleep(self.faults.late_ms / 1000)
                await _say(writer, 200, result)
            case "error_after":
                await _say(writer, 500, {"error": "not now"})
            case "reset_after":
                _reset(writer)
            case "garbage":
                await _say(writer, 200, b"<html>It works!</html>")
            case "drip":
                await _drip(writer)
            case "pending":
                await _say(writer, 202, {"status": "pending"})
            case _:
                await _say(writer, 200, result)

    def page(self, query: dict[str, str]) -> dict[str, Any]:
        """Give a page of the list, in the order in which things happened."""
        begin, end = (datetime.fromisoformat(query[name]).timestamp() for name in ("from", "to"))
        start = int(query.get("cursor", "0"))
        found = [one for one in self.book.effects[start:] if begin <= one.at < end]
        grants = [
            {"idempotency_id": one.idempotency_id, "status": _status(one), "value_minor": one.value_minor}
            for one in found[:PAGE]
        ]
        more = len(found) > PAGE
        return {"grants": grants, "next_cursor": str(found[PAGE].number) if more else None}


def _status(effect: Effect) -> str:
    return "granted" if effect.granted else "refused"


def _result(effect: Effect) -> dict[str, Any]:
    if not effect.granted:
        return {"status": "refused", "reason": "account_closed"}
    return {"status": "granted", "reference": f"sim-{effect.number}"}


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """Read one request; None when the caller hung up."""
    first = await reader.readline()
    if not first.strip():
        return None
    method, target, _ = first.decode("ascii").split(" ")
    headers: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        line = (await reader.readline()).decode("latin-1").strip()
        if not line:
            break
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return Request(method, parts.path, query, headers, body)


async def _say(
    writer: asyncio.StreamWriter, status: int, said: dict[str, Any] | bytes, headers: dict[str, str] | None = None
) -> None:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    sent = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    writer.write(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode() + body)
    await writer.drain()


async def _drip(writer: asyncio.StreamWriter) -> None:
    """Send an answer a byte at a time, without end, until the caller hangs up."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Cut the connection hard."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _run(options: argparse.Namespace) -> None:
    secrets = tuple(options.secret)
    server = Server(Book(Path(options.log)), from_options(options), options.seed, secrets, options.tolerance_s)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", options.port)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


def main() -> None:
    """Run a provider until it is ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--secret", action="append", default=[], help="whsec_…; without any, signatures are not asked for"
    )
    parser.add_argument("--tolerance-s", type=float, default=300.0)
    add_options(parser)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()

"""The network between everything and the two servers: a process that cuts, stalls and swallows answers when it is told to.

Run as `python -m tests.chaos.proxy NAME:LISTEN:TARGET …`, ports on loopback. Orders come as lines of JSON on standard input,
`{"do": "cut" | "stall" | "drop_reply", "target": NAME, "for_s": …, "how": …}`; every order is answered with a line once it
is begun. The end of the input ends the proxy.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from asyncio import BaseTransport, Protocol, Transport
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

LOOPBACK = "127.0.0.1"
_ROOT = Path(__file__).parents[2]


class Side(Protocol):
    """One side of a connection: what comes in goes out at the other side."""

    def __init__(self, pipe: Pipe, *, client: bool) -> None:
        """Belong to a pipe."""
        self.pipe, self.client = pipe, client
        self.transport: Transport | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Hand on what came before the other side was there."""
        self.transport = cast("Transport", transport)
        self.pipe.connected(self)

    def data_received(self, data: bytes) -> None:
        """Hand it on."""
        self.pipe.received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # whyever
        """Who loses one side loses the other."""
        self.pipe.close()


class Pipe:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, link: Link) -> None:
        """Begin with the client's side."""
        self.link = link
        self.near, self.far = Side(self, client=True), Side(self, client=False)
        self.held: list[tuple[Side, bytes]] = []
        self.swallows = False
        self.closed = False

    def connected(self, side: Side) -> None:
        """Connect to the server, too; then hand on what waits."""
        if side is self.near:
            self.link.pipes.add(self)
            self.link.connect(self)
        elif self.closed:
            self.close()
        else:
            self.release()

    def received(self, side: Side, data: bytes) -> None:
        """Hand data on, unless something is the matter with the network."""
        if self.link.blackhole or self.closed:
            return
        if side.client:
            self.swallows = self.swallows or self.link.takes_order(data)
        elif self.swallows:
            self.link.swallowed += 1
            self.close()
            return
        other = self.far if side.client else self.near
        if self.link.stalled or other.transport is None:
            self.held.append((other, data))
        else:
            other.transport.write(data)

    def release(self) -> None:
        """Hand on what was held back."""
        if self.link.stalled or self.far.transport is None:
            return
        for other, data in self.held:
            if other.transport is not None:
                other.transport.write(data)
        self.held.clear()

    def close(self) -> None:
        """Close both sides, at once and whatever is on its way."""
        self.closed = True
        self.link.pipes.discard(self)
        for side in (self.near, self.far):
            if side.transport is not None:
                side.transport.abort()


class Link:
    """The way to one server."""

    def __init__(self, name: str, listen: int, target: int) -> None:
        """Know both ends."""
        self.name, self.listen, self.target = name, listen, target
        self.pipes: set[Pipe] = set()
        self.stalled = self.blackhole = False
        self.orders: list[bytes] = []
        self.swallowed = 0
        self._server: asyncio.Server | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        self._trouble = asyncio.Lock()

    async def open(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Pipe(self).near, LOOPBACK, self.listen, backlog=512)

    def connect(self, pipe: Pipe) -> None:
        """Connect a pipe to the server; where that is away, the client's side is closed."""
        task = asyncio.get_running_loop().create_task(self._connect(pipe))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, pipe: Pipe) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: pipe.far, LOOPBACK, self.target)
        except OSError:
            pipe.close()

    def takes_order(self, data: bytes) -> bool:
        """Tell whether this request is the one whose answer is to be swallowed."""
        for wanted in self.orders:
            if wanted in data:
                self.orders.remove(wanted)
                return True
        return False

    async def cut(self, how: str, for_s: float) -> None:
        """Cut all connections: at once and for good, with nobody to connect to for a while, or silently."""
        async with self._trouble:
            if how == "blackhole":
                self.blackhole = True
                await asyncio.sleep(for_s)
                self.blackhole = False
                self.close_all()
                return
            if how == "refuse" and self._server is not None:
                self._server.close()
                self.close_all()
                await asyncio.sleep(for_s)
                await self.open()
                return
            self.close_all()

    async def stall(self, for_s: float) -> None:
        """Hold everything back for a while, then hand it on."""
        async with self._trouble:
            self.stalled = True
            await asyncio.sleep(for_s)
            self.stalled = False
            for pipe in list(self.pipes):
                pipe.release()

    def close_all(self) -> None:
        """Close every connection."""
        for pipe in list(self.pipes):
            pipe.close()


async def _serve(links: Mapping[str, Link]) -> None:
    loop = asyncio.get_running_loop()
    for link in links.values():
        await link.open()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    at_work: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        order = json.loads(line)
        link = links[order["target"]]
        if order["do"] == "drop_reply":
            link.orders.append(order["how"].encode())
        else:
            begun = link.cut(order["how"], order["for_s"]) if order["do"] == "cut" else link.stall(order["for_s"])
            task = loop.create_task(begun)
            at_work.add(task)
            task.add_done_callback(at_work.discard)
        print(json.dumps({"swallowed": {one.name: one.swallowed for one in links.values()}}), flush=True)


class Proxy:
    """The running proxy, as the harness has it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Wait until it listens."""
        self._process = process
        self._heard()

    def tell(self, do: str, target: str, *, how: str = "", for_s: float = 0.0) -> dict[str, Any]:
        """Give an order; what it does lasts on after this returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "target": target, "how": how, "for_s": for_s}) + "\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def proxying(ways: Mapping[str, tuple[int, int]], log: Path) -> Iterator[Proxy]:
    """Run a proxy for a while.

    Args:
        ways: for each name, the port where it listens and the server's.
        log: where what goes wrong with it is written.
    """
    argv = [sys.executable, "-m", "tests.chaos.proxy"]
    argv += [f"{name}:{listen}:{target}" for name, (listen, target) in ways.items()]
    pipe = subprocess.PIPE
    with log.open("ab") as err, subprocess.Popen(argv, cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=err, text=True) as it:
        try:
            yield Proxy(it)
        finally:
            it.kill()


def main() -> None:
    """Be the proxy."""
    given = [one.split(":") for one in sys.argv[1:]]
    links = {name: Link(name, int(listen), int(target)) for name, listen, target in given}
    asyncio.run(_serve(links))


if __name__ == "__main__":
    main()

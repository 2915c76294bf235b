"""Connections that lead nowhere but to addresses that were checked."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence

import httpcore

from tactics.gateways.addresses import AllowList, Resolve, Target

KEPT_OPEN_S = 5.0
"""A connection that nobody used for so long is closed: the other side may be about to do so."""


def make_pool(allowed: AllowList, resolve: Resolve | None) -> httpcore.AsyncConnectionPool:
    """Make what keeps connections, each for one scheme, name and port; it reads nothing from the environment.

    Args:
        allowed: which addresses may be called.
        resolve: gives the IP addresses of a name; the system's own way when left out.
    """
    return httpcore.AsyncConnectionPool(
        ssl_context=ssl.create_default_context(),
        max_connections=100,
        max_keepalive_connections=20,
        keepalive_expiry=KEPT_OPEN_S,
        retries=0,
        network_backend=_Guarded(allowed, resolve or _addresses_of),
    )


def url_of(target: Target) -> httpcore.URL:
    """Give a target as httpcore takes it, in its parts."""
    scheme, host, path = target.scheme.encode(), target.host.encode(), target.path.encode()
    return httpcore.URL(scheme=scheme, host=host, port=target.port, target=path)


class _Guarded(httpcore.AnyIOBackend):
    """Connects to nothing but addresses that were checked: the name is resolved here, once, and nowhere else."""

    def __init__(self, allowed: AllowList, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = list(dict.fromkeys(await self._resolve(host, port)))
        self._allowed.check(host, addresses)
        # None of them may use up the time of the others.
        share = None if timeout is None else timeout / max(len(addresses), 1)
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


async def _addresses_of(host: str, port: int) -> Sequence[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise httpcore.ConnectError(f"the name {host} was not found") from error
    return [str(address[0]) for *_, address in found]

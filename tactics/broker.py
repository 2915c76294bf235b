"""Kombu's Redis transport, whose readers never wait without end.

redis-py reads a published message without any time limit, whatever `socket_timeout` says, once it is asked to block; and
kombu asks it to, in the event loop of a worker's main process, because the socket had something to read. Where that was a
cut, redis-py connects again and waits for the next message: until one comes (remote control, heartbeats of others) the
worker takes no work, sends no heartbeat and does not notice. Tried on kombu 5.7 with redis-py 8.1.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from kombu import transport
from kombu.transport import redis

READ_S = 1.0
"""How long the rest of a message may take whose beginning has come."""


class Channel(redis.Channel):  # type: ignore[misc]  # kombu ships no types
    """A channel that reads what is published to it with a time limit."""

    @redis.cached_property  # type: ignore[untyped-decorator]  # as above
    def subclient(self) -> Any:
        """The connection that remote control and other workers' events come by."""
        found = super().subclient
        found.parse_response = partial(found.parse_response, block=False, timeout=READ_S)
        return found


class Transport(redis.Transport):  # type: ignore[misc]  # as above
    """The transport that apps of ours use."""

    Channel = Channel


def use_for_redis() -> None:
    """Let `redis://` and `rediss://` mean this transport in this process; monitors go by the address, which stays."""
    for scheme in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[scheme] = f"{Transport.__module__}:{Transport.__name__}"
        transport._transport_cache.pop(scheme, None)  # noqa: SLF001  # kombu has no other way to forget what it resolved

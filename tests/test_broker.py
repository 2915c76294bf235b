"""The broker's transport: a reader that gets nothing goes on, for a worker does all else in the same thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import redis

from tactics.celery_app import create_app
from tactics.config import Settings
from tests.delivery.waiting import until

_TOO_LONG_S = 6.0


def _ends(read: Callable[[], object]) -> bool:
    """Tell whether it ends; where it does not, its thread goes with the process."""

    def reads() -> None:
        with suppress(redis.ConnectionError):  # Celery connects again
            read()

    reading = Thread(target=reads, daemon=True)
    reading.start()
    reading.join(_TOO_LONG_S)
    return not reading.is_alive()


def test_a_reader_whose_connection_was_cut_does_not_wait_without_end(settings: Settings) -> None:
    """Cut and connected again, a worker's reader of what is published comes back where nothing follows."""
    app = create_app(settings)
    with app.connection_for_read() as connection, redis.Redis.from_url(settings.redis_url) as server:
        channel = connection.channel()
        reader = channel.subclient
        reader.psubscribe("told")
        channel._receive()
        host, port = reader.connection._sock.getsockname()
        assert server.execute_command("CLIENT", "KILL", "ADDR", f"{host}:{port}")
        assert _ends(channel._receive), "it hangs at the cut"
        reader.connection.connect()
        until(lambda: server.pubsub_numpat() == 1, "it to listen again")
        assert _ends(channel._receive), "it hangs connected again"
        assert _ends(channel._receive), "it hangs where nothing comes"
        assert reader.connection.is_connected

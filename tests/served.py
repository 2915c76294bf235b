"""The API on a port of its own, for clients that are no Python objects of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from tactics.api.protocol import Protocol
from tests.delivery.waiting import until


@contextmanager
def served(api: FastAPI) -> Iterator[str]:
    """Serve an API on loopback while this lasts; gives its address."""
    server = uvicorn.Server(
        uvicorn.Config(
            api, http=Protocol, port=0, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=5
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), "the API answers")
        ((listening,),) = [one.sockets for one in server.servers]
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()

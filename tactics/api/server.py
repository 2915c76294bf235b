"""The API as a server: the app of a process's settings, made in the process that serves it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from tactics.api.protocol import Protocol
from tactics.api.service import THREADS, create_api
from tactics.celery_app import create_app
from tactics.chain import prepare_app
from tactics.config import Settings
from tactics.flows import register
from tactics.logs import configure_logs

# How long requests that are being answered may take to end.
GRACE_S = 12
# Longer than load balancers keep a connection: whoever closes first must not be us.
KEEP_ALIVE_S = 75
_SWITCH_S = 0.0005
# Two give placements up, one looks at what waits, one publishes.
_OTHER_THREADS = 4
# Allocations before a collection of the youngest, and of those before one of the next. What requests leave behind is
# mostly freed without any: measured, a fifth more events and a third more placements than by default.
_COLLECT = (20_000, 50, 50)


def make_api(*, open_locally: bool) -> FastAPI:
    """Make the API of this process's settings.

    Args:
        open_locally: answer this machine without a key while there is none.

    Raises:
        NotConfigured: the address of a server is missing.
    """
    settings = Settings()
    settings.require_servers("tactics api")
    settings = settings.model_copy(update={"pool_size": connections(settings)})
    configure_logs()
    # A thread that works keeps the event loop waiting for so long at the most; by default ten times as long.
    sys.setswitchinterval(_SWITCH_S)
    app = create_app(settings)
    register(app)
    prepare_app(app)
    api = create_api(app, open_locally=open_locally)
    # What was made so far stays: a collection that walks all of it would hold every request up for a tenth of a second.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    return api


def connections(settings: Settings) -> int:
    """Give how many database connections a process keeps: one for each thread that may want one at the same time.

    Who waited for another's would miss a placement's deadline. As many again may open, for the few that want a second.
    """
    return max(settings.pool_size, settings.api_threads + THREADS + _OTHER_THREADS)


def server_config(*, open_locally: bool, processes: int = 1) -> uvicorn.Config:
    """Give how the API is served; each process makes its own app."""
    factory: Callable[..., Any] = partial(make_api, open_locally=open_locally)
    return uvicorn.Config(
        factory,
        factory=True,
        loop="uvloop",
        http=Protocol,
        ws="none",
        workers=processes,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )

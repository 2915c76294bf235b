"""The API: every router on one app, over a Celery app whose runtime and tasks it uses in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request, Response
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tactics.api import counting, openapi, problems, rules
from tactics.api.auth import Authentication
from tactics.api.gate import Gate
from tactics.api.inbox import Inbox
from tactics.api.placing import Placing
from tactics.api.request_id import RequestId
from tactics.api.routes import ROUTERS
from tactics.celery_app import TacticsApp
from tactics.errors import DatabaseDown, RedisDown, TacticsError

THREADS = 8


def create_api(app: TacticsApp, *, open_locally: bool = True) -> FastAPI:
    """Make the API of a Celery app that `tactics.chain.prepare_app` has prepared. Nothing connects before it is used.

    Args:
        app: whose runtime and tasks it uses.
        open_locally: answer this machine without a key while there is none.
    """
    api = FastAPI(
        title="Tactics",
        summary="User actions in, the right benefit out, granted exactly once.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    api.state.tactics, api.state.open_locally = app, open_locally
    api.add_middleware(Authentication, tactics=app, open_locally=open_locally)
    api.add_middleware(RequestId)
    problems.install(api)
    counting.install(api, app.settings)
    api.add_middleware(Gate, most=app.settings.api_max_requests)
    for kind in (OperationalError, PoolTimeout, RedisError):
        api.add_exception_handler(kind, _servers_failed)
    for router in (*ROUTERS, rules.router):
        api.include_router(router)
    openapi.install(api, (*ROUTERS, rules.router))
    return api


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    app: TacticsApp = api.state.tactics
    current_default_thread_limiter().total_tokens = THREADS
    api.state.inbox, api.state.placing = Inbox(app), Placing(app)
    api.state.inbox.start()
    try:
        yield
    finally:
        await api.state.inbox.stop()
        await asyncio.to_thread(api.state.placing.close)


async def _servers_failed(request: Request, error: Exception) -> Response:
    """Answer what a server of ours failed with as a 503: who asks may ask again."""
    if isinstance(error, RedisError):
        found: TacticsError = RedisDown(f"Redis failed: {type(error).__name__}")
    elif isinstance(error, OperationalError | PoolTimeout):
        found = DatabaseDown(f"the database failed: {type(error).__name__}")
    else:
        return await problems.failed(request, error)
    return await problems.raised(request, found)

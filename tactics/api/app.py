"""The rules service as an app of its own; other apps include its router and `problems.install`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from tactics.api import problems, rules
from tactics.api.request_id import RequestId

# Evaluating is work for the processor: more threads at once would only hold more memory.
THREADS = 8


def create_rules_app() -> FastAPI:
    """Make the app that `tactics rules serve` runs. It keeps nothing, and needs nothing outside of its process.

    Its blocks are those of `tactics.rules.default_registry`: load plugins before. OpenAPI is at `/openapi.json`; there
    is no `/docs`, for that page would load scripts from elsewhere.
    """
    app = FastAPI(
        title="Tactics rules",
        summary="Facts in, effects out.",
        description="Rules built from blocks are evaluated, explained, checked and priced. Nothing is stored.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.add_middleware(RequestId)
    problems.install(app)
    app.include_router(rules.router)
    app.get("/healthz", tags=["service"], response_model=dict[str, str])(_healthy)
    return app


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = THREADS
    yield


async def _healthy() -> dict[str, str]:
    """Say that the service answers."""
    return {"status": "ok"}

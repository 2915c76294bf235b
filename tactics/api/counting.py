"""Counts what the API answers, by the route's template: never by the address, which names users."""

from __future__ import annotations

import time

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tactics import metrics
from tactics.config import Settings

NO_ROUTE = "(none)"
# Answered by FastAPI itself, which names no route.
_FIXED = {"/openapi.json": "/openapi.json"}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def install(api: FastAPI, settings: Settings) -> None:
    """Let an app count; where TACTICS_METRICS_DIR is set, with the other processes that keep their counts there."""
    if settings.metrics_dir:
        metrics.keep_in(settings.metrics_dir)
    api.add_middleware(Counting)


class Counting:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with metrics.REQUESTS_RUNNING.one():
            try:
                await self._app(scope, receive, answer)
            finally:
                route = getattr(scope.get("route"), "path", _FIXED.get(scope["path"], NO_ROUTE))
                method = scope["method"] if scope["method"] in _METHODS else metrics.OTHER
                metrics.REQUESTS.count(route, method, str(status))
                metrics.REQUEST_SECONDS.observe(time.perf_counter() - started, route, method)

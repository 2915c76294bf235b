"""`/healthz`, `/readyz` and `/metrics`: for whoever keeps this running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel, Field

from tactics import metrics
from tactics.api.access import Tactics, needs
from tactics.api.problems import described
from tactics.api.watch import close_watch, watch_of


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    yield
    close_watch(api.state.tactics.runtime)


router = APIRouter(tags=["service"], lifespan=_lifespan)

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus' text format, version 0.0.4",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "tactics_sweeps_total 42.0\n"}},
    }
}


class Healthy(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Requests can be served."""

    status: Literal["ready"] = "ready"
    revision: str = Field(description="of the database's schema", examples=["0008"])
    redis: Literal["ok", "down"] = Field(
        description="events and placements go on without it: what waits in it is found and done later"
    )


@router.get("/healthz", response_model=Healthy)
async def healthy() -> Healthy:
    """Say that the process answers, whatever the servers behind it do."""
    return Healthy()


@router.get("/readyz", response_model=Ready, responses=described(503))
async def ready(tactics: Tactics) -> Ready:
    """Say whether requests can be served: the database answers, and has the tables of this version.

    Answered within about a second, and from what was found within the last one. Tables of a newer version are no
    reason to stop: they are made before its processes start.
    """
    watch = watch_of(tactics.runtime)
    revision = await watch.asked(watch.revision)
    return Ready(revision=revision, redis="ok" if await watch.asked(watch.redis_answers) else "down")


@router.get(
    "/metrics",
    response_class=Response,
    responses={**_TEXT, **described(401, 403, 429)},
    dependencies=[needs("audit:read")],
)
async def counted(tactics: Tactics) -> Response:
    """Give what was counted here, for Prometheus.

    It is the sum over all processes of this machine that keep their counts in TACTICS_METRICS_DIR; what waits in the
    database is read when this is asked for, at most every five seconds.
    """
    watch = watch_of(tactics.runtime)
    return Response(await watch.asked(lambda: metrics.shown(watch)), media_type=metrics.CONTENT_TYPE)

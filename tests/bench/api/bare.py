"""The baseline: a bare FastAPI endpoint that commits one row, as one would write it who wants it fast.

A pydantic model in, one insert (its own transaction, one trip) by psycopg's pool, 202 out. It is served in its own
process with the settings that `tactics api` gives uvicorn. Two forms: `def` with the synchronous pool, which FastAPI runs
in threads, and `async def` with the asynchronous one; the faster is the baseline.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import psycopg
import uvicorn
from fastapi import FastAPI
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from pydantic import BaseModel, Field

FORMS = ("async", "threads")
CONNECTIONS = 10
SCHEMA = """
CREATE TABLE bare_event (
    source text NOT NULL, id text NOT NULL, type text NOT NULL, at timestamptz, data jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (source, id)
)
"""
_INSERT = "INSERT INTO bare_event (source, id, type, at, data) VALUES (%s, %s, %s, %s, %s)"
_Text = Annotated[str, Field(min_length=1, max_length=256)]


class Data(BaseModel):
    """What a user did."""

    user_id: _Text
    action: _Text
    item_id: _Text | None = None
    quantity: int = 1
    attributes: dict[str, Any] = Field(default_factory=dict)


class Event(BaseModel):
    """An event as the API takes it too."""

    specversion: str
    id: _Text
    source: _Text
    type: _Text
    time: datetime | None = None
    data: Data


def _row(event: Event) -> tuple[object, ...]:
    return event.source, event.id, event.type, event.time, Jsonb(event.data.model_dump())


def make_app(url: str, form: str) -> FastAPI:
    """Make the app, in one of the two forms."""
    return _in_threads(url) if form == "threads" else _async(url)


def _in_threads(url: str) -> FastAPI:
    pool = ConnectionPool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, kwargs={"autocommit": True}, open=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/events", status_code=202)
    def take(event: Event) -> dict[str, str]:
        with pool.connection() as conn:
            conn.execute(_INSERT, _row(event))
        return {"id": event.id, "status": "accepted"}

    return app


def _async(url: str) -> FastAPI:
    pool: AsyncConnectionPool[psycopg.AsyncConnection] = AsyncConnectionPool(
        url, min_size=CONNECTIONS, max_size=CONNECTIONS, kwargs={"autocommit": True}, open=False
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/events", status_code=202)
    async def take(event: Event) -> dict[str, str]:
        async with pool.connection() as conn:
            await conn.execute(_INSERT, _row(event))
        return {"id": event.id, "status": "accepted"}

    return app


def main() -> None:
    """Serve it until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of the database")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--form", choices=FORMS, required=True)
    args = parser.parse_args()
    uvicorn.run(
        make_app(args.url, args.form),
        port=args.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )


if __name__ == "__main__":
    main()

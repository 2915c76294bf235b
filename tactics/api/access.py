"""Who is asking, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from tactics.celery_app import TacticsApp
from tactics.domain.api_key import SCOPES, Scope
from tactics.errors import Forbidden, Unauthorized
from tactics.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `name` is what the audit log and the scope of idempotency keys call them."""

    name: str
    scopes: frozenset[str]


PATIENCE_MS = 2_000
"""So long a change waits for others: requests share few threads, and who asks may ask again."""
LOCAL = Caller("local", frozenset(SCOPES))


async def tactics_app(request: Request) -> TacticsApp:
    """Give the Celery app that this API answers from."""
    found: TacticsApp = request.app.state.tactics
    return found


async def caller(request: Request) -> Caller:
    """Give who asks.

    Raises:
        Unauthorized: nobody found out: the app lacks `tactics.api.auth.Authentication`.
    """
    found: Caller | None = getattr(request.state, "caller", None)
    if found is None:
        raise Unauthorized
    return found


async def acting(request: Request) -> Runtime:
    """Give the runtime, for changes in the caller's name."""
    app: TacticsApp = request.app.state.tactics
    name, request_id = (await caller(request)).name, getattr(request.state, "request_id", None)
    return app.runtime.acting_as(name, request_id, patience_ms=PATIENCE_MS)


Tactics = Annotated[TacticsApp, Depends(tactics_app)]
Asking = Annotated[Caller, Depends(caller)]
Acting = Annotated[Runtime, Depends(acting)]


def needs(*scopes: Scope) -> Any:
    """Let only callers in who have one of these scopes: a dependency for routes and routers."""

    async def check(request: Request) -> None:  # not by another dependency: each costs every request some time
        who = await caller(request)
        if not who.scopes.intersection(scopes):
            raise Forbidden(f"this needs a key with the scope {' or '.join(scopes)}", needed=list(scopes))

    check.scopes = scopes  # type: ignore[attr-defined]  # for OpenAPI, which tells them
    return Depends(check)

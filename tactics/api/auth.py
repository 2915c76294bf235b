"""Finds out who is asking before anything else is done for them: an API key, or somebody on this machine.

Read top-down: open to all → by key (valid, not too often, signed if it has to be) → without any key, this machine only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlsplit

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tactics.api.access import LOCAL, Caller
from tactics.api.keyring import Keyring, open_keyring
from tactics.api.loopback import is_loopback
from tactics.api.problems import Refused, answer
from tactics.api.rate import RateLimits
from tactics.api.replay import read_whole, replayed
from tactics.api.signature import HEADER, verify
from tactics.celery_app import TacticsApp
from tactics.domain.api_key import ApiKey, parts_of
from tactics.errors import NotConfigured, RateLimited, TacticsError, Unauthorized
from tactics.runtime import Runtime
from tactics.store import api_keys

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
OPEN_FOLDERS = ("/static-offline-docs/",)
MAKE_ONE = "`tactics keys create --name NAME --scope SCOPE` makes one"
_HOW = f"send an API key as `Authorization: Bearer tk_…`; {MAKE_ONE}"
UNGUARDED = (
    "WARNING: until the first API key is made, any program on this machine may do everything over the API; and so may everybody"
    " whose requests a proxy on this machine passes on to it, wherever they come from. Make a key before a proxy points"
    f" here: {MAKE_ONE}."
)
_NO_KEYS = f"no API key was made yet, so only programs on this machine are answered; {MAKE_ONE}"
_NOT_VALID = "this API key is not valid: there is none such, or it was revoked or has expired"
# Whoever sends one of these passes on what somebody else asks, from wherever that is.
_PASSED_ON = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"})


class Authentication:
    """ASGI middleware: who is asking is in `request.state.caller`; who may not ask at all is answered here."""

    def __init__(self, app: ASGIApp, tactics: TacticsApp, *, open_locally: bool = True) -> None:
        """Keep what is needed; nothing connects before the first request.

        Args:
            app: what is behind it.
            tactics: gives the runtime.
            open_locally: without any key, answer programs on this machine; False: nobody.
        """
        self._app = app
        self._tactics = tactics
        self._open_locally = open_locally
        self._opened: tuple[Keyring, Engine, RateLimits] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                self._close()
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif is_open(scope["path"]):
            await self._app(scope, receive, send)
        else:
            try:
                caller, receive = await self._let_in(scope, receive)
            except (TacticsError, Refused) as error:
                response = await answer(Request(scope), error)
                await response(scope, receive, send)
                return
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive) -> tuple[Caller, Receive]:
        """Give who is asking, and what to read their body from; raises what to answer instead."""
        given = _headers(scope, b"authorization")
        if not given:
            await self._refuse_strangers(scope)
            return LOCAL, receive
        key = await self._key_of(given)
        wait_s = await self._parts()[2].wait_s(key)
        if wait_s > 0:
            raise RateLimited(retry_after_s=math.ceil(wait_s))
        if key.signing_secrets:
            body = await read_whole(scope, receive)
            _check_signature(key, _headers(scope, HEADER.lower().encode()), body)
            receive = replayed(body, receive)
        return Caller(f"key:{key.id}", key.scopes), receive

    async def _key_of(self, given: Sequence[str]) -> ApiKey:
        scheme, _, credentials = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer":
            raise Unauthorized(_HOW)
        parts = parts_of(credentials.strip())
        if parts is None:
            raise Unauthorized(_NOT_VALID)
        key_id, secret = parts
        keyring = self._parts()[0]
        key = await keyring.find(key_id)
        if key is None or not key.opens(secret, datetime.now(UTC)):
            raise Unauthorized(_NOT_VALID)
        keyring.used(key_id)
        return key

    async def _refuse_strangers(self, scope: Scope) -> None:
        """Let go on who asks without a key from this machine, while there are no keys."""
        if not await self._parts()[0].none_ever_made():
            raise Unauthorized(_HOW)
        if not self._open_locally or not _is_from_here(scope):
            raise Unauthorized(_NO_KEYS)

    def _parts(self) -> tuple[Keyring, Engine, RateLimits]:
        if self._opened is None:
            runtime = self._tactics.runtime
            self._opened = (*open_keyring(runtime.settings), RateLimits(runtime))
        return self._opened

    def _close(self) -> None:
        if self._opened is not None:
            keyring, engine, limits = self._opened
            self._opened = None
            keyring.close()
            limits.close()
            engine.dispose()


def require_keys(runtime: Runtime, host: str, *, always: bool = False) -> None:
    """Refuse to serve others than this machine while nobody has a key.

    Args:
        runtime: the database.
        host: the address to listen on.
        always: refuse to serve this machine too.

    Raises:
        NotConfigured: it is another than loopback, or `always`, and there is no active key.
    """
    loopback = is_loopback(host)
    if loopback and not always:
        return
    with runtime.reading() as conn:
        if not api_keys.count_active(conn):
            why = "--require-key was given" if loopback else f"others than this machine can reach {host}"
            raise NotConfigured(f"{why}, and there is no active API key: {MAKE_ONE}", missing=["api_key"])


def unguarded(runtime: Runtime) -> bool:
    """Tell whether no key was ever made, so that programs on this machine need none; also where nobody can tell."""
    try:
        with runtime.reading() as conn:
            return not api_keys.read_all(conn).ever_made
    except (TacticsError, SQLAlchemyError):
        return True


def is_open(path: str) -> bool:
    """Tell whether anybody may ask for this path."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _check_signature(key: ApiKey, given: Sequence[str], body: bytes) -> None:
    if len(given) != 1:
        raise Unauthorized(f"requests of this key are signed: the header {HEADER} is missing or there twice")
    wrong = verify(given[0], key.signing_secrets, body, time.time())
    if wrong is not None:
        raise Unauthorized(f"{HEADER}: {wrong}")


def _is_from_here(scope: Scope) -> bool:
    """Tell whether a program on this machine asks for itself.

    A page in a browser on this machine is none, whether it names this machine (its origin tells) or has a name of its own
    that leads here (DNS rebinding: the host tells).
    """
    client = scope.get("client")
    if client is None or not is_loopback(client[0]) or any(key in _PASSED_ON for key, _ in scope["headers"]):
        return False
    hosts = _headers(scope, b"host")
    origins = _headers(scope, b"origin")
    return len(hosts) == 1 and _names_here(f"//{hosts[0]}") and all(_names_here(origin) for origin in origins)


@lru_cache(64)
def _names_here(address: str) -> bool:
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False

"""API keys: who calls, what they may do, and how their key is made and recognised.

As its owner has it, a key is `tk_<id>_<secret>`: one word, which scanners that look for leaked secrets can recognise.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tactics.domain.plain import plain_problem
from tactics.errors import BadInput

Scope = Literal[
    "events:write", "placements:call", "activities:edit", "activities:publish", "grants:operate", "audit:read"
]
SCOPES: tuple[Scope, ...] = (
    "events:write",
    "placements:call",
    "activities:edit",
    "activities:publish",
    "grants:operate",
    "audit:read",
)
MAX_NAME = 100
MAX_RATE_PER_S = 1_000_000.0
MAX_BURST = 1_000_000
MAX_LIFETIME = timedelta(days=3_650)

_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH = 12
_SECRET_BYTES = 32
# token_urlsafe(32) is 43 characters. ASCII alone, so that no two texts are the same key.
_KEY = re.compile(r"tk_(?P<id>[a-z2-7]{12})_(?P<secret>[A-Za-z0-9_-]{43})", re.ASCII)
_LIFETIME = re.compile(r"(?P<count>[1-9][0-9]{0,5})(?P<unit>[smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored; what would let somebody in or sign for them does not show in its text.

    `rate_per_s` is None without a limit. `signing_secrets` are the newest first, none where requests are not signed.
    """

    id: str
    name: str
    secret_hash: str = field(repr=False)
    scopes: frozenset[str]
    rate_per_s: float | None
    burst: int | None
    signing_secrets: tuple[str, ...] = field(repr=False)
    expires_at: datetime | None

    def opens(self, secret: str, now: datetime) -> bool:
        """Tell whether this secret is the key's, and the key has not expired; how long it takes tells nothing."""
        mine = hmac.compare_digest(hashed(secret), self.secret_hash)
        return mine and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """What somebody asks for who wants a key, checked.

    Raises:
        BadInput: with all `problems`.
    """

    name: str
    scopes: tuple[str, ...]
    rate_per_s: float | None = None
    burst: int | None = None
    lifetime: timedelta | None = None
    signed: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be a key."""
        problems = [
            *_name_problems(self.name),
            *_scope_problems(self.scopes),
            *_rate_problems(self.rate_per_s, self.burst),
        ]
        if self.lifetime is not None and not timedelta() < self.lifetime <= MAX_LIFETIME:
            problems.append({"path": "/expires_in", "message": f"at most {MAX_LIFETIME.days}d, and more than nothing"})
        if problems:
            raise BadInput("; ".join(f"{one['path'][1:]}: {one['message']}" for one in problems), problems=problems)


def new_id() -> str:
    """Make the id of a key: short, without characters that look like others."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def new_secret() -> str:
    """Make a secret of 256 random bits, for a key."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def new_signing_secret() -> str:
    """Make a secret of 256 random bits, to sign requests with: the whole text, as bytes, is the key of the HMAC."""
    return f"tss_{secrets.token_urlsafe(_SECRET_BYTES)}"


def hashed(secret: str) -> str:
    """Give what is stored of a key's secret.

    One round of SHA-256 is enough: slow hashes are for passwords, which people choose and others can guess. Of 2²⁵⁶
    equally likely secrets, nobody finds one however fast they hash.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def whole_key(key_id: str, secret: str) -> str:
    """Give a key as its owner has it."""
    return f"tk_{key_id}_{secret}"


def parts_of(key: str) -> tuple[str, str] | None:
    """Give the id and the secret of a key; None of what does not have its form."""
    found = _KEY.fullmatch(key)
    return (found["id"], found["secret"]) if found else None


def parse_lifetime(text: str) -> timedelta:
    """Read how long a key is to be valid: `90d`, `12h`, `30m` or `45s`.

    Raises:
        BadInput: it is not such a text.
    """
    found = _LIFETIME.fullmatch(text.strip())
    if found is None:
        message = f"{text!r} is no time such as 90d, 12h or 30m"
        raise BadInput(f"expires_in: {message}", problems=[{"path": "/expires_in", "message": message}])
    return timedelta(**{_UNITS[found["unit"]]: int(found["count"])})


def _name_problems(name: str) -> list[dict[str, str]]:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        message = f"1 to {MAX_NAME} printable characters, with no spaces around them"
        return [{"path": "/name", "message": message}]
    found = plain_problem(name, "/name")
    return [found] if found else []


def _scope_problems(scopes: Sequence[str]) -> list[dict[str, str]]:
    known = ", ".join(SCOPES)
    if not scopes:
        return [{"path": "/scopes", "message": f"at least one of {known}"}]
    strangers: Collection[str] = [scope for scope in scopes if scope not in SCOPES]
    return [{"path": "/scopes", "message": f"there is no scope {one!r}; there are {known}"} for one in strangers]


def _rate_problems(rate_per_s: float | None, burst: int | None) -> list[dict[str, str]]:
    if rate_per_s is None:
        return [] if burst is None else [{"path": "/burst", "message": "a burst needs a rate"}]
    problems = []
    if not 0.001 <= rate_per_s <= MAX_RATE_PER_S:  # noqa: PLR2004  # said in the message
        problems.append({"path": "/rate", "message": f"0.001 to {MAX_RATE_PER_S:.0f} requests a second"})
    if burst is not None and not 1 <= burst <= MAX_BURST:
        problems.append({"path": "/burst", "message": f"1 to {MAX_BURST} requests"})
    return problems

"""Which grants a command is about."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from tactics.errors import BadInput

if TYPE_CHECKING:
    from tactics.store.grant_listing import Wanted


class GrantState(StrEnum):
    """What has become of a grant."""

    GRANTED = "granted"
    PENDING = "pending"
    UNKNOWN = "unknown"
    PARKED = "parked"
    REFUSED = "refused"


Activity = Annotated[str | None, typer.Option("--activity", metavar="CODE", help="Only of this activity.")]
User = Annotated[str | None, typer.Option("--user", help="Only to this user.")]
State = Annotated[GrantState | None, typer.Option("--state", help="Only in this state.")]
Of = Annotated[str | None, typer.Option("--provider", metavar="NAME", help="Only those that this provider gives.")]
Begin = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Only those made then or later: 2026-01-31T08:00Z.")
]
End = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only those made before then.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")]


def wanted_of(
    activity: str | None,
    user: str | None,
    state: GrantState | None,
    provider: str | None,
    begin: str | None,
    end: str | None,
) -> Wanted:
    """Read the options that choose grants.

    Raises:
        BadInput: a time cannot be read.
    """
    from tactics.store.grant_listing import Wanted

    chosen = None if state is None else state.value
    return Wanted(activity, user, chosen, time_of("--from", begin), time_of("--to", end), provider)


def time_of(option: str, text: str | None) -> datetime | None:
    """Read a time; without an offset it is UTC.

    Raises:
        BadInput: it is none.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{option} {text!r} is no time; write it as 2026-01-31T08:00Z") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def grant_id_of(text: str) -> UUID:
    """Read a grant's id.

    Raises:
        BadInput: it is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise BadInput(f"{text!r} is no id of a grant, such as 0b6f4c1e-…; `tactics grants list` shows them") from None

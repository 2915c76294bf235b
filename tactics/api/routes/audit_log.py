"""`/v1/audit-log`: who changed what, before and after."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from tactics.api.access import Tactics, needs
from tactics.api.body import StrictRoute
from tactics.api.cursor import Cursor, Limit, page, read_cursor, read_time
from tactics.api.examples_assets import told
from tactics.api.problems import described
from tactics.domain.catalogue import Name
from tactics.domain.moment import Moment
from tactics.errors import BadInput
from tactics.store import audit_log

router = APIRouter(
    prefix="/v1/audit-log", tags=["audit log"], route_class=StrictRoute, dependencies=[needs("audit:read")]
)

_ANN = {
    "id": "42",
    "at": "2026-11-27T10:00:00Z",
    "actor": "shop-admin",
    "request_id": "8c3f6f0f5f7c4b0a9a54a2c0f3f1d2e4",
    "action": "changed",
    "kind": "activity",
    "subject": "welcome",
    "before": {"status": "live", "version": 3},
    "after": {"status": "paused", "version": 3},
}


class EntryAnswer(BaseModel):
    """One change."""

    id: str
    at: datetime
    actor: Annotated[str, Field(description="an API key's name, `cli:` and who, `tactics` for what it does by itself")]
    request_id: str | None
    action: Annotated[str, Field(description="created, changed, deleted, emptied, erased, removed, retried")]
    kind: Annotated[str, Field(description="what was changed: a table, or user, parked, grant, retention")]
    subject: Annotated[str, Field(description="which one of its kind; `*`: many at once")]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class EntryList(BaseModel):
    """A page of the log."""

    entries: list[EntryAnswer]
    next_cursor: str | None


@router.get("", responses={**told(200, {"entries": [_ANN], "next_cursor": None}), **described(422)})
def list_entries(
    app: Tactics,
    kind: Annotated[Name | None, Query(description="only of this kind of thing")] = None,
    subject: Annotated[Name | None, Query(description="only about this one")] = None,
    actor: Annotated[Name | None, Query(description="only what they changed")] = None,
    begin: Annotated[Moment | None, Query(alias="from", description="only from this time on")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="only before this time")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> EntryList:
    """List who changed what, the newest first."""
    after = _place(cursor)
    with app.runtime.engine.connect() as conn:
        found = audit_log.listing(
            conn, kind=kind, subject=subject, actor=actor, since=begin, until=end, after=after, limit=limit + 1
        )
    rows, following = page(found, limit, lambda one: [one.at.isoformat(), str(one.id)])
    entries = [EntryAnswer.model_validate({**asdict(one), "id": str(one.id)}) for one in rows]
    return EntryList(entries=entries, next_cursor=following)


def _place(cursor: str | None) -> audit_log.Place | None:
    found = read_cursor(cursor, 2)
    if found is None:
        return None
    at, number = read_time(found[0]), found[1]
    if not number.isascii() or not number.isdecimal() or int(number[:20]) >= 2**63:
        raise BadInput("the cursor is none that this list gave", problems=[])
    return at, int(number)

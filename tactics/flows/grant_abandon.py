"""Operators give an open grant up: it is closed as refused, and what it reserved is free again.

Only people can do it, for only they can find out that a provider has not given, and never will.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tactics import settling
from tactics.errors import BadInput, NotFound
from tactics.flows.grant_outlook import is_asked
from tactics.runtime import Runtime
from tactics.store import audit_log, grant_retries, grants, providers

REASON = "abandoned by an operator"


@dataclass(frozen=True, slots=True)
class AbandonResult:
    """What abandoning did to a grant, and why it did nothing."""

    grant_id: UUID
    done: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {"grant_id": str(self.grant_id), "action": "abandon" if self.done else "nothing", "why": self.why}


def abandon_grant(runtime: Runtime, grant_id: UUID, *, reason: str) -> AbandonResult:
    """Close an open grant as refused. From then on nobody asks its provider; a late yes of it is told as a contradiction.

    Args:
        runtime: the process's runtime, acting as whoever asks for it.
        grant_id: which.
        reason: why it is certain that it will not be given; for the audit log and for whoever looks at the grant.

    Raises:
        NotFound: there is no such grant.
        BadInput: there is no reason.
        Busy: somebody else works on it, for longer than `runtime` waits.
    """
    if not reason.strip():
        raise BadInput("a reason is needed: what makes it certain that the grant will not be given?", problems=[])
    with runtime.changing() as conn:
        one = settling.locked(conn, grant_id)
        if one is None:
            row = grants.find(conn, grant_id)
            if row is None:
                raise NotFound(f"there is no grant {grant_id}", grant_id=str(grant_id))
            return AbandonResult(grant_id, done=False, why=f"it is {row.state}")
        if not one.open:
            return AbandonResult(grant_id, done=False, why=f"it is {one.state}")
        if is_asked(conn, one, providers.find(conn, one.provider)):
            return AbandonResult(grant_id, done=False, why="the provider is being asked at this moment")
        grant_retries.fence(conn, one)
        settling.refuse(conn, one, f"{REASON}: {reason}", outcome="abandoned")
        after = {"state": "refused", "reason": reason}
        audit_log.add(
            conn, action="abandoned", kind="grant", subject=str(grant_id), before={"state": one.state}, after=after
        )
    return AbandonResult(grant_id, done=True, why=f"it was {one.state}; what it reserved is free again")

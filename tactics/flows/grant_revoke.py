"""Taking back what was given by mistake: the assets of grants that users have not redeemed yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tactics.domain.asset import LIVE
from tactics.errors import BadInput, Busy, Conflict, NotFound
from tactics.granting import change_asset
from tactics.runtime import Runtime
from tactics.store import assets, audit_log, grants

REVOKED = ("granted",)
"""The state of grants that have assets to take back."""
NOTHING_LEFT = "no asset of it can be used any more"


@dataclass(frozen=True, slots=True)
class RevokeResult:
    """What revoking did to a grant, and why it did nothing."""

    grant_id: UUID
    done: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {"grant_id": str(self.grant_id), "action": "revoke" if self.done else "nothing", "why": self.why}


def revoke_grant(runtime: Runtime, grant_id: UUID, *, reason: str) -> RevokeResult:
    """Revoke what is still usable of a grant; what was redeemed stays redeemed. The grant stays counted, and its stock taken.

    An outside system that gave it is told nothing: there it has to be taken back by its own people.

    Args:
        runtime: the process's runtime, acting as whoever asks for it.
        grant_id: which.
        reason: why, for the audit log.

    Raises:
        NotFound: there is no such grant.
        BadInput: there is no reason.
        Busy: somebody else works on it, for longer than `runtime` waits.
    """
    if not reason.strip():
        raise BadInput("a reason is needed: why is taken back what users were given?", problems=[])
    with runtime.changing() as conn:
        row = grants.find(conn, grant_id)
        if row is None:
            raise NotFound(f"there is no grant {grant_id}", grant_id=str(grant_id))
        live = [one for one in assets.of_grant(conn, row.user_id, grant_id) if one.status in LIVE]
        for one in live:
            change_asset(conn, one.id, "revoked", runtime.now(conn))
        if not live:
            return RevokeResult(
                grant_id, done=False, why=NOTHING_LEFT if row.state == "granted" else f"it is {row.state}"
            )
        after = {"assets": len(live), "reason": reason}
        audit_log.add(conn, action="revoked", kind="grant", subject=str(grant_id), after=after)
    return RevokeResult(grant_id, done=True, why=f"{len(live)} of its assets are revoked")


def revoke_each(runtime: Runtime, ids: Sequence[UUID], *, reason: str) -> list[RevokeResult]:
    """Revoke these grants; one whose user does something with it at this moment is left alone."""
    done = []
    for one in ids:
        try:
            done.append(revoke_grant(runtime, one, reason=reason))
        except (Busy, Conflict, NotFound) as error:
            done.append(RevokeResult(one, done=False, why=error.message))
    return done


def foresee_revoke(runtime: Runtime, ids: Sequence[UUID]) -> Counter[str]:
    """Count what revoking these grants would do; nothing is changed."""
    found: Counter[str] = Counter()
    with runtime.engine.connect() as conn:
        for grant_id in ids:
            row = grants.find(conn, grant_id)
            held = [] if row is None else assets.of_grant(conn, row.user_id, grant_id)
            live = sum(one.status in LIVE for one in held)
            found[f"revoke: {live} of {len(held)} assets" if live else f"nothing: {NOTHING_LEFT}"] += 1
    return found

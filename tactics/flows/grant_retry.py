"""The operators' retry of a grant: safe however often, and from wherever, it is asked for.

What is open keeps its idempotency id: the provider is asked once more under it. What was refused goes through the whole
chain again, by an event of its own whose id is the refused grant's: asked for twice it is the same event, so one
execution. What is granted stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection

from tactics import settling
from tactics.celery_app import TacticsApp
from tactics.chain import TacticsTask
from tactics.choosing import choose_id, stored_chains, template_of
from tactics.domain.event import RETRY_SOURCE, Event
from tactics.errors import NotFound
from tactics.flows.grant_outlook import Action, Outlook, outlook
from tactics.flows.settle import publish_settling
from tactics.flows.sweep import publish_claims
from tactics.runtime import Runtime
from tactics.store import activities, audit_log, events, executions, grants, outside_grants
from tactics.store.executions import Claim as Start
from tactics.store.executions import ExecutionRow
from tactics.store.grants import GrantRow
from tactics.store.outside_grants import Claim, OutsideGrant

RETRY_TASK = "tactics.retry_grant"
QUEUE = "ops"


@dataclass(frozen=True, slots=True)
class RetryResult:
    """What a retry did to a grant. `execution_id` is the new execution's, where it is granted anew."""

    grant_id: UUID
    action: Action
    why: str
    execution_id: UUID | None = None
    claim: Claim | None = None
    held_back: bool = False

    @property
    def done(self) -> bool:
        """Whether anything is tried once more."""
        return self.action != "nothing"

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "grant_id": str(self.grant_id),
            "action": self.action,
            "why": self.why,
            "execution_id": self.execution_id and str(self.execution_id),
        }


def retry_grant(app: TacticsApp, grant_id: UUID, *, runtime: Runtime | None = None, reason: str = "") -> RetryResult:
    """Try a grant once more, if that can change anything.

    Args:
        app: database and broker.
        grant_id: which.
        runtime: the app's, acting as whoever asks; left out: as the app's own.
        reason: of whoever asks, for the audit log.

    Raises:
        NotFound: there is no such grant.
        Busy: somebody else works on it, for longer than `runtime` waits.
    """
    found = begin_retry(app, runtime or app.runtime, grant_id, reason)
    publish_retries(app, [found])
    return found


def begin_retry(app: TacticsApp, runtime: Runtime, grant_id: UUID, reason: str) -> RetryResult:
    """Write what a retry changes, and commit it; `publish_retries` lets it begin, and the sweeper where that fails."""
    with runtime.changing() as conn:
        one = settling.locked(conn, grant_id)
        row = grants.find(conn, grant_id)
        if row is None:
            raise NotFound(f"there is no grant {grant_id}", grant_id=str(grant_id))
        found = outlook(runtime, conn, row, one)
        if found.action == "ask" and one is not None:
            done = _ask(runtime, conn, one, found)
        elif found.action == "renew":
            done = _renew(app, conn, row, found)
        else:
            return RetryResult(grant_id, "nothing", found.why)
        after = {"action": done.action, "reason": reason, "execution_id": done.to_json()["execution_id"]}
        audit_log.add(
            conn, action="retried", kind="grant", subject=str(grant_id), before={"state": row.state}, after=after
        )
    return done


def publish_retries(app: TacticsApp, done: Iterable[RetryResult]) -> None:
    """Publish what retries have committed; what cannot be published is due again later."""
    found = list(done)
    publish_settling(app, [one.claim for one in found if one.claim is not None])
    publish_claims(app, [Start(one.execution_id, 1) for one in found if one.execution_id is not None])


def _ask(runtime: Runtime, conn: Connection, one: OutsideGrant, found: Outlook) -> RetryResult:
    claim = outside_grants.claim_now(conn, one, runtime.settings.claim_s)
    return RetryResult(one.grant_id, "ask", found.why, claim=claim, held_back=found.held_back)


def _renew(app: TacticsApp, conn: Connection, row: GrantRow, found: Outlook) -> RetryResult:
    """Store the event and its execution: of this activity alone, as it is by now, with all that is checked again."""
    runtime = app.runtime
    asked = events.find(conn, row.event_source, row.event_id)
    if asked is None:
        return RetryResult(row.id, "nothing", "its event was deleted")
    now = runtime.now(conn, row.business_at)
    again = Event(RETRY_SOURCE, str(row.id), "placement", row.user_id, asked.channel, asked.data, now)
    activity = runtime.activity(row.activity_code, activities.current(conn, row.activity_code).version)
    template = template_of(app, activity)
    stored = stored_chains(runtime, conn, activities.revisions(conn))
    new = ExecutionRow(
        id=uuid4(),
        user_id=row.user_id,
        activity_code=activity.code,
        activity_version=activity.version,
        link="grant",
        channel_code=asked.channel or "",
        event_source=again.source,
        event_id=again.id,
        best_only=row.best_only,
        locked=template.lock if activity.lock is None else activity.lock,
        attempts=1,
        business_at=now,
        chain_id=choose_id(stored, template, "grant", asked.channel or ""),
    )
    events.record_answer(conn, again, {}, candidates=[activity.code])
    executions.add_new(conn, [new.new()], runtime.settings.claim_s)
    return RetryResult(row.id, "renew", found.why, execution_id=new.id)


def register(app: TacticsApp) -> None:
    """Make the task `tactics.retry_grant`: its one argument is a grant's id."""

    def run(_: TacticsTask, grant_id: str) -> None:
        retry_grant(app, UUID(grant_id), reason=f"by task {RETRY_TASK}")

    app.task(name=RETRY_TASK, base=TacticsTask, bind=True, shared=False)(run)
    app.send_to(RETRY_TASK, QUEUE)

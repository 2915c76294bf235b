"""What the routes that retry and abandon grants are asked, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from tactics.api.cursor import CURSOR
from tactics.api.schemas import WHOLE, Asked
from tactics.api.schemas_grants import MOST_IDS, Reason, State
from tactics.domain.activity import Code
from tactics.domain.catalogue import Name
from tactics.domain.moment import Moment
from tactics.flows.grant_abandon import AbandonResult
from tactics.flows.grant_retry import RetryResult
from tactics.store.grant_listing import Wanted

Why = Annotated[Reason, Field(description="for the audit log, and for whoever looks at the grant")]


class RetryGrant(Asked):
    """Why a grant is retried."""

    reason: Why | None = None


class AbandonRequest(Asked):
    """Why it is certain that a grant is not given and never will be."""

    reason: Why


class _Some(Asked):
    activity: Annotated[Code | None, Field(description="only those of this activity")] = None
    user_id: Annotated[Name | None, Field(description="only those to this user")] = None
    state: Annotated[State | None, Field(description="only those in this state")] = None
    provider: Annotated[Name | None, Field(description="only those that this provider gives")] = None
    begin: Annotated[Moment | None, Field(alias="from", description="only those made at this time or later")] = None
    end: Annotated[Moment | None, Field(alias="to", description="only those made before this time")] = None
    all: Annotated[
        Literal[True] | None, Field(description="needed where nothing else says which: all that there are")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST_IDS, description="at most so many, the newest first"), WHOLE] = 100
    cursor: Annotated[str | None, Field(**CURSOR)] = None

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        said = (self.all, self.activity, self.user_id, self.state, self.provider, self.begin, self.end)
        if all(one is None for one in said):
            raise ValueError('say which grants: by activity, user_id, state, provider, from or to, or "all": true')
        return self

    def wanted(self, states: tuple[str, ...]) -> Wanted:
        """Give which grants are meant: in one of these states where none is named."""
        return Wanted(self.activity, self.user_id, self.state, self.begin, self.end, self.provider, states)


class RetrySome(_Some):
    """Which grants to retry, and why."""

    reason: Why | None = None


class AbandonSome(_Some):
    """Which grants to abandon, and why."""

    reason: Why


class Changed(BaseModel):
    """What was done about a grant, and why nothing."""

    grant_id: UUID
    action: Annotated[
        Literal["ask", "renew", "abandon", "nothing"],
        Field(description="its provider is asked once more, it is granted anew, or it was given up"),
    ]
    why: str
    execution_id: Annotated[UUID | None, Field(description="that grants it anew")]


class ChangedSome(BaseModel):
    """What was done about a page of grants, and where the next one begins."""

    done: list[Changed]
    skipped: list[Changed]
    next_cursor: str | None


def changed_shown(one: RetryResult | AbandonResult) -> Changed:
    """Give what became of a grant in the words of the API."""
    if isinstance(one, RetryResult):
        return Changed(grant_id=one.grant_id, action=one.action, why=one.why, execution_id=one.execution_id)
    return Changed(grant_id=one.grant_id, action="abandon" if one.done else "nothing", why=one.why, execution_id=None)


def some_shown(results: Sequence[RetryResult | AbandonResult], following: str | None) -> ChangedSome:
    """Give what became of a page of grants in the words of the API."""
    done = [changed_shown(one) for one in results if one.done]
    return ChangedSome(
        done=done, skipped=[changed_shown(one) for one in results if not one.done], next_cursor=following
    )

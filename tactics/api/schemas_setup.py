"""What the routes of activities, plays and behaviour rules are asked and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Body, Path, Query
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from tactics.api.schemas import WHOLE, Asked, EffectAnswer, FactsData, PriceAnswer, ReasonAnswer
from tactics.domain.activity import MOST_INTEGER, Code
from tactics.flows.activity import Difference as Compared
from tactics.store.versions import Version as StoredVersion

Status = Literal["draft", "live", "paused"]
Change = Literal["new", "updated", "unchanged"]
ActivityCode = Annotated[Code, Path(description="the activity's code", examples=["welcome"])]
Number = Annotated[int, Path(ge=1, le=MOST_INTEGER, description="the version's number", examples=[2])]
Before = Annotated[
    int | None,
    Query(ge=1, le=MOST_INTEGER, description="the earlier version; what is current, or was before `after`"),
]
After = Annotated[
    int | None, Query(ge=1, le=MOST_INTEGER, description="the later version; the newest draft, or what is current")
]
Draft = Annotated[bool, Query(description="save a new version without making it current")]
Version = Annotated[int | None, Field(ge=1, le=MOST_INTEGER), WHOLE]
ActivityData = Annotated[
    dict[str, Any], Body(description="an activity's document, as docs/reference/activity.md has it")
]
_CODE = TypeAdapter[str](Code)


def is_code(found: object) -> bool:
    """Tell whether something may be a code: nothing else is looked for."""
    try:
        _CODE.validate_python(found, strict=True)
    except ValidationError:
        return False
    return True


def version_list(found: Sequence[StoredVersion], current: int | None) -> VersionList:
    """Give a document's versions as lists answer them."""
    listed = [
        VersionAnswer(
            version=one.version,
            state=one.state(current),
            saved_at=one.created_at,
            current_at=one.current_at,
            restores=one.restores,
        )
        for one in found
    ]
    return VersionList(versions=listed)


def differences(found: Compared) -> DifferenceAnswer:
    """Give what two versions say differently as routes answer it."""
    changes = [one.to_json() for one in found.changes]
    return DifferenceAnswer.model_validate({"before": found.before, "after": found.after, "changes": changes})


class PublishRequest(Asked):
    """Which version is to run, where that is not clear or is to be another."""

    version: Annotated[Version, Field(description="the draft, or the current version")] = None


class RollbackRequest(Asked):
    """Which version is brought back."""

    to: Annotated[Version, Field(description="the version; the one that was current before when left out")] = None


class DryRunRequest(Asked):
    """What the rule sees."""

    facts: FactsData
    version: Annotated[Version, Field(description="the newest draft when left out, or else the current version")] = None


class DryRunDocument(Asked):
    """An activity that is not saved, and what its rule sees."""

    activity: Annotated[dict[str, Any], Field(description="the activity's document")]
    facts: FactsData


class ChannelsOf(BaseModel):
    """Which channel codes start which link."""

    prepare: list[str]
    grant: list[str]


class ActivityListed(BaseModel):
    """An activity as lists show it; `tripped_at` says when it paused itself, null where it did not."""

    code: str
    version: int
    status: Status
    template_type: str
    priority: int
    starts_at: datetime
    ends_at: datetime
    channels: ChannelsOf
    updated_at: datetime
    tripped_at: datetime | None
    tripped_reason: str | None


class ActivityList(BaseModel):
    """A page of activities, by code."""

    activities: list[ActivityListed]
    next_cursor: str | None


class ActivityAnswer(BaseModel):
    """An activity; `activity` is its current version's document, which can be sent again.

    `tripped_at` and `tripped_reason` say when and why it paused itself; null where it did not.
    """

    code: str
    version: int
    status: Status
    newest_draft: int | None
    tripped_at: datetime | None
    tripped_reason: str | None
    activity: dict[str, Any]


class RuleChange(BaseModel):
    """What became of a behaviour rule that a document defines."""

    rule_key: str
    version: int
    change: Change


class ActivitySaved(BaseModel):
    """What became of an activity: the version with this content, and whether it waits to be published (`draft`)."""

    code: str
    version: int
    change: Change
    status: Status
    draft: bool
    notes: Annotated[list[str], Field(description="what you may not expect, in sentences")]
    behaviour_rules: list[RuleChange] = Field(default_factory=list)


class VersionAnswer(BaseModel):
    """A version, without what it says."""

    version: int
    state: Literal["current", "draft", "earlier", "passed over"]
    saved_at: datetime
    current_at: Annotated[datetime | None, Field(description="when it became current")]
    restores: Annotated[int | None, Field(description="the earlier version that a rollback brought back as this one")]


class VersionList(BaseModel):
    """Every version, newest first."""

    versions: list[VersionAnswer]


class ActivityVersion(BaseModel):
    """What a version of an activity says, as it can be sent again."""

    code: str
    version: int
    activity: dict[str, Any]


class Difference(BaseModel):
    """A part that differs; its path is a JSON Pointer into the later document, of what is gone into the earlier one."""

    path: str
    before: Any
    after: Any


class DifferenceAnswer(BaseModel):
    """What two versions say differently."""

    before: int
    after: int
    changes: list[Difference]


class DryBenefit(BaseModel):
    """What would be given."""

    benefit: str | None
    kind: str
    value_minor: int
    currency: str
    details: dict[str, Any]


class DryLimit(BaseModel):
    """A limit that the grant would meet; `used` is null where it depends on the user."""

    limit: str
    benefit: str | None = None
    most: int
    used: int | None
    asks: int
    enough: bool


class DryRunAnswer(BaseModel):
    """What the activity would do; `version` is null of a document that is not saved."""

    activity: str
    version: int | None
    would_grant: bool
    status: Literal["matched", "not_matched", "unknown", "invalid", "null_rule"]
    matched: bool
    effects: list[EffectAnswer]
    reasons: list[ReasonAnswer]
    benefits: list[DryBenefit]
    value_minor: int
    prices: Annotated[PriceAnswer | None, Field(description="what the order would cost, where the rule lowers prices")]
    in_schedule: bool
    at: datetime
    limits: list[DryLimit]
    holdout_percent: int

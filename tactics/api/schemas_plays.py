"""What the routes of plays, behaviour rules and channels are asked and what they answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Body, Path, Query
from pydantic import BaseModel, Field

from tactics.api.schemas import WHOLE, Asked
from tactics.api.schemas_setup import Change, Status
from tactics.domain.activity import MOST_INTEGER, Code

PlayCode = Annotated[Code, Path(description="the play's code", examples=["spend_and_save"])]
RuleKey = Annotated[
    Code, Path(description="the rule's key, which is the channel code of its events", examples=["bought_twice"])
]
OneVersion = Annotated[int | None, Query(ge=1, le=MOST_INTEGER, description="which version; the current one")]
PlayData = Annotated[dict[str, Any], Body(description="a play's document, as docs/reference/play.md has it")]


class BehaviourRuleRequest(Asked):
    """A behaviour rule."""

    rule: Annotated[dict[str, Any], Field(description="what user actions must add up to")]
    cooldown_s: Annotated[
        int, Field(ge=0, le=MOST_INTEGER, description="how long after its event there is no other, in seconds"), WHOLE
    ] = 0
    enabled: Annotated[
        bool | None, Field(description="whether user actions are checked against it; as it is when left out")
    ] = None


class PlayListed(BaseModel):
    """A play as lists show it; `version` is null while there are only drafts."""

    code: str
    version: int | None
    title: str
    is_tool: bool
    activities: Annotated[int, Field(description="how many were made from it")]


class PlayList(BaseModel):
    """A page of plays, by code."""

    plays: list[PlayListed]
    next_cursor: str | None


class PlayAnswer(BaseModel):
    """A play; `play` is the document of its current version, or of its newest draft where none is current."""

    code: str
    version: int
    current_version: int | None
    newest_draft: int | None
    play: dict[str, Any]


class PlaySaved(BaseModel):
    """What became of a play: the version with this content, and which one is current."""

    code: str
    version: int
    change: Change
    current_version: int | None
    draft: bool
    notes: list[str]


class PlayVersion(BaseModel):
    """What a version of a play says, as it can be sent again."""

    code: str
    version: int
    play: dict[str, Any]


class MadeFrom(BaseModel):
    """An activity that was made from a play, from which version, and whether that is older than the current one."""

    code: str
    play_version: int
    status: Status
    older: bool


class MadeFromList(BaseModel):
    """The activities that were made from a play, by code."""

    activities: list[MadeFrom]


class BehaviourRuleAnswer(BaseModel):
    """A behaviour rule, and the activities that define it."""

    rule_key: str
    version: int
    enabled: bool
    rule: dict[str, Any]
    cooldown_s: int
    defined_by: Annotated[list[str], Field(description="codes of activities: the rule changes with them")]
    updated_at: datetime


class BehaviourRuleList(BaseModel):
    """A page of behaviour rules, by key."""

    behaviour_rules: list[BehaviourRuleAnswer]
    next_cursor: str | None


class BehaviourRuleSaved(BaseModel):
    """What became of a behaviour rule."""

    rule_key: str
    version: int
    change: Change
    enabled: bool


class ChannelListed(BaseModel):
    """A channel code, the link that it starts, and the activities that are bound to it."""

    channel_code: str
    link: Literal["prepare", "grant"]
    activities: list[str]


class ChannelList(BaseModel):
    """A page of channel codes."""

    channels: list[ChannelListed]
    next_cursor: str | None

"""`TacticsActivity`: what an operator sets up, and the aggregate root of everything that runs for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import MAXYEAR, MINYEAR, datetime
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tactics import rules
from tactics.domain.chosen import benefits_named, mixed_providers
from tactics.domain.provider import LOCAL
from tactics.errors import BadInput

Link = Literal["prepare", "grant"]
BenefitKind = Literal["coupon", "points", "price", "rebate", "gift"]


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as UTC or Asia/Shanghai") from error
    return name


Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
Timezone = Annotated[str, AfterValidator(_known_timezone)]
Minor = Annotated[int, Field(ge=0, le=2**53, strict=True)]
CouponCode = Annotated[str, Field(max_length=256)]
LONGEST_S = 100 * 366 * 86_400
Count = Annotated[int, Field(ge=0, le=2**53, strict=True)]
AtLeastOne = Annotated[int, Field(gt=0, le=2**53, strict=True)]
MOST_INTEGER = 2**31 - 1
"""Of what the database keeps as an integer."""
MOST_PROBLEMS = 1_000
"""Told of one document."""


class Document(BaseModel):
    """A part of an activity document: unknown keys are refused, nothing changes once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Schedule(Document):
    """When an activity runs: from `from`, to before `to`."""

    starts_at: AwareDatetime = Field(alias="from")
    ends_at: AwareDatetime = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Schedule:
        if self.starts_at >= self.ends_at:
            raise ValueError("`to` must be after `from`")
        # Around the ends of the calendar another time zone's date has no year.
        if self.starts_at.year == MINYEAR or self.ends_at.year == MAXYEAR:
            raise ValueError(f"the years go from {MINYEAR + 1} to {MAXYEAR - 1}")
        return self


class Channels(Document):
    """Which channel codes start which link."""

    prepare: tuple[Code, ...] = ()
    grant: tuple[Code, ...] = ()

    def of(self, link: Link) -> tuple[str, ...]:
        """Give the codes of a link."""
        return self.prepare if link == "prepare" else self.grant


class Benefit(Document):
    """What a user can get.

    A coupon carries `code` (one for all), one of `codes` (a pool, each given once), or else a code made for it.
    `provider` names the outside benefit system that gives it; `provider_params` are passed on to it as they are.
    """

    kind: BenefitKind
    value_minor: Minor = 0
    currency: str | None = None
    validity_s: Annotated[int, Field(gt=0, le=LONGEST_S, strict=True)] | None = None
    stock: Count | None = None
    provider: Code = LOCAL
    # Left out where there are none: so a document that was stored before there were any says the same.
    provider_params: dict[str, Any] = Field(default_factory=dict, exclude_if=lambda params: not params)
    code: CouponCode | None = None
    codes: tuple[CouponCode, ...] | None = None

    @model_validator(mode="after")
    def _codes_fit(self) -> Benefit:
        if (self.code or self.codes) and self.kind != "coupon":
            raise ValueError(f"only a coupon has codes, this is {self.kind}")
        if self.code and self.codes is not None:
            raise ValueError("give `code` (one for all) or `codes` (a pool), not both")
        if self.codes is not None:
            if len(set(self.codes)) != len(self.codes):
                raise ValueError("`codes` lists a code twice")
            if self.stock is not None and self.stock > len(self.codes):
                raise ValueError(f"stock {self.stock} is more than the {len(self.codes)} codes")
        return self

    @model_validator(mode="after")
    def _provider_fits(self) -> Benefit:
        if self.provider == LOCAL:
            if self.provider_params:
                raise ValueError(
                    f"`provider_params` are for an outside benefit system; the provider of this is {LOCAL}"
                )
        elif self.kind == "price":
            raise ValueError("a price holds in an order, no outside system gives it: leave `provider` out")
        elif self.code or self.codes is not None:
            raise ValueError(f"the codes of this coupon come from {self.provider!r}: leave `code` and `codes` out")
        return self

    @property
    def initial_stock(self) -> int | None:
        """Tell how many may be granted; None is no limit."""
        return len(self.codes) if self.stock is None and self.codes is not None else self.stock


class Limits(Document):
    """How much may be granted: times a user, times a day (in the activity's time zone), money in all.

    Past what it may grant within one minute, in times or money, an activity pauses itself.
    """

    per_user: Count | None = None
    per_day: Count | None = None
    budget_minor: Minor | None = None
    grants_per_minute: AtLeastOne | None = None
    cost_per_minute_minor: AtLeastOne | None = None


class Expression(Document):
    """The words of an activity in one language."""

    title: str = ""
    text: str


class BehaviourRule(Document):
    """What user actions must add up to; satisfied, it emits a behaviour event with its key as channel code."""

    rule: dict[str, Any]
    cooldown_s: Annotated[int, Field(ge=0, le=MOST_INTEGER, strict=True)] = 0


class Origin(Document):
    """Which play an activity was made from, and what its open parameters were filled with."""

    code: Code
    version: Annotated[int, Field(gt=0, le=MOST_INTEGER, strict=True)]
    parameters: dict[str, Any] = Field(default_factory=dict)


class TacticsActivity(Document):
    """One marketing activity: when, on which channels, for whom, what, and how much of it."""

    code: Code
    version: int = 0
    template_type: Code
    tool_type: Code = "coupon"
    priority: Annotated[int, Field(ge=-MOST_INTEGER, le=MOST_INTEGER, strict=True)] = 0
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    timezone: Timezone = "UTC"
    schedule: Schedule
    channels: Channels
    rule: dict[str, Any]
    benefits: dict[Code, Benefit] = Field(default_factory=dict)
    limits: Limits = Limits()
    holdout_percent: Annotated[int, Field(ge=0, le=100, strict=True)] = 0
    lock: bool | None = None
    expression: dict[str, str | Expression] = Field(default_factory=dict)
    behaviour_rules: dict[Code, BehaviourRule] = Field(default_factory=dict)
    play: Origin | None = None

    @cached_property
    def parsed_rule(self) -> rules.Rule:
        """The rule as a tree, read once per loaded version."""
        return rules.parse(self.rule)

    @cached_property
    def rule_needs(self) -> rules.Needs:
        """What evaluating the rule reads."""
        return rules.needs(self.parsed_rule)

    def live_at(self, now: datetime) -> bool:
        """Tell whether the schedule includes `now`."""
        return self.schedule.starts_at <= now < self.schedule.ends_at

    def held_out(self, user_id: str) -> bool:
        """Tell whether the user belongs to the control group: fixed by a hash, so that uplift can be measured."""
        digest = hashlib.sha256(f"{self.code}:{user_id}".encode()).digest()
        return int.from_bytes(digest[:4]) % 100 < self.holdout_percent

    def words(self, language: str) -> Expression | None:
        """Give the activity's own words: in `language`, else its first part (`zh` for `zh-TW`), else English."""
        for key in (language, language.split("-", 1)[0], "en"):
            if key in self.expression:
                found = self.expression[key]
                return found if isinstance(found, Expression) else Expression(text=found)
        return None

    def to_json(self) -> dict[str, Any]:
        """Give the document as stored: plain data, without code and version."""
        return self.model_dump(
            mode="json", by_alias=True, exclude={"code", "version", "behaviour_rules"}, exclude_none=True
        )


def pointer(location: Iterable[int | str]) -> str:
    """Give the JSON Pointer (RFC 6901) of a place in a document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def validation_problems(error: ValidationError) -> list[dict[str, str]]:
    """Turn pydantic's errors into problems with a JSON Pointer and a sentence."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [{"path": pointer(item["loc"]), "message": item["msg"]} for item in found[:MOST_PROBLEMS]]


def _rule_problems(activity: TacticsActivity, severity: str = "error") -> list[dict[str, str]]:
    parts = [("/rule", activity.rule)]
    parts += [(f"/behaviour_rules/{key}/rule", part.rule) for key, part in activity.behaviour_rules.items()]
    return [
        {"path": path + problem["path"], "message": problem["message"]}
        for path, rule in parts
        for problem in rules.check(rule)["problems"]
        if problem["severity"] == severity
    ]


def warnings_of(activity: TacticsActivity) -> tuple[str, ...]:
    """Give what looks wrong with an activity's rules and need not be, in sentences."""
    return tuple(f"{one['path']}: {one['message']}" for one in _rule_problems(activity, "warning"))


def _benefit_problems(activity: TacticsActivity) -> list[dict[str, str]]:
    return [
        {"path": "/rule", "message": f"the rule gives benefit {name!r}, which `benefits` does not define"}
        for name in sorted(set(benefits_named(activity.rule)) - set(activity.benefits))
    ]


def _provider_problems(activity: TacticsActivity) -> list[dict[str, str]]:
    return [
        {
            "path": pointer(("rule", *path)),
            "message": f"one grant would need {' and '.join(names)}: what is given together comes from at most one outside "
            "benefit system, for no two of them can be made to grant both or neither",
        }
        for path, names in mixed_providers(activity.rule, activity.benefits)
    ]


def activity_problems(activity: TacticsActivity) -> list[dict[str, str]]:
    """Find what is wrong with an activity's rules and benefits, by what this process knows."""
    return _rule_problems(activity) or _benefit_problems(activity) or _provider_problems(activity)


def refused(kind: str, name: object, problems: Sequence[Mapping[str, str]]) -> BadInput:
    """Give the error that says everything that is wrong with a document."""
    lines = "; ".join(f"{problem['path'] or '/'}: {problem['message']}" for problem in problems)
    return BadInput(f"{kind} {name!r}: {lines}", **{kind: str(name), "problems": list(problems)})


def parse_activity(document: object, *, version: int = 0) -> TacticsActivity:
    """Read an activity document and check it whole.

    Args:
        document: the mapping that docs/reference/activity.md describes; one made from a play as `filling.fill` gives it.
        version: the stored version, 0 for a new one.

    Raises:
        BadInput: with every problem found in `problems`, each with the `path` (a JSON Pointer) and a `message`.
    """
    if not isinstance(document, dict):
        raise BadInput("an activity is a mapping of keys such as code, schedule and rule", problems=[])
    try:
        activity = TacticsActivity.model_validate({**document, "version": version})
    except ValidationError as error:
        problems = validation_problems(error)
    else:
        problems = activity_problems(activity)
        if not problems:
            return activity
    raise refused("activity", document.get("code", "?"), problems)

"""Events: what users did (action), what that adds up to (behaviour), where they are (placement), what became of an asset.

Events come in as CloudEvents 1.0 in the JSON format: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tactics.domain.activity import validation_problems
from tactics.domain.erased import PREFIX as PREFIX_OF_ERASED
from tactics.domain.erased import no_pseudonym
from tactics.domain.moment import Moment
from tactics.domain.plain import NO_NUL, as_whole, plain_problem
from tactics.errors import BadInput
from tactics.rules import RuleError
from tactics.rules.codec import load_json

EventType = Literal["action", "behaviour", "placement", "asset"]

PREFIX = "tactics."
RETRY_SOURCE = "tactics.retry"
"""Of the events by which operators try refused grants once more; their ids are those of the grants."""
RESERVED_SOURCES = ("tactics.behaviour", "tactics.placement", RETRY_SOURCE)


def _not_reserved(source: str) -> str:
    """Keep producers from giving an event the identity of one that is made here."""
    taken = next((start for start in RESERVED_SOURCES if source.startswith(start)), None)
    if taken is not None:
        raise ValueError(f"sources that begin with {taken!r} are kept for events that Tactics makes itself")
    return source


Text = Annotated[str, Field(min_length=1, max_length=256, strict=True, json_schema_extra={"pattern": NO_NUL})]
UserId = Annotated[
    Text, AfterValidator(no_pseudonym), Field(json_schema_extra={"not": {"pattern": f"^{PREFIX_OF_ERASED}"}})
]
Whole = Annotated[int, Field(ge=0, le=2**53, strict=True), BeforeValidator(as_whole)]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ActionData(_Data):
    """One raw thing that a user did."""

    user_id: UserId
    action: Text
    item_id: Text | None = None
    quantity: Whole = 1
    amount_minor: Whole | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)


class BehaviourData(_Data):
    """A behaviour rule satisfied elsewhere: `rule_key` is the channel code."""

    user_id: UserId
    rule_key: Text
    attributes: dict[str, Any] = Field(default_factory=dict)


class AssetData(_Data):
    """What became of an asset."""

    asset_id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    status: Literal["claimed", "redeemed", "released", "expired", "revoked"]


class _Envelope(BaseModel):
    # CloudEvents allows extension attributes; they are not ours to refuse.
    model_config = ConfigDict(extra="ignore", frozen=True)

    specversion: Literal["1.0"]
    id: Text
    source: Annotated[Text, AfterValidator(_not_reserved)]
    type: Literal["tactics.action", "tactics.behaviour", "tactics.asset"]
    time: Moment | None = None
    datacontenttype: Annotated[str, Field(strict=True)] | None = None
    data: dict[str, Any]


DATA_TYPES: dict[str, type[ActionData | BehaviourData | AssetData]] = {
    "action": ActionData,
    "behaviour": BehaviourData,
    "asset": AssetData,
}


@dataclass(frozen=True, slots=True)
class Event:
    """An event as stored. `channel` is the rule key of a behaviour, the channel code of a placement."""

    source: str
    id: str
    type: EventType
    user_id: str
    channel: str | None
    data: dict[str, Any]
    at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """What makes it one event: source and id."""
        return self.source, self.id

    @property
    def attributes(self) -> dict[str, Any]:
        """What rules see as `event`."""
        found = self.data.get("attributes")
        return found if isinstance(found, dict) else {}

    @property
    def body_hash(self) -> str:
        """A hash of what it says, to tell a repeat from another event under the same id."""
        body = {"type": self.type, "user_id": self.user_id, "channel": self.channel, "data": self.data}
        said = body if _is_canonical(self.data) else _canonical(body)
        return hashlib.sha256(_CANONICAL(said).encode()).hexdigest()


_EXACT = 2**53
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _is_canonical(value: Any) -> bool:
    """Tell of most data at once that it holds no number which could come back written in another way."""
    kind = type(value)
    if kind is dict:
        return all(_is_canonical(part) for part in value.values())
    if kind is int:
        return bool(-_EXACT <= value <= _EXACT)
    return kind is str or kind is bool or value is None


def _canonical(value: Any) -> Any:
    """Write numbers as they come back from the database, which knows neither -0.0 nor 1e22 apart from an integer."""
    if isinstance(value, dict):
        return {key: _canonical(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_canonical(part) for part in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if abs(value) > _EXACT:
        try:
            return float(value)
        except OverflowError:
            return str(value)
    return int(value) if value == int(value) else value


def parse_event(message: object, *, now: datetime) -> Event:
    """Read a CloudEvent.

    Args:
        message: the event in the JSON format, as a mapping.
        now: the time to give it where it has none.

    Raises:
        BadInput: with `problems`, each with a `path` (JSON Pointer) and a `message`.
    """
    if isinstance(message, Mapping) and "data_base64" in message:
        message = _with_data(message)
    unplain = plain_problem(message)
    if unplain is not None:
        raise _refusal(message, [unplain])
    if not isinstance(message, Mapping):
        raise _refusal(message, [{"path": "", "message": "an event is a JSON object"}])
    try:
        envelope = _Envelope.model_validate(message)
    except ValidationError as error:
        raise _refusal(message, validation_problems(error)) from None
    kind = envelope.type.removeprefix(PREFIX)
    try:
        data = DATA_TYPES[kind].model_validate(envelope.data)
    except ValidationError as error:
        problems = [{**problem, "path": "/data" + problem["path"]} for problem in validation_problems(error)]
        raise _refusal(message, problems) from None
    try:
        at = (envelope.time or now).astimezone(UTC)
    except OverflowError:
        problem = {"path": "/time", "message": "in UTC this time is outside the years 1 to 9999"}
        raise _refusal(message, [problem]) from None
    return Event(
        source=envelope.source,
        id=envelope.id,
        type=kind,  # type: ignore[arg-type]  # the envelope's Literal holds exactly these
        user_id=getattr(data, "user_id", ""),
        channel=data.rule_key if isinstance(data, BehaviourData) else None,
        data=data.model_dump(mode="json", exclude_none=True),
        at=at,
    )


def _with_data(message: Mapping[str, Any]) -> dict[str, Any]:
    """Read data that was sent as bytes: they have to be JSON too. (JSON format, section 3.1.1)"""
    if "data" in message:
        raise _refusal(message, [{"path": "/data_base64", "message": "there is `data` beside it: send one of them"}])
    try:
        data = load_json(base64.b64decode(message["data_base64"], validate=True))
    except (TypeError, ValueError, RuleError):
        problem = {"path": "/data_base64", "message": "this is not JSON in base64"}
        raise _refusal(message, [problem]) from None
    return {**{name: part for name, part in message.items() if name != "data_base64"}, "data": data}


def _refusal(message: object, problems: list[dict[str, str]]) -> BadInput:
    name = message.get("id") if isinstance(message, dict) else None
    lines = "; ".join(f"{problem['path'] or '/'}: {problem['message']}" for problem in problems)
    return BadInput(f"event {name!r}: {lines}", problems=problems)

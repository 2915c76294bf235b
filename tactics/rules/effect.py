"""What there is to give: an evaluation's effects, read with care, since they may come as JSON from anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeGuard, cast, get_args

from tactics.rules.evaluation import Evaluation, Status


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing to give: what to do (`block`), with what (`params`, as JSON data), and how many times over."""

    block: str
    params: dict[str, Any]
    times: int = 1

    def to_json(self) -> dict[str, Any]:
        """As `calculate` answers it."""
        return {"block": self.block, "params": self.params, "times": self.times}


class ExecutionRefused(ValueError):
    """Nothing was executed: `code` is `effects` (they are none), `id` (it is none), or `conflict`.

    A conflict is an idempotency id that stands for other effects already.
    """

    def __init__(self, code: Literal["effects", "id", "conflict"], message: str) -> None:
        self.code = code
        super().__init__(message)


def read_effects(given: object) -> tuple[Status, tuple[Effect, ...]]:
    """The status and the effects of an evaluation or its JSON; a bare list of effects is one that matched.

    Raises ExecutionRefused for anything else.
    """
    if isinstance(given, Evaluation):
        given = {"status": given.status, "effects": given.effects}
    if isinstance(given, Mapping):
        status, listed = given.get("status"), given.get("effects")
        if status not in get_args(Status) or not _is_list(listed):
            raise ExecutionRefused("effects", "an evaluation has a `status` and a list of `effects`")
        if listed and status != "matched":
            raise ExecutionRefused("effects", f"an evaluation that is {status} has no effects")
        return cast("Status", status), tuple(map(_effect, listed))
    if not _is_list(given):
        raise ExecutionRefused("effects", "an evaluation, its JSON, or a list of effects is needed")
    return "matched", tuple(map(_effect, given))


def _is_list(given: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    return isinstance(given, (list, tuple))


def _effect(given: object) -> Effect:
    if isinstance(given, Mapping) and given.keys() <= {"block", "params", "times"}:
        block, params, times = given.get("block"), given.get("params", {}), given.get("times", 1)
        whole = isinstance(times, int) and not isinstance(times, bool) and times >= 1
        if isinstance(block, str) and block and isinstance(params, Mapping) and whole:
            return Effect(block, dict(params), times)
    raise ExecutionRefused("effects", 'an effect is {"block", "params", "times"}')


def canonical(effects: Sequence[Effect]) -> str:
    """The same effects are the same text, whoever worked them out and when."""
    try:
        return json.dumps(
            [effect.to_json() for effect in effects],
            sort_keys=True,
            default=_time,
            allow_nan=False,
            separators=(",", ":"),
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise ExecutionRefused("effects", f"the effects cannot be written as JSON: {error}") from None


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} is no JSON")


def refuse_unless_id(idempotency_id: object) -> None:
    """Raise ExecutionRefused for what cannot be kept as an idempotency id."""
    if not isinstance(idempotency_id, str) or not idempotency_id:
        raise ExecutionRefused("id", f"an idempotency id is text that is not empty, not {idempotency_id!r}")
    try:
        idempotency_id.encode()
    except UnicodeEncodeError:
        raise ExecutionRefused("id", "an idempotency id is text that can be written as UTF-8") from None

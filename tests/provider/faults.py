"""What a simulated provider does wrong, and when: drawn by hash, so that the same seed does the same again."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Act = Literal[
    "granted",
    "refused",
    "pending",
    "commit_then_timeout",
    "late",
    "double",
    "error_before",
    "error_after",
    "reset_before",
    "reset_after",
    "garbage",
    "drip",
    "busy",
]
"""What is done with a call. `granted` is the right thing; `pending` commits and does not say so yet; `busy` is a 429."""
ACTS: tuple[Act, ...] = get_args(Act)

# In this order they share the line from 0 to 1; half of the errors and resets come before the effect.
_SHARES: tuple[tuple[str, Act], ...] = (
    ("commit_then_timeout", "commit_then_timeout"),
    ("late", "late"),
    ("double", "double"),
    ("error_500", "error_before"),
    ("error_500", "error_after"),
    ("reset", "reset_before"),
    ("reset", "reset_after"),
    ("garbage", "garbage"),
    ("drip", "drip"),
    ("pending", "pending"),
    ("busy", "busy"),
)
_HALVED = ("error_500", "reset")


@dataclass
class Faults:
    """How a provider behaves; shares are of its calls, except `refuse`, which is of its grants."""

    commit_then_timeout: float = 0.0
    late: float = 0.0
    double: float = 0.0
    error_500: float = 0.0
    reset: float = 0.0
    garbage: float = 0.0
    drip: float = 0.0
    pending: float = 0.0
    busy: float = 0.0
    refuse: float = 0.0
    refuse_user: str = ""
    late_ms: int = 1_500
    slow_ms: int = 0
    forget_after_s: float = 0.0
    not_idempotent: bool = False
    next: tuple[Act, ...] = ()

    def act(self, seed: int, idempotency_id: str, number: int) -> Act:
        """Give what is done with a call: the next that was asked for, else what is drawn."""
        if self.next:
            first, *rest = self.next
            self.next = tuple(rest)
            return first
        place, end = draw(seed, idempotency_id, str(number)), 0.0
        for field, act in _SHARES:
            end += getattr(self, field) / (2 if field in _HALVED else 1)
            if place < end:
                return act
        return "granted"

    def refuses(self, seed: int, idempotency_id: str, user_id: str) -> bool:
        """Tell whether a grant is refused, each time it is asked for."""
        if self.refuse_user and user_id.startswith(self.refuse_user):
            return True
        return draw(seed, idempotency_id, "refuse") < self.refuse

    def change(self, given: dict[str, Any]) -> None:
        """Take over new behaviour.

        Raises:
            KeyError: there is no such thing.
        """
        known = {one.name for one in fields(self)}
        for name, value in given.items():
            if name not in known or (name == "next" and not set(value) <= set(ACTS)):
                raise KeyError(name)
            setattr(self, name, tuple(value) if name == "next" else value)


def draw(*what: object) -> float:
    """Give a number from 0 to below 1, always the same for the same."""
    digest = hashlib.sha256("\x00".join(map(str, what)).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def add_options(parser: argparse.ArgumentParser) -> None:
    """Make an option of each fault."""
    for one in fields(Faults):
        option = "--" + one.name.replace("_", "-")
        if one.name == "next":
            parser.add_argument(
                option, type=lambda text: tuple(text.split(",")), default=(), help="acts for the next calls"
            )
        elif isinstance(one.default, bool):
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(option, type=type(one.default), default=one.default)


def from_options(options: argparse.Namespace) -> Faults:
    """Read the faults from a command line."""
    return Faults(**{one.name: getattr(options, one.name) for one in fields(Faults)})

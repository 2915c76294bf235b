"""What became of an event that was sent."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

Status = Literal["accepted", "duplicate", "rejected"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What Tactics said of one event. `reason` says why it was rejected.

    `duplicate` means that Tactics has it from before: from an earlier call, or from a try of this one whose answer got
    lost on the way.
    """

    source: str
    id: str
    status: Status
    reason: str | None = None

    @property
    def stored(self) -> bool:
        """Whether Tactics has the event, so that it need not be sent again."""
        return self.status != "rejected"


class Receipts(Iterator[Receipt]):
    """The receipts of a stream of events, in order. Events are sent as their receipts are asked for."""

    def __init__(self, receipts: Iterator[Receipt]) -> None:
        """Take the receipts as they come."""
        self._receipts = receipts
        self._asked = False

    def __iter__(self) -> Self:
        """Give itself."""
        return self

    def __next__(self) -> Receipt:
        """Give the next one, once its batch is answered."""
        self._asked = True
        return next(self._receipts)

    def __del__(self) -> None:
        """Tell whoever forgot to ask."""
        if not self._asked:
            warnings.warn(
                "send_many sends as its receipts are asked for, and nobody asked: nothing was sent", stacklevel=2
            )

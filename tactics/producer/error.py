"""What may go wrong while events are sent: what happened, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Key = tuple[str, str]


class ProducerError(Exception):
    """Events could not be handed over.

    Attributes:
        events: source and id of each event that it is about. Receipts that came before are not touched by it.
        status: the HTTP status of the last answer, if there was one.
        problem: the answer as RFC 9457 problem details, if it was that.
    """

    def __init__(
        self, message: str, events: Sequence[Key], status: int | None = None, problem: Mapping[str, Any] | None = None
    ) -> None:
        """Keep what is known."""
        super().__init__(message)
        self.events = tuple(events)
        self.status = status
        self.problem = dict(problem or {})


class GaveUp(ProducerError):
    """Tactics could not be reached, or had too much to do, for as long as was given.

    Attributes:
        in_doubt: whether some of the events may have been accepted all the same, for an answer may have got lost. To
            send them again, with the same ids, is safe in any case.
    """

    def __init__(self, *args: Any, in_doubt: bool, **kwargs: Any) -> None:
        """Keep what is known."""
        super().__init__(*args, **kwargs)
        self.in_doubt = in_doubt


class NotAllowed(ProducerError):
    """The key is missing, not valid, or not for sending events; or the signature is wrong. Nothing was accepted."""


class Refused(ProducerError):
    """What answered did not take the request; trying again would not help."""


class Rejected(ProducerError):
    """Tactics does not take this event, and says why.

    Attributes:
        reason: why, in a sentence.
        problems: each wrong member, as `{"path": JSON Pointer, "message": …}`, where it is about members.
    """

    def __init__(self, *args: Any, reason: str, **kwargs: Any) -> None:
        """Keep what is known."""
        super().__init__(*args, **kwargs)
        self.reason = reason
        self.problems: list[dict[str, str]] = list(self.problem.get("problems", ()))

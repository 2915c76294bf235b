"""The errors that Tactics raises: text for people, fields for machines, an HTTP status, and whether a retry can help.

Expected business outcomes (busy, sold out, not eligible, reused) are results, not errors.
"""

from __future__ import annotations

from typing import Any, ClassVar


class TacticsError(Exception):
    """Something went wrong in Tactics."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, **fields: Any) -> None:
        """Keep the text and the fields.

        Args:
            message: what happened, where, and what to do; the class's docstring when left out.
            fields: machine-readable details, such as `path` or `activity`.
        """
        self.message = message or (type(self).__doc__ or self.code).strip().splitlines()[0]
        self.fields = fields
        super().__init__(self.message)

    def to_json(self) -> dict[str, Any]:
        """Give the error as plain data, in the members of an RFC 9457 problem."""
        return {"code": self.code, "title": self.message, "status": self.http_status, **self.fields}


class BadInput(TacticsError):
    """What was sent cannot be read or breaks a rule of its form."""

    code = "bad_input"
    http_status = 422


class NotFound(TacticsError):
    """There is nothing by this name."""

    code = "not_found"
    http_status = 404


class UnknownCode(NotFound):
    """There is no such code."""

    code = "unknown_code"


class UnknownChannel(NotFound):
    """No activity has ever been bound to this channel code."""

    code = "unknown_channel"


class Conflict(TacticsError):
    """What was asked contradicts what is already stored."""

    code = "conflict"
    http_status = 409


class IdempotencyConflict(Conflict):
    """This id was used before with another body."""

    code = "idempotency_conflict"
    http_status = 422  # as the IETF's draft on Idempotency-Key has it


class AmbiguousCode(Conflict):
    """More than one user or activity has this code."""

    code = "ambiguous_code"


class Busy(TacticsError):
    """Another request works on the same at this moment."""

    code = "busy"
    http_status = 409
    retryable = True


class Overloaded(TacticsError):
    """There is more to do at this moment than can be done in time: nothing was accepted."""

    code = "overloaded"
    http_status = 503
    retryable = True


class Unauthorized(TacticsError):
    """Who is asking is not known: there is no API key, or not a valid one."""

    code = "unauthorized"
    http_status = 401


class Forbidden(TacticsError):
    """Who is asking may not do this."""

    code = "forbidden"
    http_status = 403


class RateLimited(TacticsError):
    """This API key asks more often than it may."""

    code = "rate_limited"
    http_status = 429
    retryable = True


class PreconditionFailed(TacticsError):
    """It was changed since the caller read it."""

    code = "precondition_failed"
    http_status = 412


class EventTooOld(BadInput):
    """The event is older than TACTICS_MAX_EVENT_AGE allows."""

    code = "event_too_old"


class UnreadableActivity(TacticsError):
    """This process cannot read a stored activity: it may need a newer version of Tactics, or a plugin."""

    code = "unreadable_activity"


class InvalidTemplate(TacticsError):
    """A template's chain cannot run: a step needs what the context lacks."""

    code = "invalid_template"
    http_status = 422


class InvalidPlugin(TacticsError):
    """A plugin cannot be loaded, or declares what cannot work."""

    code = "invalid_plugin"


class NotConfigured(TacticsError):
    """A setting that this command needs is missing."""

    code = "not_configured"
    http_status = 500


class DatabaseDown(TacticsError):
    """The database cannot be reached."""

    code = "database_down"
    http_status = 503
    retryable = True


class WrongSchema(TacticsError):
    """The database has not the tables of this version: run `tactics db upgrade`."""

    code = "wrong_schema"
    http_status = 503
    retryable = True


class RedisDown(TacticsError):
    """Redis cannot be reached."""

    code = "redis_down"
    http_status = 503
    retryable = True


class GatewayError(TacticsError):
    """An outer system did not answer."""

    code = "gateway"
    http_status = 502
    retryable = True

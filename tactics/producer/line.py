"""One request, tried until it is answered: the same bytes each time, and never longer than the deadline."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import responses
from typing import Any, Final

import httpx

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 10.0
MOST_ANSWERED: Final = 16 * 1024 * 1024
# A later try may be answered otherwise: RFC 9110 (408, 502, 503, 504), RFC 6585 (429).
PASSING: Final = frozenset({408, 429, 502, 503, 504})
# The request cannot have been heard.
_UNHEARD: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_TOLD_BEFORE: Final = frozenset({"overloaded", "rate_limited"})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that another try would not change. `content` is its JSON; {} where it has none."""

    status: int
    content: Any

    @property
    def problem(self) -> dict[str, Any]:
        """The answer as RFC 9457 problem details."""
        return self.content if isinstance(self.content, dict) else {}

    @property
    def detail(self) -> str:
        """What it says, in a sentence."""
        said = self.problem.get("detail") or self.problem.get("title")
        return str(said or responses.get(self.status, "no reason"))


class NoAnswer(Exception):
    """The time or the tries are used up."""

    def __init__(self, tries: int, last: str, *, in_doubt: bool, status: int | None, problem: dict[str, Any]) -> None:
        """Keep what is known."""
        super().__init__(last)
        self.tries = tries
        self.in_doubt = in_doubt
        self.status = status
        self.problem = problem


@dataclass(slots=True)
class _Tries:
    """What became of the tries so far."""

    end: float
    made: int = 0
    last: str = ""
    in_doubt: bool = False
    status: int | None = None
    problem: dict[str, Any] = field(default_factory=dict)

    @property
    def left_s(self) -> float:
        return self.end - time.monotonic()

    def failed(self, last: str, *, in_doubt: bool, status: int | None, problem: dict[str, Any]) -> None:
        self.last, self.status, self.problem = last, status, problem
        self.in_doubt = self.in_doubt or in_doubt


@dataclass(frozen=True, slots=True)
class Line:
    """The way to one Tactics.

    Attributes:
        client: the connections.
        url: where events go.
        signing_secret: what requests are signed with.
        timeout_s: how long one try may take to connect, to send, and to be answered, each.
        retries: how many tries may follow the first.
        deadline_s: how long all of them may take.
    """

    client: httpx.Client
    url: str
    signing_secret: str | None
    timeout_s: float
    retries: int
    deadline_s: float

    def post(self, media_type: str, body: bytes, readable: Callable[[Any], bool]) -> Answer:
        """Send a body until it is answered.

        Args:
            media_type: of the body.
            body: the same for each try.
            readable: tells whether the content of a 202 is one; if not, the answer got lost.

        Raises:
            NoAnswer: nothing came that would stay so.
        """
        tries = _Tries(time.monotonic() + self.deadline_s)
        while True:
            tries.made += 1
            asked_s = self._once(tries, media_type, body, readable)
            if isinstance(asked_s, Answer):
                return asked_s
            wait_s = asked_s + random.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(tries.made, 16)))  # noqa: S311  # spreads callers out
            if tries.made > self.retries or wait_s >= tries.left_s:
                raise NoAnswer(
                    tries.made, tries.last, in_doubt=tries.in_doubt, status=tries.status, problem=tries.problem
                )
            time.sleep(wait_s)

    def _once(self, tries: _Tries, media_type: str, body: bytes, readable: Callable[[Any], bool]) -> Answer | float:
        """Try once.

        Returns:
            The answer; or for how many seconds we were asked to wait, at least.
        """
        end = time.monotonic() + min(self.timeout_s, max(tries.left_s, 0.001))
        try:
            response, content = self._exchange(media_type, body, end)
        except httpx.RequestError as error:
            last = f"{type(error).__name__} {error}".strip()
            tries.failed(last, in_doubt=not isinstance(error, _UNHEARD), status=None, problem={})
            return 0.0
        answer = Answer(response.status_code, _json(content))
        if answer.status == HTTPStatus.ACCEPTED and not readable(answer.content):
            tries.failed("an answer that cannot be read", in_doubt=True, status=answer.status, problem={})
            return 0.0
        if answer.status not in PASSING:
            return answer
        in_doubt = answer.problem.get("code") not in _TOLD_BEFORE and answer.status != HTTPStatus.TOO_MANY_REQUESTS
        last = f"{answer.status} {answer.detail}"
        tries.failed(last, in_doubt=in_doubt, status=answer.status, problem=answer.problem)
        return _retry_after_s(response.headers)

    def _exchange(self, media_type: str, body: bytes, end: float) -> tuple[httpx.Response, bytes]:
        """Send and read. httpx limits each wait; an answer that comes byte by byte has no more time than another."""
        headers = {"Content-Type": media_type}
        if self.signing_secret is not None:
            headers["Tactics-Signature"] = signature(self.signing_secret, body, int(time.time()))
        found = bytearray()
        request = self.client.build_request(
            "POST", self.url, content=body, headers=headers, timeout=max(end - time.monotonic(), 0.001)
        )
        response = self.client.send(request, stream=True)
        try:
            for chunk in response.iter_bytes():
                found += chunk
                if len(found) > MOST_ANSWERED:
                    raise httpx.ReadError(f"the answer has more than {MOST_ANSWERED} bytes", request=request)
                if time.monotonic() > end:
                    raise httpx.ReadTimeout("the answer was not complete in time", request=request)
        finally:
            response.close()
        return response, bytes(found)


def signature(secret: str, body: bytes, at: int) -> str:
    """Give the value of `Tactics-Signature`.

    Args:
        secret: shared with Tactics.
        body: exactly as sent.
        at: now, in seconds since 1970.
    """
    code = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={code}"


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return {}


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Read `Retry-After`, seconds or a date (RFC 9110, 10.2.3); what cannot be read asks for nothing."""
    said = headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said[:9])
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())

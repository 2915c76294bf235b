"""Outside benefit systems over HTTP; docs/reference/provider-protocol.md is the contract, word for word."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal
from urllib.parse import quote, urlencode
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from tactics import metrics
from tactics.domain.catalogue import Name
from tactics.domain.provider import LineAnswer, ListedGrant, Provider, ProviderAnswer, ProviderCall, ProviderPage
from tactics.errors import BadInput, GatewayError
from tactics.gateways.addresses import Blocked
from tactics.gateways.outbound import NotSent, Outbound, Reply, Unclear
from tactics.gateways.signing import sign

LONGEST_PAUSE_S = 86_400.0
"""Who asks to be left alone for longer is asked again all the same."""
LONGEST_ID = 2_048
_ID = "{idempotency_id}"
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
# A reason is shown to operators: it has to be a word of the provider's, not something about a user.
_REASON = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_NOT_FOUND = 404
_FINE = range(200, 300)
_MAY_COME_WITH = {
    "granted": _FINE,
    "pending": _FINE,
    "refused": (*_FINE, *range(400, 500)),
    "unknown": (*_FINE, _NOT_FOUND),
}
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

Line = Annotated[int, Field(ge=0, le=10_000)]


class _LineSaid(BaseModel):
    model_config = ConfigDict(strict=True)

    line: Line
    code: Name | None = None
    valid_until: AwareDatetime | None = None


class _Said(BaseModel):
    """An answer. The other side may say more than is asked for; what it says of this is read to the letter."""

    model_config = ConfigDict(strict=True)

    status: Literal["granted", "refused", "pending", "unknown"]
    reference: Name | None = None
    reason: str | None = None
    lines: list[_LineSaid] = Field(default_factory=list, max_length=1_000)


def _any_text(value: object) -> str:
    """Take an id that is none of ours too, such as half a surrogate pair: it is told, and keeps no other from being read."""
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_ID:
        raise ValueError(f"text of 1 to {LONGEST_ID} characters is wanted")
    return value


class _Listed(BaseModel):
    model_config = ConfigDict(strict=True)

    idempotency_id: Annotated[str, PlainValidator(_any_text)]
    status: Literal["granted", "refused", "pending"]
    value_minor: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None


class _PageSaid(BaseModel):
    model_config = ConfigDict(strict=True)

    grants: list[_Listed] = Field(max_length=10_000)
    next_cursor: Annotated[str, Field(min_length=1, max_length=1_024)] | None = None


class HttpBenefits:
    """Benefit systems that are called over HTTP; nothing opens before the first call."""

    def __init__(self, outbound: Outbound, clock: Callable[[], float] = time.time) -> None:
        """Keep the way out, and the clock that signatures are made by."""
        self._outbound = outbound
        self._clock = clock

    def grant(self, provider: Provider, call: ProviderCall) -> ProviderAnswer:
        """Ask for a grant: POST of the call's bytes."""
        key = idempotency_key(call.idempotency_id)
        sent = {"idempotency-key": key, "content-type": "application/json"}
        answer = self._answer(provider, "POST", provider.url, key, call.body, sent)
        if answer.kind == "unknown_id":
            return _unclear("answered that it does not know the id of a call", answer.status_code)
        return answer

    def look_up(self, provider: Provider, idempotency_id: str) -> ProviderAnswer:
        """Ask what became of a call: GET of the provider's look-up address."""
        if provider.look_up_url is None:
            return ProviderAnswer("not_sent", "this provider has no look_up_url")
        url = provider.look_up_url.replace(_ID, quote(idempotency_id, safe=""))
        return self._answer(provider, "GET", url, idempotency_key(idempotency_id), None, {})

    def listing(self, provider: Provider, begin: datetime, end: datetime, cursor: str | None = None) -> ProviderPage:
        """Read a page of the provider's list.

        Raises:
            GatewayError: there is no list, or it cannot be read.
        """
        if provider.list_url is None:
            raise GatewayError(f"provider {provider.name!r} has no list_url")
        query = {"from": _iso(begin), "to": _iso(end)} | ({"cursor": cursor} if cursor is not None else {})
        url = f"{provider.list_url}{'&' if '?' in provider.list_url else '?'}{urlencode(query)}"
        try:
            page = _read_page(self._send(provider, "GET", url, f"list_{uuid4().hex}", None, {}))
        except GatewayError as error:
            raise GatewayError(f"provider {provider.name!r}: {error.message}", provider=provider.name) from None
        grants = [ListedGrant(one.idempotency_id, one.status, one.value_minor) for one in page.grants]
        return ProviderPage(grants, page.next_cursor)

    def _answer(
        self, provider: Provider, method: str, url: str, key: str, body: bytes | None, headers: Mapping[str, str]
    ) -> ProviderAnswer:
        started = time.perf_counter()
        try:
            answer = _understand(self._send(provider, method, url, key, body, headers), self._clock())
        except (Blocked, NotSent) as error:
            answer = ProviderAnswer("not_sent", error.message)
        except Unclear as error:
            answer = _unclear(error.message, error.status)
        except BadInput as error:
            # A secret that cannot sign: no call goes out unsigned.
            answer = ProviderAnswer("not_sent", error.message)
        metrics.PROVIDER_CALLS.count(provider.name, answer.kind)
        metrics.PROVIDER_SECONDS.observe(time.perf_counter() - started, provider.name)
        return answer

    def _send(
        self, provider: Provider, method: str, url: str, key: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        # What is signed has full stops between its parts, so the id may have none.
        msg_id = key.replace(".", "%2E")
        signed = sign(provider.signing_secrets, msg_id, int(self._clock()), body or b"")
        sent = {"accept": "application/json", **headers, **signed}
        return self._outbound.request(method, url, headers=sent, body=body, deadline_s=provider.timeout_ms / 1000)


def idempotency_key(idempotency_id: str) -> str:
    """Give an id as a header can carry it: bytes outside visible ASCII, and `%`, are percent-encoded."""
    return quote(idempotency_id, safe=_VISIBLE.replace("%", ""))


def _understand(reply: Reply, now: float) -> ProviderAnswer:
    """Read what a reply says of a grant; what cannot be read says nothing."""
    status, pause_s = reply.status, _pause_s(reply.headers.get("retry-after"), now)
    try:
        said = _Said.model_validate_json(reply.body)
    except ValidationError as error:
        if status == _NOT_FOUND:
            return ProviderAnswer("unknown_id", "answered with status 404", status)
        what = f"a bad answer: {_place(error)}" if status in _FINE else f"status {status}"
        return _unclear(f"answered with {what}", status, pause_s)
    if len({one.line for one in said.lines}) < len(said.lines):
        return _unclear("answered with a bad answer: lines: the same line twice", status, pause_s)
    if status not in _MAY_COME_WITH[said.status]:
        return _unclear(f"answered {said.status} with status {status}, which contradict each other", status, pause_s)
    return _take(said, status, pause_s)


def _take(said: _Said, status: int, pause_s: float | None) -> ProviderAnswer:
    """Give what an answer that keeps to the contract says."""
    match said.status:
        case "granted":
            lines = [LineAnswer(one.line, one.code, one.valid_until) for one in said.lines]
            return ProviderAnswer("granted", "granted", status, None, lines, said.reference)
        case "refused":
            why = f": {said.reason}" if said.reason and _REASON.fullmatch(said.reason) else ""
            return ProviderAnswer("refused", f"refused{why}", status, reference=said.reference)
        case "pending":
            return ProviderAnswer("pending", "not done yet", status, pause_s, reference=said.reference)
        case "unknown":
            return ProviderAnswer("unknown_id", "does not know this id", status)


def _read_page(reply: Reply) -> _PageSaid:
    if reply.status not in _FINE:
        raise GatewayError(f"its list was answered with status {reply.status}")
    try:
        return _PageSaid.model_validate(json.loads(reply.body.decode()))
    except (RecursionError, ValueError) as error:
        if not isinstance(error, ValidationError):  # a ValueError too
            raise GatewayError("its list cannot be read: it is no JSON") from None
        raise GatewayError(f"its list cannot be read: {_place(error)}") from None


def _unclear(text: str, status: int | None = None, pause_s: float | None = None) -> ProviderAnswer:
    return ProviderAnswer("unclear", text, status, pause_s)


def _place(error: ValidationError) -> str:
    # What stands in the answer may be about users: only where it is wrong is told.
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'/'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}"


def _pause_s(header: str | None, now: float) -> float | None:
    """Read Retry-After: seconds, or a date (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return min(float(header), LONGEST_PAUSE_S)
    try:
        then = parsedate_to_datetime(header)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return min(max(then.timestamp() - now, 0.0), LONGEST_PAUSE_S)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

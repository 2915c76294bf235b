"""The producer: events in, receipts out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from tactics.producer.error import GaveUp, NotAllowed, ProducerError, Refused, Rejected
from tactics.producer.event import Unwritable, Written, write
from tactics.producer.line import Answer, Line, NoAnswer
from tactics.producer.receipt import Receipt, Receipts

ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"
# Below what Tactics and most proxies take in one request.
BATCH_BYTES = 900_000
_STATUSES = frozenset({"accepted", "duplicate", "rejected"})
_WHAT_TO_DO: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "Is this the address of Tactics? It is given without a path, such as https://host:8470.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Send smaller events.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The log of Tactics says more.",
}


class Producer:
    """Sends events to one Tactics, from any number of threads.

    An event is accepted once: every try sends the same bytes under the same id, and Tactics knows both.
    """

    def __init__(
        self,
        url: str,
        *,
        source: str,
        key: str | None = None,
        signing_secret: str | None = None,
        timeout_s: float = 10.0,
        retries: int = 10,
        deadline_s: float = 60.0,
        batch_size: int = 100,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Make a producer. Nothing connects before the first event.

        Args:
            url: of Tactics, such as `https://tactics.example:8470`.
            source: whose the events' ids are, such as the name of your service; events may say another.
            key: an API key with the scope `events:write`.
            signing_secret: what the key's requests are signed with, if it has one.
            timeout_s: how long one try may take to connect, to send, and to be answered, each.
            retries: how many tries may follow the first, of one event or batch.
            deadline_s: how long all tries of one event or batch may take.
            batch_size: how many events `send_many` puts into one request.
            transport: httpx's, instead of the network.

        Raises:
            ValueError: one of these makes no sense.
        """
        where = httpx.URL(url)
        if where.scheme not in {"http", "https"} or not where.host:
            raise ValueError(f"{url!r} is no address: give the one of Tactics, such as https://tactics.example:8470")
        if not source or batch_size < 1 or retries < 0 or min(timeout_s, deadline_s) <= 0:
            raise ValueError("source, batch_size, timeout_s and deadline_s have to be given, and retries not negative")
        if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key != ""):
            raise ValueError("a key is printable ASCII, as `tactics keys create` printed it")
        headers = {"User-Agent": "tactics-producer", "Accept": "application/json, application/problem+json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._source, self._batch_size = source, batch_size
        address = str(where.copy_with(query=None, fragment=None)).rstrip("/") + "/v1/events"
        client = httpx.Client(headers=headers, transport=transport)
        self._line = Line(client, address, signing_secret, timeout_s, retries, deadline_s)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._line.client.close()

    def send(self, event: Mapping[str, Any]) -> Receipt:
        """Send one event, and wait until Tactics has it.

        Args:
            event: made by `action`, `behaviour` or `asset`, or any CloudEvent in the JSON format. A missing `source`
                is the producer's, a missing `id` a new one.

        Returns:
            A receipt: accepted, or a duplicate.

        Raises:
            Rejected: Tactics does not take this event.
            NotAllowed: the key or the signature is wrong.
            GaveUp: Tactics could not be reached in time; `in_doubt` tells whether it may have the event.
            Refused: what answered is not Tactics, or does not take the request.
        """
        try:
            one = write(event, self._source)
        except Unwritable as error:
            raise Rejected(str(error), [], reason=str(error)) from None
        answer = self._post(ONE, one.body, [one])
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise Rejected(
                f"Tactics does not take this event: {answer.detail}",
                [(one.source, one.id)],
                answer.status,
                answer.problem,
                reason=answer.detail,
            )
        self._check(answer, [one])
        return _receipt(one, answer.content)

    def send_many(self, events: Iterable[Mapping[str, Any]]) -> Receipts:
        """Send a stream of events, in batches, as their receipts are asked for.

        Args:
            events: as `send` takes them; never more than a batch of them is in memory.

        Returns:
            A receipt for each, in order. A rejected event does not hold the others up.

        Raises:
            NotAllowed: the key or the signature is wrong.
            GaveUp: Tactics could not be reached in time; `events` tells which ones are open: the batch's.
            Refused: what answered is not Tactics, or does not take the request.
        """
        return Receipts(self._stream(events))

    def _stream(self, events: Iterable[Mapping[str, Any]]) -> Iterator[Receipt]:
        batch: list[Written | Receipt] = []
        size = 0
        for event in events:
            one = self._written(event)
            weight = len(one.body) if isinstance(one, Written) else 0
            if batch and (len(batch) == self._batch_size or size + weight > BATCH_BYTES):
                yield from self._answered(batch)
                batch, size = [], 0
            batch.append(one)
            size += weight
        if batch:
            yield from self._answered(batch)

    def _written(self, event: Mapping[str, Any]) -> Written | Receipt:
        try:
            return write(event, self._source)
        except Unwritable as error:
            known = event if isinstance(event, Mapping) else {}
            return Receipt(str(known.get("source", self._source)), str(known.get("id", "")), "rejected", str(error))

    def _answered(self, batch: Sequence[Written | Receipt]) -> Iterator[Receipt]:
        receipts = iter(self._deliver([one for one in batch if isinstance(one, Written)]))
        for one in batch:
            yield one if isinstance(one, Receipt) else next(receipts)

    def _deliver(self, batch: Sequence[Written]) -> list[Receipt]:
        if not batch:
            return []
        answer = self._post(MANY, b"[" + b",".join(one.body for one in batch) + b"]", batch)
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            # Nothing of it was read.
            if len(batch) == 1:
                return [Receipt(batch[0].source, batch[0].id, "rejected", f"it is too large: {answer.detail}")]
            half = len(batch) // 2
            return [*self._deliver(batch[:half]), *self._deliver(batch[half:])]
        self._check(answer, batch)
        return [_receipt(one, said) for one, said in zip(batch, answer.content["results"], strict=True)]

    def _post(self, media_type: str, body: bytes, events: Sequence[Written]) -> Answer:
        def readable(content: Any) -> bool:
            if media_type == ONE:
                return _is_receipt(content)
            results = content.get("results") if isinstance(content, dict) else None
            return isinstance(results, list) and len(results) == len(events) and all(map(_is_receipt, results))

        try:
            return self._line.post(media_type, body, readable)
        except NoAnswer as error:
            doubt = "Whether they were accepted is not known" if error.in_doubt else "None was accepted"
            raise GaveUp(
                f"{self._line.url} did not take {len(events)} event(s) in {error.tries} tries within "
                f"{self._line.deadline_s:g} s, at last: {error}. {doubt}: send them again, with the same ids.",
                _keys(events),
                error.status,
                error.problem,
                in_doubt=error.in_doubt,
            ) from None

    def _check(self, answer: Answer, events: Sequence[Written]) -> None:
        """Raise what an answer means that is not a receipt."""
        if answer.status == HTTPStatus.ACCEPTED:
            return
        said = f"{self._line.url} answered {answer.status}: {answer.detail}"
        kind: type[ProducerError] = Refused
        to_do = _WHAT_TO_DO.get(answer.status, "")
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            kind = NotAllowed
            to_do = "Give `key`, and `signing_secret` if it has one; `tactics keys` makes and lists them."
        raise kind(f"{said} {to_do}".strip(), _keys(events), answer.status, answer.problem)


def _keys(events: Sequence[Written]) -> list[tuple[str, str]]:
    return [(one.source, one.id) for one in events]


def _is_receipt(said: Any) -> bool:
    return isinstance(said, dict) and said.get("status") in _STATUSES


def _receipt(one: Written, said: Mapping[str, Any]) -> Receipt:
    reason = said.get("reason")
    return Receipt(one.source, one.id, said["status"], None if reason is None else str(reason))

"""The clients: producers that send an event until it is acknowledged, and callers that visit, retry, and use what they got.

All that they see goes into the history before they act on it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tests.chaos.asking import LOST, ask
from tests.chaos.history import History
from tests.chaos.pace import Pace
from tests.chaos.scene import BOUGHT, EARLY, SOURCE, Script, Sent, Visited

_AT_ONCE = 64
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 4.0
_TRIES, _LOOK_S = 10, 0.05
_OK, _ACCEPTED, _BUSY, _TOO_MANY, _OUR_FAULT = 200, 202, 409, 429, 500
CLOUDEVENT, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
# How many events of those that are due together go in one request.
_BATCHES = (1, 1, 1, 10)


class Clients:
    """All clients of a run, in one event loop."""

    def __init__(self, seed: int, script: Script, ports: Sequence[int], key: str, history: History) -> None:
        """Know what to ask, and where, and the API key to do it with."""
        self._key = key
        self.script, self.ports, self.history = script, ports, history
        self.answered: Counter[str] = Counter()
        self._rng = random.Random(f"clients of {seed}")  # noqa: S311  # to be repeated
        self._opened_at = time.time()
        self._give_up_at = float("inf")
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self, pace: Pace, patience_s: float) -> None:
        """Do what the script says.

        Args:
            pace: the clock.
            patience_s: how long after the last of it clients go on trying.
        """
        self._places = asyncio.Semaphore(_AT_ONCE)  # each event loop has its own
        todo: list[tuple[float, Callable[[], Coroutine[Any, Any, None]]]] = [
            *((due_s, partial(self._send, batch)) for due_s, batch in self._batches(early=False)),
            *((visit.at_s, partial(self._visit_and_use, visit)) for visit in self.script.visits),
        ]
        async with asyncio.TaskGroup() as group:
            for due_s, begin in sorted(todo, key=lambda one: one[0]):
                while (left := due_s - pace.now()) > 0:  # noqa: ASYNC110  # a clock tells nobody that it went on
                    await asyncio.sleep(min(left, _LOOK_S))
                group.create_task(begin())
            self._give_up_at = time.monotonic() + patience_s

    async def come_early(self) -> None:
        """Send what comes before anything fails."""
        self._places = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for _, batch in self._batches(early=True):
                group.create_task(self._send(batch))

    def _batches(self, *, early: bool) -> list[tuple[float, list[Sent]]]:
        sends = sorted(
            (at, event.number, event) for event in self.script.events for at in event.sent_s if (at == EARLY) == early
        )
        found, position = [], 0
        while position < len(sends):
            # One event has one place in a batch.
            some = {
                number: (at, event) for at, number, event in sends[position : position + self._rng.choice(_BATCHES)]
            }
            position += len(some)
            found.append((max(at for at, _ in some.values()), [event for _, event in some.values()]))
        return found

    async def _send(self, events: Sequence[Sent]) -> None:
        messages = [self._message(one) for one in events]
        body, kind = (messages[0], CLOUDEVENT) if len(messages) == 1 else (messages, BATCH)
        await self._send_until_acknowledged(messages, body, kind)

    async def _send_until_acknowledged(self, messages: list[dict[str, Any]], body: Any, kind: str) -> None:
        tries = 0
        while time.monotonic() < self._give_up_at:
            tries += 1
            status, answer = await self._ask("POST", "/v1/events", body, {"Content-Type": kind})
            self.answered[f"event {status}"] += 1
            if status == _ACCEPTED:
                verdicts = answer["results"] if isinstance(body, list) else [answer]
                for message, verdict in zip(messages, verdicts, strict=True):
                    self._note_event(message, verdict["status"], tries)
                return
            if _definite(status):
                for message in messages:
                    self._note_event(message, f"refused {status}: {answer}", tries)
                return
            await self._wait(tries)

    def _note_event(self, message: dict[str, Any], said: str, tries: int) -> None:
        data = message["data"]
        self.history.note(
            "event",
            source=message["source"],
            id=message["id"],
            type=message["type"],
            user_id=data.get("user_id"),
            channel=data.get("rule_key"),
            said=said,
            tries=tries,
        )

    def _message(self, event: Sent) -> dict[str, Any]:
        happened = datetime.fromtimestamp(self._opened_at + min(event.happened_s, event.sent_s[0]), UTC)
        data: dict[str, Any] = {"user_id": event.user_id}
        data |= {"rule_key": BOUGHT} if event.type == "behaviour" else {"action": event.type, "item_id": "7"}
        kind = "behaviour" if event.type == "behaviour" else "action"
        return self._cloudevent(f"e{event.number}", kind, happened, data)

    def _cloudevent(self, name: str, kind: str, happened: datetime, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": name,
            "source": SOURCE,
            "type": f"tactics.{kind}",
            "time": happened.isoformat(),
            "data": data,
        }

    async def _visit_and_use(self, visit: Visited) -> None:
        if visit.twin:
            answer, _ = await asyncio.gather(self._visit(visit), self._visit(visit))
        else:
            answer = await self._visit(visit)
        shown = [asset for part in answer["results"] for asset in part["assets"]] if answer else []
        for asset in shown:
            await self._use(visit, asset["asset_id"])

    async def _visit(self, visit: Visited) -> dict[str, Any] | None:
        """Visit with one key until there is an answer."""
        key = f"v{visit.number}"
        body = {"user_id": visit.user_id, "best_only": visit.best_only}
        for tries in range(1, _TRIES + 1):
            sent_at = time.time()
            status, answer = await self._ask(
                "POST", f"/v1/placements/{visit.channel}", body, {"Idempotency-Key": f'"{key}"'}
            )
            self.answered[f"placement {status}"] += 1
            noted = {"key": key, "user_id": visit.user_id, "channel": visit.channel, "tries": tries}
            self.history.note("placement", **noted, sent_at=sent_at, status=status, answer=answer)
            if status == _OK:
                found: dict[str, Any] = answer
                return found
            if status != _BUSY and _definite(status):
                return None
            if time.monotonic() > self._give_up_at:
                return None
            await self._wait(tries)
        return None

    async def _use(self, visit: Visited, asset_id: str) -> None:
        """Do with an asset what the user wants, so that the next visit may get another."""
        if visit.then == "keep":
            return
        if visit.then == "claim":
            await self._change(asset_id, "claim")
            return
        reference = f"o{visit.number}"
        if visit.number % 5 == 0:
            await self._redeem_by_event(visit, asset_id)
        else:
            await self._change(asset_id, "redeem", reference=reference)
        if visit.then == "release":
            await self._change(asset_id, "release")

    async def _redeem_by_event(self, visit: Visited, asset_id: str) -> None:
        """Let another system tell that the asset is redeemed."""
        data = {"asset_id": asset_id, "status": "redeemed"}
        message = self._cloudevent(f"a{visit.number}-{asset_id}", "asset", datetime.now(UTC), data)
        await self._send_until_acknowledged([message], message, CLOUDEVENT)

    async def _change(self, asset_id: str, change: str, **body: Any) -> None:
        for tries in range(1, _TRIES + 1):
            status, answer = await self._ask("POST", f"/v1/assets/{asset_id}/{change}", body)
            self.answered[f"change {status}"] += 1
            self.history.note(
                "change", asset_id=asset_id, change=change, status=status, now=(answer or {}).get("status")
            )
            if _definite(status):
                return
            await self._wait(tries)

    async def _ask(self, method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        async with self._places:
            told = {"Authorization": f"Bearer {self._key}", **(headers or {})}
            return await ask(self._rng.choice(self.ports), method, path, body, headers=told)

    async def _wait(self, tries: int) -> None:
        await asyncio.sleep(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**tries) * self._rng.uniform(0.5, 1.0))


def _definite(status: int) -> bool:
    """Tell whether asking the same again could not help."""
    return status not in {LOST, _TOO_MANY} and status < _OUR_FAULT

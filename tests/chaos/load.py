"""The clients: producers that send an event until it is acknowledged, and callers that visit, retry, and use what they got.

All that they see goes into the history before they act on it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.chaos.asking import LOST, ask
from tests.chaos.history import History
from tests.chaos.scene import BOUGHT, SOURCE, Script, Sent, Visited

_AT_ONCE = 48
_LONGEST_WAIT_S = 2.0
_TRIES = 10
_OK, _ACCEPTED, _BUSY = 200, 202, 409
CLOUDEVENT, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
# How many events of those that are due together go in one request.
_BATCHES = (1, 1, 1, 10)


class Clients:
    """All clients of a run, in one event loop."""

    def __init__(self, seed: int, script: Script, ports: Sequence[int], history: History) -> None:
        """Know what to ask, and where."""
        self.script, self.ports, self.history = script, ports, history
        self.answered: Counter[str] = Counter()
        self._rng = random.Random(f"clients of {seed}")  # noqa: S311  # to be repeated
        self._begun, self._begun_at = 0.0, 0.0
        self._give_up_at = 0.0
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self, seconds: float, patience_s: float, begun: Callable[[], None]) -> None:
        """Do what the script says.

        Args:
            seconds: of the fault phase.
            patience_s: how long after it clients go on trying.
            begun: called as the first second begins.
        """
        self._begun, self._begun_at = time.monotonic(), time.time()
        self._give_up_at = self._begun + seconds + patience_s
        begun()
        async with asyncio.TaskGroup() as group:
            for due_s, batch in self._batches():
                group.create_task(self._send_at(due_s, batch))
            for visit in self.script.visits:
                group.create_task(self._visit_at(visit))

    def _batches(self) -> list[tuple[float, list[Sent]]]:
        sends = sorted((at, event.number, event) for event in self.script.events for at in event.sent_s)
        found, position = [], 0
        while position < len(sends):
            # One event has one place in a batch.
            some = {number: (at, event) for at, number, event in sends[position : position + self._rng.choice(_BATCHES)]}
            position += len(some)
            found.append((max(at for at, _ in some.values()), [event for _, event in some.values()]))
        return found

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, self._begun + at_s - time.monotonic()))

    async def _send_at(self, due_s: float, events: Sequence[Sent]) -> None:
        await self._until(due_s)
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
            if status not in {LOST, 429} and status < 500:  # noqa: PLR2004  # as HTTP has them
                for message in messages:
                    self._note_event(message, f"refused {status}", tries)
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
        happened = datetime.fromtimestamp(self._begun_at + min(event.happened_s, event.sent_s[0]), UTC)
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

    async def _visit_at(self, visit: Visited) -> None:
        await self._until(visit.at_s)
        if visit.twin:
            answers = await asyncio.gather(self._visit(visit), self._visit(visit))
        else:
            answers = [await self._visit(visit)]
        shown = [asset for answer in answers[:1] if answer for part in answer["results"] for asset in part["assets"]]
        for asset in shown:
            await self._use(visit, asset["id"] if "id" in asset else asset["asset_id"])

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
            if status not in {LOST, _BUSY, 429} and status < 500:  # noqa: PLR2004  # as HTTP has them
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
        message = self._cloudevent(f"a{visit.number}", "asset", datetime.now(UTC), data)
        await self._send_until_acknowledged([message], message, CLOUDEVENT)

    async def _change(self, asset_id: str, change: str, **body: Any) -> None:
        for tries in range(1, _TRIES + 1):
            status, answer = await self._ask("POST", f"/v1/assets/{asset_id}/{change}", body)
            self.answered[f"change {status}"] += 1
            self.history.note(
                "change", asset_id=asset_id, change=change, status=status, now=(answer or {}).get("status")
            )
            if status not in {LOST, 429} and status < 500:  # noqa: PLR2004  # as HTTP has them
                return
            await self._wait(tries)

    async def _ask(self, method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        async with self._places:
            return await ask(self._rng.choice(self.ports), method, path, body, headers=headers)

    async def _wait(self, tries: int) -> None:
        await asyncio.sleep(min(_LONGEST_WAIT_S, 0.05 * 2**tries) * self._rng.uniform(0.5, 1.0))

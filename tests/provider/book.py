"""What a simulated provider has done: an append-only file of JSON lines, which is also all that it remembers."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def digest(body: bytes) -> str:
    """Give what tells one body from another."""
    return hashlib.sha256(body).hexdigest()


@dataclass(frozen=True)
class Effect:
    """A grant that happened, or a refusal."""

    idempotency_id: str
    granted: bool
    digest: str
    at: float
    value_minor: int
    number: int


class Book:
    """Effects in the order in which they happened; a line is in the file before anybody hears of it."""

    def __init__(self, path: Path) -> None:
        """Read what happened before, and go on behind it."""
        self.effects: list[Effect] = []
        self.keys: dict[str, Effect] = {}
        self.calls: Counter[str] = Counter()
        for line in path.read_text().splitlines() if path.exists() else ():
            self._remember(json.loads(line))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, what: str, body: bytes, said: dict[str, Any]) -> Effect:
        """Write what came of a call as one line.

        Args:
            what: effect (granted), refused, replay (it was there already) or body_changed.
            body: the call's bytes.
            said: the call.
        """
        line = {
            "what": what,
            "first": what in {"effect", "refused"},
            "idempotency_id": said["idempotency_id"],
            "activity": said["activity"],
            "user_id": said["user_id"],
            "will_send_count": said["will_send_count"],
            "grant_id": said["grant_id"],
            "value_minor": sum(one["value_minor"] for one in said["lines"]),
            "digest": digest(body),
            "at": time.time(),
        }
        os.write(self._file, (json.dumps(line, ensure_ascii=False) + "\n").encode())
        return self._remember(line)

    def _remember(self, line: dict[str, Any]) -> Effect:
        idempotency_id = line["idempotency_id"]
        self.calls[idempotency_id] += 1
        granted = line["what"] == "effect"
        found = Effect(idempotency_id, granted, line["digest"], line["at"], line["value_minor"], len(self.effects))
        if line["first"]:
            self.effects.append(found)
            self.keys[idempotency_id] = found
        return found

    def known(self, idempotency_id: str, forget_after_s: float) -> Effect | None:
        """Give what is remembered of a key; with `forget_after_s`, only for so long."""
        found = self.keys.get(idempotency_id)
        if found is None or (forget_after_s and time.time() - found.at > forget_after_s):
            return None
        return found

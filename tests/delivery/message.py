"""Messages as they lie in Redis."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID


class Message:
    """A message as it lies in Redis, in Celery's protocol 2."""

    def __init__(self, raw: bytes) -> None:
        """Read it."""
        self.raw = json.loads(raw)
        self.headers: dict[str, Any] = self.raw["headers"]
        self.args, self.kwargs, embedded = json.loads(base64.b64decode(self.raw["body"]))
        self.chain: list[Any] = embedded["chain"]

    @property
    def task(self) -> str:
        """The task that it asks for."""
        return str(self.headers["task"])

    @property
    def id(self) -> str:
        """The task's id."""
        return str(self.headers["id"])

    @property
    def execution_id(self) -> UUID:
        """The execution that a step's message is for."""
        return UUID(self.args[0])

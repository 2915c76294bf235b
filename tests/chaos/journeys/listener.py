"""A receiver of webhooks that writes down in a file what it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tactics.gateways.outbound import Reply


@dataclass
class Listener:
    """The way out, which leads into a file."""

    path: Path

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        deadline_s: float,
    ) -> Reply:
        """Write down what is sent, in one piece."""
        line = {"id": headers["webhook-id"], "body": (body or b"").decode(), "to": f"{method} {url} in {deadline_s} s"}
        with self.path.open("a") as heard:
            heard.write(json.dumps(line) + "\n")
        return Reply(204, {}, b"")

    def heard(self) -> list[dict[str, str]]:
        """Give what was told so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def close(self) -> None:
        """Nothing is open."""

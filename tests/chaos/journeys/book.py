"""An outside benefit system in a file: its book outlives whoever called, and is the truth about what it has given."""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

from tactics.domain.provider import Provider, ProviderAnswer, ProviderCall, ProviderPage
from tactics.errors import GatewayError

Manner = Literal["gives", "refuses", "gives and says nothing", "gives later", "loses the first call"]


@dataclass
class Book:
    """The port of benefit systems, kept in a file.

    A provider that is not idempotent gives once more for each call. `manner` is how it answers from now on.
    """

    path: Path
    manner: Manner = "gives"

    def grant(self, provider: Provider, call: ProviderCall) -> ProviderAnswer:
        """Give, once for each id, and answer as the manner is."""
        with self._open() as book:
            known = Counter(line["what"] for line in _lines(book) if line["id"] == call.idempotency_id)
            if self.manner == "refuses":
                _write(book, call.idempotency_id, "refused")
                return ProviderAnswer("refused", "as the manner is")
            if self.manner == "loses the first call" and not known:
                _write(book, call.idempotency_id, "lost")
                return ProviderAnswer("unclear", "timed out")
            if not known["given"] or not provider.idempotent:
                _write(book, call.idempotency_id, "given")
                if self.manner == "gives and says nothing":
                    return ProviderAnswer("unclear", "timed out")
                if self.manner == "gives later":
                    return ProviderAnswer("pending", "it takes a while")
        return ProviderAnswer("granted", "given", reference=call.idempotency_id)

    def look_up(self, provider: Provider, idempotency_id: str) -> ProviderAnswer:
        """Say what the book says."""
        assert provider.look_up_url is not None, "it cannot be asked"
        with self._open() as book:
            known = {line["what"] for line in _lines(book) if line["id"] == idempotency_id}
        if "given" in known:
            return ProviderAnswer("granted", "given", reference=idempotency_id)
        if "refused" in known:
            return ProviderAnswer("refused", "as the manner was")
        return ProviderAnswer("unknown_id", "never heard of it")

    def listing(self, provider: Provider, begin: datetime, end: datetime, cursor: str | None = None) -> ProviderPage:
        """Have no list."""
        raise GatewayError(f"{provider.name} has no list from {begin} to {end} at {cursor}")

    def given(self, user_id: str) -> int:
        """Count what was given to a user."""
        with self._open() as book:
            return sum(line["what"] == "given" and f":{user_id}:" in line["id"] for line in _lines(book))

    @contextmanager
    def _open(self) -> Iterator[IO[str]]:
        with self.path.open("a+") as book:
            fcntl.flock(book, fcntl.LOCK_EX)
            yield book


def _lines(book: IO[str]) -> list[dict[str, str]]:
    book.seek(0)
    return [json.loads(line) for line in book]


def _write(book: IO[str], idempotency_id: str, what: str) -> None:
    book.write(json.dumps({"id": idempotency_id, "what": what}) + "\n")
    book.flush()

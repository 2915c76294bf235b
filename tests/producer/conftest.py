"""Producers that do not wait long, and a nasty server between them and an inbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tactics.producer import line
from tests.producer.nasty import Book, Nasty, nasty


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Producers try again at once."""
    monkeypatch.setattr(line, "FIRST_WAIT_S", 0.001)


@pytest.fixture
def book() -> Book:
    """An inbox in memory."""
    return Book()


@pytest.fixture
def between(book: Book) -> Iterator[Nasty]:
    """Who stands before it."""
    with nasty(book) as one:
        yield one

"""The API in this process, over the test's own database and Redis."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tactics.api.service import create_api
from tests.driving import Drive, Maker

with warnings.catch_warnings():
    # Starlette would rather have another HTTP client under its test client than the one this project uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

Client = TestClient
HERE: dict[str, Any] = {"base_url": "http://localhost", "client": ("127.0.0.1", 50_000)}
"""A client of its own on this machine: without any API key, the API answers nobody else."""


@pytest.fixture
def live(driven: Maker) -> Drive:
    """A drive whose business time is the clock's: `live.load(document)`, `live.work()`."""
    return driven(replay=False)


@pytest.fixture
def api(live: Drive) -> Iterator[TestClient]:
    """Somebody on this machine who calls the API of `live`; what goes wrong inside of it is raised here."""
    with TestClient(create_api(live.app), **HERE) as client:
        yield client


@pytest.fixture
def api_of() -> Iterator[Callable[..., Any]]:
    """Make clients of other drives' APIs: `api_of(drive)`."""
    opened: list[TestClient] = []

    def make(drive: Drive, **options: Any) -> TestClient:
        client = TestClient(create_api(drive.app), **{**HERE, **options})
        opened.append(client.__enter__())
        return opened[-1]

    yield make
    for client in opened:
        client.__exit__(None, None, None)

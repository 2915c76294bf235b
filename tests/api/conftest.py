"""The rules service in this process."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

with warnings.catch_warnings():
    # Starlette would rather have another HTTP client under its test client than the one this project uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

from tactics.api.app import create_rules_app


@pytest.fixture(scope="session")
def service() -> Iterator[TestClient]:
    """Somebody who calls the rules service; what goes wrong inside of it is raised here."""
    with TestClient(create_rules_app()) as client:
        yield client

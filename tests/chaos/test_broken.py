"""Each protection taken out of the product is seen by the checker, in a run in which the product as it is passes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tactics.embedded.home import temporary
from tests.chaos.broken import BUILDS
from tests.chaos.catching import catches, directed

FULL = os.environ.get("CHAOS") == "full"
QUICK = ("epoch", "stock")
"""Those that are caught without waiting for what never ends."""


@pytest.fixture
def home() -> Path:
    """A folder that the servers' account may enter."""
    return temporary()


@pytest.mark.parametrize("name", BUILDS if FULL else QUICK)
def test_a_broken_build_is_caught(home: Path, name: str) -> None:
    """With its protection taken out, one of the checks that are there for it has findings."""
    result = directed(name, home)
    assert catches(name, result), (BUILDS[name].why, result.to_json())


@pytest.mark.skipif(not FULL, reason="a run for each build: that is for `make chaos`; test_chaos.py has a short one")
@pytest.mark.parametrize("name", BUILDS)
def test_the_product_passes_where_a_broken_build_is_caught(home: Path, name: str) -> None:
    """The same run of the product as it is has no findings at all."""
    assert directed(name, home, whole=True).findings == []

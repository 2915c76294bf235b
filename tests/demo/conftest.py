"""The real data, read once for all tests of the demo."""

from __future__ import annotations

import pytest

from tactics.demo.choice import choose
from tactics.demo.data import Data, read
from tactics.demo.plan import Plan, make_plan


@pytest.fixture(scope="session")
def data() -> Data:
    return read()


@pytest.fixture(scope="session")
def plan(data: Data) -> Plan:
    """The plan of the default slice."""
    return make_plan(choose(), data)

"""Stages for the tests of delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tactics.config import Settings
from tests.delivery.stage import Stage


@pytest.fixture
def open_stage(settings: Settings, environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Opens stages whose settings differ by what is given; all are closed at the end."""
    with ExitStack() as stack:

        def opened(**changes: Any) -> Stage:
            return stack.enter_context(Stage(settings, environment, tmp_path, **changes))

        yield opened


@pytest.fixture
def stage(open_stage: Callable[..., Stage]) -> Stage:
    """A stage with settings as they are, but quick."""
    return open_stage()

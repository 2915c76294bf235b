"""Waiting for something to hold, and never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 60.0


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)

"""Lets the processes of one command count together, so that each can tell what all of them did."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tactics.config import Settings

_SETTING = "TACTICS_METRICS_DIR"


@contextmanager
def counting_together(settings: Settings, processes: int) -> Iterator[None]:
    """Give processes that are started within a folder for their counts, unless one is set, or there is only one process."""
    if processes == 1 or settings.metrics_dir:
        yield
        return
    with TemporaryDirectory(prefix="tactics-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[_SETTING] = folder
        try:
            yield
        finally:
            del os.environ[_SETTING]

"""The figures of a run, in one file: each part writes its own, and leaves what the others wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Figures:
    """`{"seeds": […], "broken_builds": […], "failpoints": {…}, "machine": {…}, "plain": […]}`, as far as it was run.

    Each of the seeds says which broken builds the checker caught: the checker that found nothing in it is the same.
    """

    def __init__(self, path: Path | None) -> None:
        """Take over what is in the file; None: figures are only kept."""
        self._path = path
        there = path is not None and path.exists()
        self.found: dict[str, Any] = json.loads(path.read_text()) if path is not None and there else {}

    def put(self, part: str, value: Any) -> None:
        """Write what came of a part, in the place of what came of it before."""
        self.found[part] = value
        self._write()

    def add(self, part: str, row: dict[str, Any]) -> None:
        """Write what came of a seed, in the place of what came of the same seed before."""
        rows = [one for one in self.found.get(part, []) if one["seed"] != row["seed"]]
        self.put(part, sorted([*rows, row], key=lambda one: int(one["seed"])))

    def _write(self) -> None:
        builds: Sequence[dict[str, Any]] | None = self.found.get("broken_builds")
        caught = None if builds is None else sorted(one["name"] for one in builds if one["caught_by"])
        for row in self.found.get("seeds", []):
            row["broken_builds_caught"] = caught
        if self._path is not None:
            self._path.write_text(json.dumps(self.found, indent=2) + "\n")

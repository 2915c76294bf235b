"""The file of figures: what `make chaos` writes, part by part."""

from __future__ import annotations

import json
from pathlib import Path

from tests.chaos.figures import Figures
from tests.chaos.parts import table

_SEED = {"events": 10, "faults": 3, "lost": 0, "over_issued": 0, "stuck": 0}
_BUILDS = [{"name": "epoch", "caught_by": ["epoch_shared"]}, {"name": "stock", "caught_by": []}]


def test_parts_that_are_run_alone_come_together(tmp_path: Path) -> None:
    """Each part leaves what the others wrote, a seed replaces itself alone, and each says which builds were caught."""
    path = tmp_path / "figures.json"
    Figures(path).add("seeds", {"seed": 2, **_SEED})
    assert json.loads(path.read_text())["seeds"][0]["broken_builds_caught"] is None
    Figures(path).put("broken_builds", _BUILDS)
    Figures(path).add("seeds", {"seed": 1, **_SEED})
    Figures(path).add("seeds", {"seed": 2, **_SEED, "lost": 1})
    Figures(path).add("plain", {"seed": 1, **_SEED, "stuck": 7})
    found = json.loads(path.read_text())
    assert [(row["seed"], row["lost"], row["broken_builds_caught"]) for row in found["seeds"]] == [
        (1, 0, ["epoch"]),
        (2, 1, ["epoch"]),
    ]
    assert [line.split() for line in table(found).splitlines()[1:]] == [
        ["1", "10", "3", "0", "0", "0", "1"],
        ["2", "10", "3", "1", "0", "0", "1"],
        ["plain", "1", "10", "3", "0", "0", "7", "-"],
    ]

"""What Node installs is pinned by hashes, wherever it comes from."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parent


def test_every_package_has_a_hash_and_no_address() -> None:
    """Each locked package is known by its hash alone: the registry is that of whoever installs."""
    asked = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    locked = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    assert locked.pop("")["dependencies"] == asked
    assert set(asked) <= {name.rpartition("node_modules/")[2] for name in locked}
    assert all(one["integrity"].startswith("sha512-") for one in locked.values())
    assert not any("resolved" in one or one.get("hasInstallScript") for one in locked.values())
    assert all(locked[f"node_modules/{name}"]["version"] == version for name, version in asked.items())

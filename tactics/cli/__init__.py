"""The `tactics` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the entry point of the package. Exits 1 where only the library was installed."""
    try:
        from tactics.cli.app import app
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "tactics":
            raise
        sys.exit(
            f"the tactics command needs more than the library ({error.name} is missing): pip install 'tactics[server]'"
        )

    app(prog_name="tactics")

"""The `tactics` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the entry point of the package."""
    from tactics.cli.app import app

    app(prog_name="tactics")

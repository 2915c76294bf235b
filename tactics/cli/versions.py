"""What commands about versions have in common: their options, the list of versions, and a difference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tactics.cli.output import print_json, print_table

if TYPE_CHECKING:
    from tactics.flows.activity import Difference
    from tactics.store.versions import Version

OneVersion = Annotated[int | None, typer.Option("--version", metavar="N", min=1, help="Which version.")]
To = Annotated[
    int | None,
    typer.Option(
        "--to", metavar="N", min=1, help="The version to bring back; the one that was current before when left out."
    ),
]
Draft = Annotated[bool, typer.Option("--draft", help="Save new versions without making them current.")]
Before = Annotated[
    int | None, typer.Argument(metavar="A", min=1, help="The earlier version; what is current, or was before B.")
]
After = Annotated[
    int | None, typer.Argument(metavar="B", min=1, help="The later version; the newest draft, or what is current.")
]
Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="A folder, or - for standard output.")]


def print_versions(found: Sequence[Version], current: int | None, *, json: bool) -> None:
    """Print versions, newest first."""
    if json:
        print_json(
            [
                {
                    "version": one.version,
                    "state": one.state(current),
                    "saved_at": one.created_at.isoformat(),
                    "current_at": one.current_at and one.current_at.isoformat(),
                    "restores": one.restores,
                }
                for one in found
            ]
        )
        return
    print_table(
        ("version", "", "saved (UTC)", "became current (UTC)", "brings back"),
        (
            (
                one.version,
                one.state(current),
                f"{one.created_at:%Y-%m-%d %H:%M}",
                f"{one.current_at:%Y-%m-%d %H:%M}" if one.current_at else "never",
                one.restores,
            )
            for one in found
        ),
    )


def print_difference(found: Difference, *, json: bool) -> None:
    """Print what changed between two versions, one line a change."""
    if json:
        print_json([one.to_json() for one in found.changes])
        return
    typer.echo(f"# from version {found.before} to version {found.after}")
    for one in found.changes:
        typer.echo(one.line())
    if not found.changes:
        typer.echo("nothing differs")

"""`tactics retention`."""

from __future__ import annotations

from typing import Annotated

import typer

from tactics.cli.output import Json, print_json


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count; nothing is deleted.")] = False,
    json: Json = False,
) -> None:
    """Let go of what is older than TACTICS_KEEP_… say, as beat does once a day: see docs/how-to/audit-and-erase.md."""
    from tactics.cli import attach
    from tactics.flows.retention import retain

    found = retain(attach.app().runtime, dry_run=dry_run)
    if json:
        print_json(found.to_json())
        return
    would = "would be " if dry_run else ""
    for table, count in sorted(found.rows.items()):
        typer.echo(f"{table}: {count} rows {would}deleted")
    for month in found.months:
        typer.echo(f"{month} {would}dropped")
    if not found.rows and not found.months:
        typer.echo("nothing is old enough")
    for reason in found.kept:
        typer.echo(f"kept: {reason}")

"""`tactics parked …`."""

from __future__ import annotations

from typing import Annotated

import typer

from tactics.cli.output import Json, print_json, print_table
from tactics.errors import BadInput, NotFound

app = typer.Typer(no_args_is_help=True, help="What was given up on: see it, and try it once more.")


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """List parked events and executions, with the reason."""
    from tactics.cli import attach
    from tactics.flows.retry import list_parked

    found = list_parked(attach.app(), limit)
    if json:
        print_json(found)
    elif not found:
        typer.echo("nothing is parked")
    else:
        columns = ("kind", "id", "user_id", "about", "reason", "attempts", "since")
        print_table(columns, (tuple(row[name] for name in columns) for row in found))


@app.command()
def retry(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]…", help="As `tactics parked list` shows them; an event's in quotes."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is parked.")] = False,
    json: Json = False,
) -> None:
    """Try what is parked once more, when the cause is gone. What fails again is parked again."""
    from tactics.cli import attach
    from tactics.flows.retry import retry_parked

    if bool(ids) == everything:
        raise BadInput("say which to try: ids as `tactics parked list` shows them, or --all")
    count = retry_parked(attach.app(), None if everything else ids)
    if ids and count == 0:
        raise NotFound("none of these is parked: see `tactics parked list`")
    if json:
        print_json({"retried": count})
    else:
        typer.echo(f"{count} will be tried once more")

"""`tactics recall …`."""

from __future__ import annotations

from typing import Annotated

import typer

from tactics.cli.output import Json, print_json, print_table
from tactics.errors import NotFound

app = typer.Typer(no_args_is_help=True, help="Which items go together, learnt from what users did.")


@app.command()
def show(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item's id.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, most users in common first.")] = 20,
    json: Json = False,
) -> None:
    """Show what goes with an item: how many users acted on both, and the score that this makes.

    The score is between 0 and 1: the users in common, in relation to the users of each.
    """
    from tactics.cli import attach
    from tactics.flows.recall import what_goes_with

    found = what_goes_with(attach.runtime(), item, limit)
    more = "everything is being learnt anew" if found["rebuilding"] else "some actions are not counted yet"
    left = more if found["rebuilding"] or found["waiting"] else None
    if not found["users"]:
        raise NotFound(f"of no user is {item!r} among the latest items" + (f"; {left}" if left else ""), item=item)
    if json:
        print_json(found)
        return
    typer.echo(f"users with {item}: {found['users']}" + (f" ({left})" if left else ""))
    columns = ("item_id", "title", "users", "of_users", "score")
    print_table(columns, (tuple(row[name] for name in columns) for row in found["beside"]))


@app.command()
def rebuild(json: Json = False) -> None:
    """Forget what was learnt, and learn it anew from what users did.

    Nothing waits for it; until it has ended, fewer items are recalled. Interrupted, it goes on with the next learning.
    """
    from tactics.cli import attach
    from tactics.flows.recall import rebuild as learn_anew

    users = learn_anew(attach.runtime())
    if json:
        print_json({"users": users})
    else:
        typer.echo(f"learnt anew from {users} users")

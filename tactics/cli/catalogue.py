"""`tactics users|items|item-sets import`, and `tactics users erase`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tactics.cli.output import Json, print_json

File = Annotated[Path, typer.Argument(metavar="FILE", help="A .csv, .jsonl, .json or .yaml file.")]

users = typer.Typer(no_args_is_help=True, help="Users and their attributes.")
items = typer.Typer(no_args_is_help=True, help="The catalogue.")
item_sets = typer.Typer(no_args_is_help=True, help="Named sets of items.")


@users.callback()
@items.callback()
@item_sets.callback()
def _group() -> None:
    # A callback keeps the one command a subcommand: `users import`, not `users`.
    pass


@users.command("import")
def import_users(file: File, json: Json = False) -> None:
    """Import users: `user_id`, and every other column an attribute. All rows or none; known users are replaced.

    CSV cells are text, and empty ones are left out; a column headed `name:json` holds JSON, such as 42 or ["a", "b"].
    """
    from tactics.cli import attach, files
    from tactics.flows import setup

    found = files.rows(file, json_columns={"attributes"})
    _say(setup.import_users(attach.runtime(), found.content, where=found.where), "users", json=json)


@users.command("erase")
def erase_user(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    json: Json = False,
) -> None:
    """Delete a user's personal data; their grants go on under a random pseudonym, so that everything still adds up.

    What a shop put into its own ids of events or into coupon codes stays: see docs/how-to/audit-and-erase.md.
    """
    from tactics.cli import attach
    from tactics.flows.erasure import erase_user as erase

    found = erase(attach.app().runtime, user)
    if json:
        print_json(found.to_json())
        return
    for done, counts in (("deleted", found.deleted), ("under the pseudonym", found.moved)):
        typer.echo(f"{done}: {', '.join(f'{count} {table}' for table, count in counts.items() if count) or 'nothing'}")
    typer.echo(f"the pseudonym is {found.pseudonym}")


@items.command("import")
def import_items(file: File, json: Json = False) -> None:
    """Import items: `item_id, category, title, price_minor, currency, attributes`. All rows or none; known are replaced.

    In CSV, `price_minor` and `attributes` are read as JSON.
    """
    from tactics.cli import attach, files
    from tactics.flows import setup

    found = files.rows(file, json_columns={"attributes", "price_minor"})
    _say(setup.import_items(attach.runtime(), found.content, where=found.where), "items", json=json)


@item_sets.command("import")
def import_item_sets(file: File, json: Json = False) -> None:
    """Import item sets: rows of `item_set, item_id`, or a mapping of names to lists. Each set named is replaced whole."""
    from tactics.cli import attach, files
    from tactics.flows import setup

    found = files.rows(file)
    where = None if isinstance(found.content, dict) else found.where
    sizes = setup.import_item_sets(attach.runtime(), found.content, where=where)
    if json:
        print_json({"item_sets": sizes})
    else:
        for name, size in sizes.items():
            typer.echo(f"{name}: {size} items")


def _say(count: int, what: str, *, json: bool) -> None:
    if json:
        print_json({what: count})
    else:
        typer.echo(f"{count} {what} imported")

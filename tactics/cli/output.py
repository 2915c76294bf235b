"""What commands print: JSON for machines, tables and sentences for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from tactics.errors import TacticsError

_JSON = "tactics.json"


def _remember(ctx: typer.Context, value: bool) -> bool:
    ctx.meta[_JSON] = value
    return value


Json = Annotated[bool, typer.Option("--json", help="Print JSON, errors too.", callback=_remember)]
"""The `--json` flag; a command that has it gets its errors printed as JSON as well."""


def wants_json(ctx: typer.Context) -> bool:
    """Tell whether the command that runs was given `--json`."""
    return bool(ctx.meta.get(_JSON))


def print_json(value: object) -> None:
    """Print plain data as JSON; times and ids as text."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


WIDE = 240


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under their columns."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    # Ids are there to be copied: a narrow screen folds them, and cuts nothing off.
    table = Table(*[Column(name, overflow="fold") for name in columns], box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console = Console()
    # What is piped is read by programs and pasted by people: no line is broken.
    Console(width=None if console.is_terminal else WIDE).print(table)


def show_error(error: TacticsError, *, as_json: bool) -> None:
    """Print what went wrong: as JSON where results would be, else as text beside them."""
    if as_json:
        print_json({"error": error.to_json()})
    else:
        typer.echo(f"Error: {error.message}", err=True)

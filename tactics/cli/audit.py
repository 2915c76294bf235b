"""`tactics audit`."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from tactics.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from tactics.store.audit import Finding

WRONG = 1


def audit(
    rows: Annotated[int, typer.Option("--rows", min=0, help="Show at most so many rows of a check; all count.")] = 20,
    json: Json = False,
) -> None:
    """Work out again from the tables what must add up: stock, grants, assets, counts, limits, codes, attempts.

    Exit 0 when everything does; exit 1, with the offending rows, when something does not.
    """
    from tactics.cli import attach
    from tactics.store.audit import CHECKS
    from tactics.store.audit import audit as run
    from tactics.store.db import make_engine

    engine = make_engine(attach.database_url(), pool_size=1)
    try:
        with engine.connect() as conn:
            found = run(conn)
    finally:
        engine.dispose()
    counts = Counter(one.check for one in found)
    shown = _at_most(found, rows)
    if json:
        checks = [{"check": one.name, "must_hold": one.description, "rows": counts[one.name]} for one in CHECKS]
        print_json({"ok": not found, "checks": checks, "findings": [one.to_json() for one in shown]})
    else:
        print_table(
            ("check", "what must hold", "rows"), ((one.name, one.description, counts[one.name]) for one in CHECKS)
        )
        _say(shown, counts)
    if found:
        raise typer.Exit(WRONG)


def _at_most(found: list[Finding], rows: int) -> list[Finding]:
    return [one for _, same in groupby(found, key=lambda one: one.check) for one in list(same)[:rows]]


def _say(shown: list[Finding], counts: Counter[str]) -> None:
    for check, found in groupby(shown, key=lambda one: one.check):
        some = list(found)
        typer.echo(f"{check}: {counts[check]} rows")
        for one in some:
            typer.echo(f"  {one.text}")
            typer.echo("    " + ", ".join(f"{name}={value}" for name, value in one.row.items()))
        if len(some) < counts[check]:
            typer.echo(f"  … {counts[check] - len(some)} more: --rows {counts[check]}")
    typer.echo(f"{counts.total()} rows do not add up" if counts else "everything adds up")

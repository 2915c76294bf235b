"""`tactics stock …`."""

from __future__ import annotations

from typing import Annotated

import typer

from tactics.cli.output import Json, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="How much of a benefit there is, and giving it more.")

Activity = Annotated[str, typer.Argument(metavar="ACTIVITY", help="The activity's code.")]


@app.command("list")
def list_(activity: Activity, json: Json = False) -> None:
    """List the benefits of an activity with what is declared, added, given and left."""
    from tactics.cli import attach
    from tactics.flows.stock import stock_of

    found = stock_of(attach.runtime(), activity)
    if json:
        print_json([one.to_json() for one in found])
        return
    if not found:
        typer.echo("this activity has no benefits")
        return
    print_table(
        ("benefit", "kind", "declared", "added", "given or reserved", "left", "codes left"),
        (
            (
                one.benefit,
                one.kind or "no longer in the document",
                "unlimited" if one.declared is None else one.declared,
                one.added,
                one.taken,
                one.remaining,
                one.codes_left,
            )
            for one in found
        ),
    )


@app.command(context_settings={"ignore_unknown_options": True})  # else -5 is taken for an option
def add(
    activity: Activity,
    benefit: Annotated[str, typer.Argument(metavar="BENEFIT", help="The benefit's code.")],
    delta: Annotated[int, typer.Argument(metavar="DELTA", help="How many more; with a minus, how many fewer.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for people.")],
    key: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="An id of yours: the same again changes nothing.")
    ] = None,
    json: Json = False,
) -> None:
    """Add stock to a benefit, on top of what its document declares; or take back what nobody has got yet."""
    from tactics.cli import attach
    from tactics.flows.stock import move_stock

    moved = move_stock(attach.runtime(), activity, benefit, delta=delta, reason=reason, key=key)
    if json:
        print_json({"movement_id": str(moved.movement.id), "delta": delta, "remaining": moved.remaining})
    else:
        typer.echo(f"{activity}, {benefit}: {moved.remaining} left")

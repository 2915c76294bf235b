"""`tactics stock …`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tactics.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from tactics.flows.recount import Recounted

app = typer.Typer(no_args_is_help=True, help="How much of a benefit there is, giving it more, and counting it again.")
MISSING = 1

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


@app.command()
def recount(
    activity: Activity,
    benefit: Annotated[
        str | None, typer.Argument(metavar="[BENEFIT]", help="Only this benefit; else all, and the limits' counters.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit log.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be changed, and change nothing.")] = False,
    json: Json = False,
) -> None:
    """Make stock what was declared, moved and given adds up to, after a restored backup or a change by hand.

    Grants may go on meanwhile, and a second time changes nothing. Exit 1 where more was given than there was.
    """
    from tactics.cli import attach
    from tactics.flows.recount import recount_stock

    found = recount_stock(attach.runtime(), activity, benefit, reason=reason, dry_run=dry_run)
    if json:
        print_json([one.to_json() for one in found])
    else:
        _say_recounted(activity, found, dry_run=dry_run)
    if any(one.missing for one in found):
        raise typer.Exit(MISSING)


def _say_recounted(activity: str, found: Sequence[Recounted], *, dry_run: bool) -> None:
    if not found:
        typer.echo(f"{activity}: everything adds up already")
    for one in found:
        name = one.benefit if one.what == "stock" else f"counter {one.what}"
        was = "nothing" if one.before is None else one.before
        typer.echo(f"{activity}, {name}: {was}, {'would be' if dry_run else 'now'} {one.after}")
        if one.missing:
            typer.echo(
                f"  {one.missing} more are given than there were: if that stands, "
                f"`tactics stock add {activity} {one.benefit} {one.missing} --reason …`, then recount again"
            )

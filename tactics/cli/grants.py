"""`tactics grants list|show`; what changes grants is in `tactics.cli.grant_changes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tactics.cli.grant_options import Activity, Begin, End, Limit, Of, User, grant_id_of, wanted_of
from tactics.cli.grant_options import State as StateOption
from tactics.cli.output import Json, print_json, print_table

app = typer.Typer(
    no_args_is_help=True, help="Grants: what was given to whom, what is being settled; trying once more, giving up."
)


@app.command("list")
def list_(
    activity: Activity = None,
    user: User = None,
    state: StateOption = None,
    provider: Of = None,
    begin: Begin = None,
    end: End = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List grants, the newest first."""
    from tactics.cli import attach
    from tactics.flows.grant_batch import check_names
    from tactics.store import grant_listing

    wanted = wanted_of(activity, user, state, provider, begin, end)
    with attach.runtime().engine.connect() as conn:
        check_names(conn, wanted)
        found = grant_listing.listing(conn, wanted, limit=limit)
    if json:
        print_json(found)
        return
    if not found:
        typer.echo("there are no such grants")
        return
    print_table(
        ("grant", "activity", "user", "count", "state", "usable", "lines", "value", "granted for"),
        (
            (
                row["id"],
                row["activity_code"],
                row["user_id"],
                row["will_send_count"],
                row["state"],
                "yes" if row["usable"] else "no",
                len(row["lines"]),
                row["value_minor"],
                f"{row['business_at']:%Y-%m-%d %H:%M}",
            )
            for row in found
        ),
    )
    if len(found) == limit:
        typer.echo(f"the newest {limit}; --limit shows more")


@app.command()
def show(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id, from `grants list` or `explain`.")],
    json: Json = False,
) -> None:
    """Explain a grant: how it came about, what its provider was asked and answered, and what a retry would do."""
    from tactics.cli import attach
    from tactics.flows.grant_show import show_grant

    known = attach.app()
    found = show_grant(known.runtime, grant_id_of(grant))
    if json:
        print_json(found)
        return
    _say_grant(found)
    _say_settling(found)
    _say_cause(found)


def _say_grant(found: Mapping[str, Any]) -> None:
    retry = found["retry"]
    # A provider's refusal begins with the very word of the state.
    why = (found["reason"] or "").removeprefix(f"{found['state']}: ")
    typer.echo(f"{found['state']} since {found['since']}" + (f": {why}" if why else ""))
    typer.echo(f"a retry would deduct {retry['deducts']}: {retry['why']}\n")
    shown = {"lines", "assets", "attempts", "retry", "execution", "others", "outside", "since", "rule"}
    for name in (name for name in found if name not in shown and found[name] is not None):
        typer.echo(f"{name:>18}  {found[name]}")
    held = {one["line"]: one for one in found["assets"]}
    print_table(
        ("line", "kind", "benefit", "value", "asset", "status", "valid until", "details"),
        (
            (line["line"], line["kind"], line["benefit"], line["value_minor"], *_asset_cells(held.get(line["line"])))
            for line in found["lines"]
        ),
    )


def _asset_cells(one: dict[str, object] | None) -> tuple[object, ...]:
    if one is None:
        return ("none", "", "", "")
    return one["id"], one["status"], one["valid_until"], one["details"]


def _say_settling(found: Mapping[str, Any]) -> None:
    outside = found["outside"]
    if outside is None:
        return
    typer.echo(
        f"provider {outside['provider']}: calls that may have reached it: {outside['calls']}; next attempt: "
        f"{outside['next_attempt_at'] or 'none by itself'}"
    )
    if outside["held_back"]:
        typer.echo(f"the provider is {outside['held_back']}")
    if found["attempts"]:
        names = ("number", "kind", "started_at", "ms", "answer", "status_code", "text")
        print_table(names, (tuple(one[name] for name in names) for one in found["attempts"]))


def _say_cause(found: Mapping[str, Any]) -> None:
    execution, rule = found["execution"], found["rule"]
    if execution is not None:
        typer.echo(f"execution {execution['id']} on {execution['channel_code']}: {execution['outcome']}")
        print_table(
            ("step", "outcome", "ms"),
            ((part["step"], part["outcome"], part.get("ms")) for part in execution["trace"] or ()),
        )
    if rule is not None:
        typer.echo(f"the rule of version {rule['version']}, by what is known now:")
        for line in rule["lines"]:
            typer.echo(f"  {line}")
    if found["others"]:
        typer.echo("\nother activities of the same placement:")
        for one in found["others"]:
            typer.echo(
                f"  {one['activity']}: {one['outcome'] or 'not asked'}" + (f", {one['why']}" if one["why"] else "")
            )

"""`tactics grants …`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from tactics.cli.output import Json, print_json, print_table
from tactics.errors import BadInput, NotFound

app = typer.Typer(no_args_is_help=True, help="Grants: what was given to whom, and what is still being settled.")


class State(StrEnum):
    """What has become of a grant."""

    GRANTED = "granted"
    PENDING = "pending"
    UNKNOWN = "unknown"
    PARKED = "parked"
    REFUSED = "refused"


@app.command("list")
def list_(
    activity: Annotated[str | None, typer.Option("--activity", metavar="CODE", help="Only of this activity.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Only to this user.")] = None,
    state: Annotated[State | None, typer.Option("--state", help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """List grants, the newest first."""
    from tactics.cli import attach
    from tactics.store import activities, grants

    with attach.runtime().engine.connect() as conn:
        if activity is not None:
            activities.current(conn, activity)
        found = grants.of_activity(conn, activity_code=activity, user_id=user, state=state and state.value, limit=limit)
    if json:
        print_json([asdict(row) for row in found])
        return
    if not found:
        typer.echo("there are no such grants")
        return
    print_table(
        ("grant", "activity", "user", "count", "state", "usable", "lines", "value", "granted for"),
        (
            (
                row.id,
                row.activity_code,
                row.user_id,
                row.will_send_count,
                row.state,
                "yes" if row.usable else "no",
                len(row.lines),
                row.value_minor,
                f"{row.business_at:%Y-%m-%d %H:%M}",
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
    """Show a grant with its lines and assets."""
    from tactics.cli import attach
    from tactics.store import history

    try:
        grant_id = UUID(grant)
    except ValueError:
        raise BadInput(f"{grant!r} is no id of a grant, such as 0b6f4c1e-…; `tactics grants list` shows them") from None
    with attach.runtime().engine.connect() as conn:
        found = history.grant_of(conn, grant_id)
    if found is None:
        raise NotFound(f"there is no grant {grant_id}; `tactics grants list` shows those there are", grant=grant)
    if json:
        print_json(found)
        return
    names = [name for name in found if name not in {"lines", "assets"} and found[name] is not None]
    for name in names:
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

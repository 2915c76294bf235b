"""`tactics keys …`. No command takes a secret: what is typed can be read in a history and in lists of processes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from tactics.cli.output import Json, print_json, print_table

Id = Annotated[str, typer.Argument(metavar="ID", help="A key's id: what stands between tk_ and the next _.")]

app = typer.Typer(no_args_is_help=True, help="API keys: who may call the API, and for what.")


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", help="What it is for, or whose it is; for people.")],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            help="What it may do; give it again for each: events:write, placements:call, activities:edit,"
            " activities:publish, grants:operate, audit:read.",
        ),
    ],
    rate: Annotated[
        float | None, typer.Option("--rate", help="At most so many requests a second. Default: no limit.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option("--burst", help="So many may come at once. Default: a second's worth of --rate.")
    ] = None,
    expires_in: Annotated[
        str | None,
        typer.Option("--expires-in", help="How long it is valid, as 90d, 12h or 30m. Default: until revoked."),
    ] = None,
    signed: Annotated[bool, typer.Option("--signed", help="Its requests have to carry a signature.")] = False,
    json: Json = False,
) -> None:
    """Make a key, and show it this once; only its hash is stored.

    Standard output has the key alone, and below it the secret to sign with, if there is one.
    """
    from tactics.cli import attach
    from tactics.domain.api_key import NewApiKey, parse_lifetime
    from tactics.flows import api_key

    lifetime = None if expires_in is None else parse_lifetime(expires_in)
    wanted = NewApiKey(name, tuple(dict.fromkeys(scope)), rate, burst, lifetime, signed)
    made = api_key.create(attach.runtime(), wanted)
    if json:
        print_json({"key": made.key, "signing_secret": made.signing_secret, **_plain(made.stored)})
        return
    typer.echo(made.key)
    if made.signing_secret is not None:
        typer.echo(made.signing_secret)
    told = (
        "This key, and the secret to sign with below it, are shown once: store them well."
        if made.signing_secret is not None
        else "This key is shown once: store it well."
    )
    typer.echo(f"{told} Revoke with `tactics keys revoke {made.id}`.", err=True)
    if made.first:
        typer.echo("It is the first one: from now on every caller of the API needs a key, here too.", err=True)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the keys, newest first, without their secrets."""
    from tactics.cli import attach
    from tactics.flows.api_key import described
    from tactics.store import api_keys

    with attach.runtime().engine.connect() as conn:
        found = [_plain(described(row)) for row in api_keys.listing(conn)]
    if json:
        print_json(found)
        return
    if not found:
        typer.echo("there are no API keys: the API answers every program on this machine (`tactics keys create`)")
        return
    print_table(
        ("id", "name", "", "scopes", "per second", "signed", "created", "last used", "expires"),
        (
            (
                one["id"],
                one["name"],
                one["state"],
                " ".join(one["scopes"]),
                "" if one["rate_per_s"] is None else f"{one['rate_per_s']:g}, burst {one['burst']}",
                "rotating" if one["rotating"] else "yes" if one["signed"] else "",
                *(_minute(one[when]) for when in ("created_at", "last_used_at", "expires_at")),
            )
            for one in found
        ),
    )


@app.command()
def revoke(key_id: Id, json: Json = False) -> None:
    """Revoke a key, for good; every process refuses it within 5 seconds."""
    from tactics.cli import attach
    from tactics.flows import api_key

    changed = api_key.revoke(attach.runtime(), key_id)
    if json:
        print_json({"id": key_id, "state": "revoked", "changed": changed})
    else:
        typer.echo(f"key {key_id} is {'now' if changed else 'already'} revoked")


@app.command("rotate-signing")
def rotate_signing(key_id: Id, json: Json = False) -> None:
    """Give a key a new signing secret, and show it this once; the one before stays valid until `end-rotation`."""
    from tactics.cli import attach
    from tactics.flows import api_key

    secret = api_key.begin_rotation(attach.runtime(), key_id)
    if json:
        print_json({"id": key_id, "signing_secret": secret})
        return
    typer.echo(secret)
    typer.echo(
        f"Shown once. The one before stays valid until `tactics keys end-rotation {key_id}`: sign with this one first.",
        err=True,
    )


@app.command("end-rotation")
def end_rotation(key_id: Id, json: Json = False) -> None:
    """Let only the newest signing secret of a key be valid."""
    from tactics.cli import attach
    from tactics.flows import api_key

    changed = api_key.end_rotation(attach.runtime(), key_id)
    if json:
        print_json({"id": key_id, "changed": changed})
    else:
        typer.echo(f"only the newest signing secret of key {key_id} is {'now' if changed else 'already'} valid")


def _plain(stored: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in stored.items()}
    return {**{name: value for name, value in shown.items() if name != "signing_secrets"}, "state": _state(stored)}


def _state(stored: dict[str, Any]) -> str:
    if stored["revoked_at"] is not None:
        return "revoked"
    expires_at = stored["expires_at"]
    return "expired" if expires_at is not None and expires_at <= datetime.now(UTC) else "active"


def _minute(time: str | None) -> str:
    return "" if time is None else time[:16].replace("T", " ")

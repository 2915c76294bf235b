"""`tactics providers …`. No command takes a secret: what is typed can be read in a history and in lists of processes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tactics.cli.output import Json, print_json, print_table

Name = Annotated[str, typer.Argument(metavar="NAME", help="The provider's name, as benefits of activities have it.")]

app = typer.Typer(no_args_is_help=True, help="Outside benefit systems, which give what activities name them for.")


@app.command("list")
def list_(json: Json = False) -> None:
    """List the providers, by name."""
    from tactics.cli import attach
    from tactics.flows import provider
    from tactics.store import providers

    with attach.runtime().engine.connect() as conn:
        found = [provider.shown(one) for one in providers.listing(conn)]
    if json:
        print_json(found)
        return
    if not found:
        typer.echo("there are no outside providers yet: `tactics providers set NAME --url URL`")
        return
    print_table(
        ("name", "", "url", "asked by id", "listed", "idempotent", "remembers", "signed"),
        (
            (
                one["name"],
                "" if one["enabled"] else "disabled",
                one["url"],
                _yes(one["look_up_url"]),
                _yes(one["list_url"]),
                _yes(one["idempotent"]),
                f"{one['remembers_s']} s",
                _yes(one["signing_secrets"]),
            )
            for one in found
        ),
    )


@app.command()
def show(name: Name, json: Json = False) -> None:
    """Show a provider, without its secrets."""
    from tactics.cli import attach
    from tactics.flows import provider

    runtime = attach.runtime()
    with runtime.engine.connect() as conn:
        found = provider.shown(provider.found(conn, name))
    found["held_back"] = provider.held_back_said(provider.held_back(runtime, name))
    if json:
        print_json(found)
        return
    for key, value in found.items():
        typer.echo(f"{key}: {_said(value)}" if key != "held_back" else f"calls: {value or 'not held back'}")


@app.command("set")
def set_(
    name: Name,
    url: Annotated[str | None, typer.Option("--url", help="Where grants are asked for, by POST.")] = None,
    look_up_url: Annotated[
        str | None,
        typer.Option(help="Where a grant is asked about, by GET, with {idempotency_id} in it. Empty: nowhere."),
    ] = None,
    list_url: Annotated[str | None, typer.Option(help="Where its grants are listed, by GET. Empty: nowhere.")] = None,
    idempotent: Annotated[
        bool | None,
        typer.Option(
            "--idempotent/--not-idempotent",
            help="Whether a call repeated under its id has no second effect; if not, it is called once.",
        ),
    ] = None,
    remembers_s: Annotated[
        int | None, typer.Option(help="For so many seconds it knows an id. New ones: 86400.")
    ] = None,
    timeout_ms: Annotated[int | None, typer.Option(help="How long a call may take. New ones: 5000.")] = None,
    max_concurrency: Annotated[int | None, typer.Option(help="At most so many calls at a time. New ones: 8.")] = None,
    enabled: Annotated[
        bool | None,
        typer.Option("--enabled/--disabled", help="Whether it is called; if not, its grants wait."),
    ] = None,
    new_secret: Annotated[
        bool,
        typer.Option(
            "--new-secret",
            help="Make a signing secret, shown this once; calls are signed by it, and by the one before.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Set up a provider, or change what is named of one. Only addresses that the settings allow can be set."""
    from tactics.cli import attach
    from tactics.flows import provider

    runtime = attach.runtime()
    said: dict[str, Any] = {
        "url": url,
        "look_up_url": look_up_url,
        "list_url": list_url,
        "idempotent": idempotent,
        "remembers_s": remembers_s,
        "timeout_ms": timeout_ms,
        "max_concurrency": max_concurrency,
        "enabled": enabled,
    }
    changes = {key: value for key, value in said.items() if value is not None}
    # Empty is how a person says that there is none.
    changes.update({key: None for key in ("look_up_url", "list_url") if said[key] == ""})
    saved = provider.change(runtime, name, changes)
    secret = provider.rotate_secret(runtime, name) if new_secret else None
    if json:
        told = {**provider.shown(saved.provider), "change": saved.change}
        count = min(told["signing_secrets"] + 1, provider.MOST_SECRETS) if secret else told["signing_secrets"]
        print_json({**told, "signing_secrets": count, **({"signing_secret": secret} if secret else {})})
        return
    done = ([] if secret and saved.change == "unchanged" else [saved.change]) + (["new secret"] if secret else [])
    typer.echo(f"provider {name}: {', '.join(done)}", err=secret is not None)
    if saved.change == "new":
        typer.echo(f"`tactics providers test {name}` tries its addresses", err=secret is not None)
    if secret is not None:
        typer.echo(secret)
        beside = " The one before goes on signing beside it." if saved.provider.signing_secrets else ""
        typer.echo(f"Shown once: give it to the provider.{beside}", err=True)


@app.command()
def remove(name: Name, json: Json = False) -> None:
    """Remove a provider that no live activity names and that has settled all its grants."""
    from tactics.cli import attach
    from tactics.flows import provider

    provider.remove(attach.runtime(), name)
    if json:
        print_json({"name": name, "change": "removed"})
    else:
        typer.echo(f"provider {name} is removed")


@app.command("test")
def try_out(name: Name, json: Json = False) -> None:
    """Call a provider without asking for any grant, and say what each of its addresses did. Exit code 1: one failed."""
    from tactics.cli import attach
    from tactics.flows import provider

    runtime = attach.runtime()
    seen = provider.try_out(runtime, name)
    if json:
        print_json([one.to_json() for one in seen])
    else:
        for one in seen:
            typer.echo(f"{one.what}: {'' if one.ok is None else 'good: ' if one.ok else 'FAILED: '}{one.text}")
        held = provider.held_back_said(provider.held_back(runtime, name))
        if held is not None:
            typer.echo(f"calls: {held}: the workers call it no sooner")
    if any(one.ok is False for one in seen):
        raise typer.Exit(1)


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _said(value: object) -> str:
    return "none" if value is None else _yes(value) if isinstance(value, bool) else str(value)

"""`tactics chain …`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tactics.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from tactics.store.chains import StoredChain


class _Link(Enum):
    prepare = "prepare"
    grant = "grant"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The chain's name.")]

app = typer.Typer(no_args_is_help=True, help="Stored chains: the steps of a template, edited at run time.")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="YAML or JSON files of chains.")],
    json: Json = False,
) -> None:
    """Save chains, all of them or none; what says nothing new changes nothing. New ones are enabled.

    What begins from now on runs them, without a restart; what has begun ends as it began.
    """
    from tactics.cli import attach
    from tactics.cli.files import documents
    from tactics.flows import chain

    found, names = documents(files)
    results = chain.import_chains(attach.app(), found, where=lambda index: names[index])
    if json:
        print_json([result.to_json() for result in results])
        return
    for result in results:
        state = "enabled" if result.enabled else "disabled"
        typer.echo(f"chain {result.chain}: {result.change}, version {result.version}, {state}")
        for note in result.notes:
            typer.echo(f"  note: {note}")


@app.command("list")
def list_(json: Json = False) -> None:
    """List the stored chains, each with what it is for."""
    from tactics.cli import attach
    from tactics.store import chains

    with attach.runtime().engine.connect() as conn:
        found = chains.listing(conn)
    if json:
        print_json([_plain(one) for one in found])
        return
    if not found:
        typer.echo("there are no stored chains: every link runs its template's own (`tactics chain import FILE`)")
        return
    print_table(
        ("chain", "version", "", "template", "link", "channel codes", "steps"),
        (
            (
                one.name,
                one.version,
                _state(one),
                one.document.template_type,
                one.document.link,
                " ".join(one.document.channel_codes or ["(all others)"]),
                len(one.document.steps),
            )
            for one in found
        ),
    )


@app.command()
def show(
    name: Name,
    version: Annotated[int | None, typer.Option("--version", min=1, help="An earlier version.")] = None,
    json: Json = False,
) -> None:
    """Show a stored chain as it could be imported again."""
    import yaml

    from tactics.cli import attach
    from tactics.store import chains

    with attach.runtime().engine.connect() as conn:
        found = chains.find(conn, name, version)
    if json:
        print_json(_plain(found))
        return
    saved = f"{found.created_at:%Y-%m-%d %H:%M} UTC"
    typer.echo(f"# version {found.version} of {found.current_version}, saved {saved}; {_state(found)}")
    typer.echo(yaml.safe_dump(found.document.to_json(), allow_unicode=True, sort_keys=False).rstrip())


@app.command()
def now(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="A template's type.")],
    link: Annotated[_Link, typer.Argument(help="Which journey.")],
    channel: Annotated[
        str,
        typer.Option("--channel", metavar="CODE", help="For this channel code; any that no chain names when left out."),
    ] = "",
    json: Json = False,
) -> None:
    """Show which chain would run now, as a document to begin with: the template's own, or a stored one."""
    import yaml

    from tactics.cli import attach
    from tactics.flows import chain

    origin, found = chain.chain_now(attach.app(), template, link.value, channel)
    if json:
        print_json({"origin": origin, "chain": found.to_json()})
        return
    typer.echo(f"# {origin}")
    typer.echo(yaml.safe_dump(found.to_json(), allow_unicode=True, sort_keys=False).rstrip())


@app.command()
def steps(json: Json = False) -> None:
    """List the steps that chains can have, those of plugins too."""
    from tactics.cli import attach

    found = [
        {
            "step": one.name,
            "needs": one.needs.__name__,
            "link": one.link,
            "after": list(one.after),
            "queue": one.options.get("queue"),
        }
        for _, one in sorted(attach.app().processors.items())
    ]
    if json:
        print_json(found)
        return
    print_table(
        ("step", "needs", "only in", "after", "queue of its own"),
        ((one["step"], one["needs"], one["link"], " ".join(one["after"]), one["queue"]) for one in found),
    )


@app.command()
def disable(name: Name, json: Json = False) -> None:
    """Disable a chain: what begins runs the template's own, or a stored one for all channel codes."""
    from tactics.cli import attach
    from tactics.flows import chain

    _say(name, "disabled", changed=chain.disable_chain(attach.runtime(), name), json=json)


@app.command()
def enable(name: Name, json: Json = False) -> None:
    """Enable a chain that was disabled, in its current version; it is checked again."""
    from tactics.cli import attach
    from tactics.flows import chain

    _say(name, "enabled", changed=chain.enable_chain(attach.app(), name), json=json)


def _say(name: str, state: str, *, changed: bool, json: bool) -> None:
    if json:
        print_json({"chain": name, "status": state, "changed": changed})
    else:
        typer.echo(f"chain {name} is {'now' if changed else 'already'} {state}")


def _state(one: StoredChain) -> str:
    return "enabled" if one.enabled else "disabled"


def _plain(one: StoredChain) -> dict[str, object]:
    return {
        "version": one.version,
        "current_version": one.current_version,
        "enabled": one.enabled,
        "saved_at": one.created_at.isoformat(),
        "chain": one.document.to_json(),
    }

"""`tactics play …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tactics.cli.output import Json, print_json, print_table
from tactics.cli.versions import After, Before, Draft, OneVersion, Out, To, print_difference, print_versions

if TYPE_CHECKING:
    from tactics.store.plays import SavedPlay

Code = Annotated[str, typer.Argument(metavar="CODE", help="The play's code.")]
Codes = Annotated[list[str] | None, typer.Argument(metavar="[CODE]...", help="The codes; all when there are none.")]

app = typer.Typer(no_args_is_help=True, help="Plays and tools: what activities are made from without code.")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="YAML or JSON files of plays.")],
    draft: Draft = False,
    json: Json = False,
) -> None:
    """Save plays, all of them or none; what says nothing new changes nothing. Activities that there are stay as they are.

    A file may hold several YAML documents or a list.
    """
    from tactics.cli import attach
    from tactics.cli.activity import warn_of_templates
    from tactics.cli.files import documents
    from tactics.flows import play

    plugins = attach.plugins()
    found, names = documents(files)
    results = play.import_plays(attach.runtime(), found, draft=draft, where=lambda index: names[index])
    if json:
        print_json([result.to_json() for result in results])
        return
    for result in results:
        typer.echo(f"play {result.play}: {result.change}, version {result.version}{', draft' if result.draft else ''}")
        for note in result.notes:
            typer.echo(f"  note: {note}")
        if result.draft:
            typer.echo(f"  nothing is made from it yet: `tactics play publish {result.play}`")
    warn_of_templates(found, plugins)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the plays, each with how many activities were made from it."""
    from tactics.cli import attach
    from tactics.store import plays

    with attach.runtime().engine.connect() as conn:
        found = plays.listing(conn)
    if json:
        print_json([dict(row._mapping) for row in found])  # noqa: SLF001  # SQLAlchemy's documented name
        return
    if not found:
        typer.echo("there are no plays yet: `tactics play import FILE`")
        return
    print_table(
        ("code", "version", "", "title", "activities"),
        (
            (row.code, row.version or "draft", "tool" if row.is_tool else "play", row.title, row.activities)
            for row in found
        ),
    )


@app.command()
def show(code: Code, version: OneVersion = None, json: Json = False) -> None:
    """Show a play as it could be imported again, and the activities that were made from it."""
    from tactics.cli import attach, yaml_out
    from tactics.flows.play import play_document
    from tactics.store import plays

    with attach.runtime().engine.connect() as conn:
        found = plays.find(conn, code, version)
        current = plays.current(conn, code)
        made = plays.made_from(conn, code)
    if json:
        activities = [
            {"activity": name, "play_version": number, "status": status, "older": number < (current or 0)}
            for name, number, status in made
        ]
        print_json({"current_version": current, "play": play_document(found), "activities": activities})
        return
    state = f"version {current} is current" if current else "a draft"
    typer.echo(f"# {'tool' if found.is_tool else 'play'} {code}, version {found.version}; {state}")
    for name, number, status in made:
        older = f", older than version {current}" if number < (current or 0) else ""
        typer.echo(f"# activity {name} ({status}): version {number}{older}")
    typer.echo(yaml_out.dump(play_document(found)))


@app.command()
def form(code: Code, version: OneVersion = None) -> None:
    """Print the form of a play's parameters: a JSON Schema (draft 2020-12)."""
    from tactics.cli import attach
    from tactics.store import plays

    with attach.runtime().engine.connect() as conn:
        print_json(plays.find(conn, code, version).parameters)


@app.command()
def versions(code: Code, json: Json = False) -> None:
    """List a play's versions, newest first: current, drafts, earlier ones, and drafts that were passed over."""
    from tactics.cli import attach
    from tactics.store import plays
    from tactics.store import versions as stored

    with attach.runtime().engine.connect() as conn:
        current = plays.current(conn, code)
        found = stored.listing(conn, stored.PLAY, code)
    print_versions(found, current, json=json)


@app.command()
def diff(code: Code, before: Before = None, after: After = None, json: Json = False) -> None:
    """Show what two versions say differently: what is current and the newest draft, or what is current and was before.

    A line is a part of the document: + is new, - is gone, ~ has another value.
    """
    from tactics.cli import attach
    from tactics.flows import play

    print_difference(play.compare_plays(attach.runtime(), code, before, after), json=json)


@app.command()
def publish(code: Code, version: OneVersion = None, json: Json = False) -> None:
    """Make a draft current, the newest if none is named: new activities are made from it. Others stay as they are."""
    from tactics.cli import attach
    from tactics.flows import play

    _say(code, "is current", play.publish_play(attach.runtime(), code, version), json=json)


@app.command()
def rollback(code: Code, to: To = None, json: Json = False) -> None:
    """Bring an earlier version back: a new version that says the same is current at once. Activities stay as they are."""
    from tactics.cli import attach
    from tactics.flows import play

    _say(code, "is rolled back", play.roll_back_play(attach.runtime(), code, to), json=json)


@app.command()
def export(codes: Codes = None, out: Out = Path("-")) -> None:
    """Write plays as YAML that can be imported again and then changes nothing; a file each in a folder.

    Beside the current version these are the earlier ones that activities were made from.
    """
    from tactics.cli import attach, yaml_out
    from tactics.flows import play

    found = play.export_plays(attach.runtime(), codes or ())
    names = list(dict.fromkeys(str(one["code"]) for one in found))
    yaml_out.write([(name, [one for one in found if one["code"] == name]) for name in names], out)


def _say(code: str, what: str, saved: SavedPlay, *, json: bool) -> None:
    changed = saved.change != "unchanged"
    if json:
        print_json({"play": code, "version": saved.version, "changed": changed, "notes": saved.notes})
        return
    typer.echo(f"play {code} {what if changed else 'says that already'}: version {saved.version}")
    for note in saved.notes:
        typer.echo(f"  note: {note}")

"""`tactics activity …`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tactics.cli import activity_versions
from tactics.cli.output import Json, print_json, print_table
from tactics.cli.versions import Draft

if TYPE_CHECKING:
    from tactics.flows.setup import Imported
    from tactics.plugin import Plugin

Code = Annotated[str, typer.Argument(metavar="CODE", help="The activity's code.")]

app = typer.Typer(no_args_is_help=True, help="Activities: what is offered, to whom, when and how much of it.")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="YAML or JSON files of activities.")],
    publish: Annotated[bool, typer.Option("--publish", help="Make the activities live at once.")] = False,
    draft: Draft = False,
    json: Json = False,
) -> None:
    """Import activities, all of them or none; what says nothing new changes nothing. New ones are drafts.

    A new version is current at once, unless it is a --draft. A file may hold several YAML documents or a list. A
    document with only `behaviour_rules:` defines just these.
    """
    from tactics.cli import attach
    from tactics.cli.files import documents
    from tactics.flows import setup

    plugins = attach.plugins()
    found, names = documents(files)
    results = setup.import_activities(
        attach.runtime(),
        found,
        publish=publish,
        draft=draft,
        where=lambda index, path: names[index] + (path and f", {path}"),
    )
    if json:
        print_json([result.to_json() for result in results])
        return
    for result in results:
        _say(result)
    warn_of_templates(found, plugins)


def warn_of_templates(found: Sequence[object], plugins: Sequence[Plugin]) -> None:
    """Say which templates only other processes can know: a play of one's own, or a slip of the pen."""
    from tactics.templates import TEMPLATES

    declared = [*TEMPLATES, *(template for plugin in plugins for template in plugin.templates)]
    known = [template.template_type for template in declared]
    asked = {str(one["template_type"]) for one in found if isinstance(one, dict) and "template_type" in one}
    for name in sorted(asked - set(known)):
        typer.echo(
            f"Warning: template {name!r} is not known here (known are {', '.join(known)}): "
            "every worker and every process that calls placements must load its plugin.",
            err=True,
        )


def _say(result: Imported) -> None:
    status = f", {result.status}" if result.status and not result.draft else ""
    status += " as a draft" if result.draft else ""
    typer.echo(f"{result.kind.replace('_', ' ')} {result.name}: {result.change}, version {result.version}{status}")
    for note in result.notes:
        typer.echo(f"  note: {note}")
    if result.draft:
        typer.echo(f"  it is not current yet: `tactics activity publish {result.name} --version {result.version}`")
    elif result.status == "draft":
        typer.echo(f"  it does not run yet: `tactics activity publish {result.name}`")


@app.command("list")
def list_(json: Json = False) -> None:
    """List the activities, each with version, status, schedule (UTC) and channels; one that paused itself is `tripped`."""
    from tactics.cli import attach
    from tactics.store import activities

    with attach.runtime().engine.connect() as conn:
        found = activities.listing(conn)
    if json:
        print_json([dict(row._mapping) for row in found])  # noqa: SLF001  # SQLAlchemy's documented name
        return
    if not found:
        typer.echo("there are no activities yet: `tactics activity import FILE`")
        return
    print_table(
        ("code", "version", "status", "template", "priority", "from", "to", "prepare", "grant"),
        (
            (
                row.code,
                row.version,
                row.status if row.tripped_at is None else "paused (tripped)",
                row.template_type,
                row.priority,
                f"{row.starts_at:%Y-%m-%d %H:%M}",
                f"{row.ends_at:%Y-%m-%d %H:%M}",
                " ".join(row.prepare),
                " ".join(row.grant),
            )
            for row in found
        ),
    )


@app.command()
def show(
    code: Code,
    version: Annotated[int | None, typer.Option("--version", min=1, help="An earlier version, or a draft.")] = None,
    json: Json = False,
) -> None:
    """Show an activity: status, stock, the play it is from, and its document as it could be imported again."""
    from tactics.cli import attach, yaml_out
    from tactics.flows import activity
    from tactics.store import activities, stock, versions

    with attach.runtime().engine.connect() as conn:
        row = activities.current(conn, code)
        shown = version or row.version
        definition = activities.definition(conn, code, shown)
        document = activity.document(conn, code, shown)
        draft = versions.newest_draft(conn, versions.ACTIVITY, code, row.version)
        benefits = [dict(one._mapping) for one in stock.of_activity(conn, code)]  # noqa: SLF001  # as above
    tripped = {"tripped_at": row.tripped_at, "tripped_reason": row.tripped_reason}
    state = {"status": row.status, **tripped, "version": shown, "current_version": row.version, "newest_draft": draft}
    if json:
        made = {"play": definition["play"], "rule": definition["rule"]} if "play" in definition else {}
        print_json({**state, "stock": benefits, "activity": document, **made})
        return
    if shown > row.version:
        typer.echo(f"# {code}, version {shown}, a draft; version {row.version} is current, {row.status}")
    else:
        typer.echo(f"# {code}, version {shown} of {row.version}, {row.status}")
    if row.tripped_at is not None:
        typer.echo(f"# it paused itself at {row.tripped_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z: {row.tripped_reason}")
        typer.echo(f"# `tactics activity resume {code}` lets it run again, and what waits for it")
    if draft and draft != shown:
        typer.echo(f"# version {draft} is a draft: `tactics activity diff {code}`")
    if "play" in definition:
        typer.echo(f"# from play {definition['play']['code']}, version {definition['play']['version']}")
    for one in benefits:
        total = "unlimited" if one["stock_initial"] is None else f"{one['stock_initial'] + one['moved']}"
        left = "" if one["remaining"] is None else f", {one['remaining']} left"
        typer.echo(f"# stock of {one['code']}: {total}{left}")
    typer.echo(yaml_out.dump(document))


@app.command()
def publish(
    code: Code,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="The draft, or the current version.")
    ] = None,
    json: Json = False,
) -> None:
    """Make an activity live, in its newest draft if it has one: from then on it runs within its schedule.

    A paused activity with a draft needs --version, which says whether the draft is to run.
    """
    from tactics.cli import attach
    from tactics.flows import activity

    attach.plugins()
    saved = activity.publish(attach.runtime(), code, version)
    changed = saved.change != "unchanged"
    if json:
        print_json(
            {
                "activity": code,
                "status": "live",
                "changed": changed,
                "version": saved.version,
                "notes": saved.notes,
            }
        )
        return
    in_version = f", version {saved.version}" if saved.version > 1 else ""
    typer.echo(f"activity {code} is {'now' if changed else 'already'} live{in_version}")
    for note in saved.notes:
        typer.echo(f"  note: {note}")


@app.command()
def pause(code: Code, json: Json = False) -> None:
    """Pause a live activity: nothing new starts until it is resumed, or published again."""
    from tactics.cli import attach
    from tactics.flows import setup

    changed = setup.pause(attach.runtime(), code)
    if json:
        print_json({"activity": code, "status": "paused", "changed": changed})
    else:
        typer.echo(f"activity {code} is {'now' if changed else 'already'} paused")


@app.command()
def resume(code: Code, json: Json = False) -> None:
    """Let a paused activity run again in its current version, and with it what waited for it if it had paused itself."""
    from tactics.cli import attach
    from tactics.flows import resume as flow

    saved = flow.resume(attach.app(), code)
    changed = saved.change != "unchanged"
    if json:
        print_json({"activity": code, "status": "live", "changed": changed, "version": saved.version})
    else:
        typer.echo(f"activity {code} is {'now' if changed else 'already'} live, version {saved.version}")


app.command("rollback")(activity_versions.rollback)
app.command("versions")(activity_versions.versions)
app.command("diff")(activity_versions.diff)
app.command("export")(activity_versions.export)
app.command("dry-run")(activity_versions.dry_run)

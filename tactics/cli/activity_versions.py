"""`tactics activity versions|diff|rollback|export|dry-run`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tactics.cli.output import Json, print_json
from tactics.cli.versions import After, Before, OneVersion, Out, To, print_difference, print_versions
from tactics.errors import BadInput

if TYPE_CHECKING:
    from tactics.flows.dry_run import DryRun

Code = Annotated[str, typer.Argument(metavar="CODE", help="The activity's code.")]
Codes = Annotated[list[str] | None, typer.Argument(metavar="[CODE]...", help="The codes; all when there are none.")]

_FILES = (".yaml", ".yml", ".json")


def versions(code: Code, json: Json = False) -> None:
    """List an activity's versions, newest first: current, drafts, earlier ones, and drafts that were passed over."""
    from tactics.cli import attach
    from tactics.store import activities
    from tactics.store import versions as stored

    with attach.runtime().engine.connect() as conn:
        current = activities.current(conn, code).version
        found = stored.listing(conn, stored.ACTIVITY, code)
    print_versions(found, current, json=json)


def diff(code: Code, before: Before = None, after: After = None, json: Json = False) -> None:
    """Show what two versions say differently: what is current and the newest draft, or what is current and was before.

    A line is a part of the document: + is new, - is gone, ~ has another value.
    """
    from tactics.cli import attach
    from tactics.flows import activity

    print_difference(activity.compare(attach.runtime(), code, before, after), json=json)


def rollback(code: Code, to: To = None, json: Json = False) -> None:
    """Bring an earlier version back: a new version that says the same is current at once. The status stays.

    Without --to each rollback goes one version further back. What has begun ends under its own version.
    """
    from tactics.cli import attach
    from tactics.flows import activity

    attach.plugins()
    saved = activity.roll_back(attach.runtime(), code, to)
    if json:
        print_json(
            {
                "activity": code,
                "version": saved.version,
                "status": saved.status,
                "changed": saved.change != "unchanged",
                "notes": saved.notes,
            }
        )
        return
    if saved.change == "unchanged":
        typer.echo(f"activity {code} says that already: version {saved.version}, {saved.status}")
        return
    typer.echo(f"activity {code} is rolled back: version {saved.version} is current, {saved.status}")
    for note in saved.notes:
        typer.echo(f"  note: {note}")


def export(codes: Codes = None, out: Out = Path("-")) -> None:
    """Write the current versions as YAML that can be imported again and then changes nothing; a file each in a folder."""
    from tactics.cli import attach, yaml_out
    from tactics.flows import activity

    found = activity.export(attach.runtime(), codes or ())
    yaml_out.write([(str(one["code"]), [one]) for one in found], out)


def dry_run(
    activity: Annotated[str, typer.Argument(metavar="CODE|FILE", help="An activity's code, or a file (.yaml, .json).")],
    facts: Annotated[
        Path, typer.Argument(metavar="FACTS", help="The facts, a JSON or YAML file; - for standard input.")
    ],
    version: OneVersion = None,
    json: Json = False,
) -> None:
    """Show what an activity would do with these facts; nothing is granted, written or counted.

    Without --version it is the newest draft, or else what is current. Nothing is loaded for a user: the facts say all.
    """
    from tactics.cli import attach
    from tactics.flows import dry_run as flow

    attach.plugins()
    given = _one(facts, "facts")
    if activity.endswith(_FILES) or os.sep in activity:
        if version is not None:
            raise BadInput("--version is of a saved activity, not of a file")
        found = flow.dry_run_document(attach.runtime(), _one(Path(activity), "activity"), given, where=activity)
    else:
        found = flow.dry_run(attach.runtime(), activity, given, version)
    if json:
        print_json(found.to_json())
    else:
        _show(found)


def _one(path: Path, what: str) -> Any:
    """Read a file of one document; of several, the one that is an activity."""
    from tactics.cli import files
    from tactics.domain.behaviour_rule import is_rule_document

    read = files.json_rows(path).content if str(path) == "-" else files.documents([path])[0]
    found = [one for one in read if not is_rule_document(one)]
    if len(found) != 1:
        raise BadInput(f"{path} holds {len(found)} documents; a dry run takes one {what}")
    return found[0]


def _show(found: DryRun) -> None:
    name = "the file" if found.version is None else f"version {found.version}"
    typer.echo(f"{found.activity.code}, {name}: {found.evaluation.status}")
    for reason in found.evaluation.reasons:
        typer.echo(f"  {reason.path or 'rule'}: {reason.text}")
    for line in found.lines:
        value, currency = line.value_minor, found.currency_of(line)
        details = ", ".join(f"{key} {part}" for key, part in line.details.items())
        typer.echo(
            f"  → {line.kind} {line.benefit or ''} worth {value} {currency} (minor units)"
            + (details and f", {details}")
        )
    if found.prices is not None:
        typer.echo(f"  the order would cost {found.prices['total_minor']}")
    for limit in found.limits:
        used = "" if limit.used is None else f", {limit.used} given"
        benefit = f" of {limit.benefit}" if limit.benefit else ""
        typer.echo(
            f"  {limit.limit}{benefit}: {limit.most}{used}, {limit.asks} asked" + ("" if limit.enough else ": too much")
        )
    if not found.in_schedule:
        typer.echo(f"  it does not run at {found.at.isoformat()}")
    if found.activity.holdout_percent:
        typer.echo(f"  {found.activity.holdout_percent}% of users are held out and get nothing")
    typer.echo("it would grant this" if found.would_grant else "it would grant nothing")

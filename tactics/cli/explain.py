"""`tactics explain`: why did this user get what they got, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from tactics.cli.output import Json, print_json, print_table
from tactics.errors import BadInput


def explain(
    execution: Annotated[
        str | None, typer.Argument(metavar="[EXECUTION]", help="An execution's id, as a placement answers it.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Whose case; with --activity.")] = None,
    activity: Annotated[str | None, typer.Option("--activity", metavar="CODE", help="Of which activity.")] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="As of then: ISO 8601, UTC where it has no offset. Default: now."),
    ] = None,
    json: Json = False,
) -> None:
    """Explain why a user got a benefit, or did not: `explain EXECUTION`, or `explain --user U --activity A`.

    The answer comes first; below it is what it rests on.
    """
    from tactics.cli import attach
    from tactics.flows.explain import explain_execution, explain_user

    if execution is not None:
        if user is not None or activity is not None or at is not None:
            raise BadInput("give an execution alone, or --user and --activity (and --at), not both")
        wanted = _uuid(execution)
        known = attach.app()
        found = explain_execution(known.runtime, wanted, app=known)
    elif user is None or activity is None:
        raise BadInput("what is to be explained? Give an execution's id, or --user and --activity")
    else:
        moment = _time(at)
        known = attach.app()
        found = explain_user(known.runtime, user, activity, moment, app=known)
    if json:
        print_json(found)
    else:
        _show(found)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadInput(
            f"{text!r} is no id of an execution, such as 0b6f4c1e-…: see `execution_ids` of the answer"
        ) from None


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"--at {text!r} is no time; write it as 2017-11-05T10:00:00Z") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _show(found: Mapping[str, Any]) -> None:
    activity, instance = found["activity"], found["instance"]
    typer.echo(f"user {found['user_id']}, activity {activity['code']}, as of {_short(found['at'])}\n")
    for sentence in found["summary"]:
        typer.echo(f"• {sentence}")
    _heading("Activity")
    typer.echo(f"  version {activity['version']} ({activity['current_version']} is current), {activity['status']} now")
    typer.echo(f"  {_short(activity['schedule']['from'])} to {_short(activity['schedule']['to'])}")
    typer.echo(
        f"  prepares on {_names(activity['channels']['prepare'])}, grants on {_names(activity['channels']['grant'])}"
    )
    for one in activity["stock"]:
        left = "unlimited" if one["remaining"] is None else f"{one['remaining']} left"
        typer.echo(f"  stock of {one['code']}: {left}")
    _heading("Instance")
    if instance["exists"]:
        typer.echo(f"  epoch {instance['epoch']}, {_prepared(instance)}")
    else:
        typer.echo("  none: nothing has ever run for this user and activity")
    _show_execution(found["execution"])
    _show_rules(found["behaviour_rules"])
    _show_tables(found)


def _show_execution(one: Mapping[str, Any] | None) -> None:
    if one is None:
        return
    _heading(f"Execution {one['id']}")
    typer.echo(f"  {one['link']} on {one['channel_code']}, for event {one['event_id']} of {one['event_source']}")
    typer.echo(f"  outcome {one['outcome'] or 'none yet'}, attempt {one['attempts']} of {one['max_attempts']}")
    typer.echo(f"  chain: {_chain(one['chain'])}")
    for name in ("reason", "step", "queue", "next_attempt_at", "finished_at"):
        if one[name]:
            typer.echo(f"  {name.replace('_', ' ')}: {one[name]}")
    if one["trace"]:
        print_table(
            ("step", "outcome", "ms"), ((part["step"], part["outcome"], part.get("ms")) for part in one["trace"])
        )
    for part in one["trace"] or ():
        for note in part.get("notes", ()):
            typer.echo(f"  note of {part['step']}: {note}")


def _chain(one: Mapping[str, Any]) -> str:
    if one["in"] == "stored":
        return f"{one['name']}, version {one['version']} (stored)"
    return "the template's own (in code)" if one["in"] == "code" else "not chosen yet"


def _show_rules(found: Iterable[Mapping[str, Any]]) -> None:
    for one in found:
        _heading(f"Behaviour rule {one['rule_key']}")
        if not one["stored"]:
            typer.echo("  not stored here: its events come from outside")
            continue
        state = "" if one["enabled"] else ", switched off"
        typer.echo(f"  version {one['version']}{state}, over {one['actions']} actions of the user:")
        for line in one["lines"]:
            typer.echo(f"    {line}")


def _show_tables(found: Mapping[str, Any]) -> None:
    if found["grants"]:
        _heading("Grants")
        print_table(
            ("count", "state", "value", "for", "assets", "grant"),
            (
                (
                    one["will_send_count"],
                    one["state"],
                    one["value_minor"],
                    _short(one["business_at"]),
                    _held(one),
                    one["id"],
                )
                for one in found["grants"]
            ),
        )
    if found["executions"]:
        _heading("Latest executions")
        print_table(
            ("at", "link", "channel", "outcome", "attempts", "execution"),
            (
                (
                    _short(one["business_at"]),
                    one["link"],
                    one["channel_code"],
                    one["outcome"],
                    one["attempts"],
                    one["id"],
                )
                for one in found["executions"]
            ),
        )
    if found["visits"]:
        _heading("Latest visits")
        print_table(
            ("at", "channel", "what came of it"),
            ((_short(one["at"]), one["channel"], one["text"]) for one in found["visits"]),
        )


def _heading(text: str) -> None:
    typer.echo(f"\n{text}")


def _prepared(instance: Mapping[str, Any]) -> str:
    if not instance["prepared"]:
        return "not prepared"
    by = instance["prepared_by"]
    return f"prepared under epoch {instance['prepared_epoch']} by event {by['id']} of {by['source']}"


def _held(grant: Mapping[str, Any]) -> str:
    return ", ".join(f"{one['benefit_code'] or one['kind']} {one['status']}" for one in grant["assets"]) or "none"


def _names(names: list[str]) -> str:
    return " ".join(names) or "nothing"


def _short(time: str) -> str:
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M:%S}Z"

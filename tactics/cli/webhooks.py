"""`tactics webhooks …`. No command takes a secret: what is typed can be read in a history and in lists of processes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from tactics.cli.output import Json, print_json, print_table
from tactics.errors import BadInput, GatewayError, NotFound

Id = Annotated[str, typer.Argument(metavar="ID", help="As `tactics webhooks list` shows it.")]

app = typer.Typer(no_args_is_help=True, help="Webhooks: who is told of what happens.")


class State(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    PARKED = "parked"


@app.command("list")
def list_(json: Json = False) -> None:
    """List the webhooks, newest first, with how many deliveries wait and are parked."""
    from tactics.cli import attach
    from tactics.flows.webhook import list_webhooks

    found = list_webhooks(attach.runtime())
    if json:
        print_json(found)
    elif not found:
        typer.echo("there are no webhooks (`tactics webhooks add URL`)")
    else:
        rows = ((one["id"], one["url"], " ".join(one["topics"]), _state(one), one["waiting"], one["parked"], one["description"])
                for one in found)  # fmt: skip
        print_table(("id", "url", "topics", "state", "waiting", "parked", "description"), rows)


@app.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where notices are POSTed.")],
    topics: Annotated[
        list[str] | None,
        typer.Option("--topic", help="What it is told of, as tactics.granted; give it again for each. Default: all."),
    ] = None,
    description: Annotated[str | None, typer.Option("--description", help="For people.")] = None,
    json: Json = False,
) -> None:
    """Set up a webhook, and show its secret this once; it is told of what happens from now on.

    Standard output has the id and the secret, a line each.
    """
    from tactics.cli import attach
    from tactics.domain.webhook import EVERY, NewEndpoint
    from tactics.flows.webhook import add_webhook

    made = add_webhook(attach.runtime(), NewEndpoint(url, tuple(dict.fromkeys(topics or [EVERY])), description))
    if json:
        print_json({**made.stored, "secret": made.secret})
        return
    typer.echo(made.id)
    typer.echo(made.secret)
    typer.echo("This secret is shown once: the receiver checks signatures with it.", err=True)


@app.command()
def remove(webhook_id: Id, json: Json = False) -> None:
    """Remove a webhook, with what was still to be delivered to it."""
    from tactics.cli import attach
    from tactics.flows.webhook import remove_webhook

    lost = remove_webhook(attach.runtime(), webhook_id)
    if json:
        print_json({"id": webhook_id, "not_delivered": lost})
    else:
        typer.echo(f"webhook {webhook_id} is removed; {lost} deliveries were still waiting")


@app.command()
def enable(webhook_id: Id, json: Json = False) -> None:
    """Let a webhook be told again, what waited for it first."""
    from tactics.cli import attach
    from tactics.flows.webhook import enable_webhook

    _say(webhook_id, "enabled", enable_webhook(attach.runtime(), webhook_id), json=json)


@app.command()
def disable(webhook_id: Id, json: Json = False) -> None:
    """Tell a webhook nothing more; what happens meanwhile it never hears of."""
    from tactics.cli import attach
    from tactics.flows.webhook import disable_webhook

    _say(webhook_id, "disabled", disable_webhook(attach.runtime(), webhook_id), json=json)


@app.command("rotate-secret")
def rotate_secret(
    webhook_id: Id,
    drop_last: Annotated[
        bool, typer.Option("--drop-last", help="Only the new one signs from now on, as after a leak.")
    ] = False,
    json: Json = False,
) -> None:
    """Give a webhook a new secret, and show it this once; the last one signs beside it, until the next change."""
    from tactics.cli import attach
    from tactics.flows import webhook

    secret = webhook.rotate_secret(attach.runtime(), webhook_id, keep=0 if drop_last else 1)
    if json:
        print_json({"id": webhook_id, "secret": secret})
    else:
        typer.echo(secret)
        typer.echo("Shown once.", err=True)


@app.command("test")
def try_out(webhook_id: Id, json: Json = False) -> None:
    """Send a webhook a notice `tactics.test`, once and from here, and tell what became of it."""
    from tactics.cli import attach
    from tactics.flows.webhook import try_webhook

    found = try_webhook(attach.runtime(), webhook_id)
    if found.kind != "delivered":
        raise GatewayError(f"the webhook did not take it: {found.text}", outcome=found.kind)
    if json:
        print_json({"outcome": found.kind, "text": found.text, "status": found.status})
    else:
        typer.echo(f"{found.kind}: {found.text}")


@app.command()
def deliveries(
    webhook_id: Id,
    state: Annotated[State | None, typer.Option("--state", help="Only those that are.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """List what was sent to a webhook and what is still to come, with the last answer."""
    from tactics.cli import attach
    from tactics.domain.webhook import message_id
    from tactics.flows.webhook import list_deliveries

    found = list_deliveries(attach.runtime(), webhook_id, state=state.value if state else None, limit=limit)
    columns = ("topic", "key", "state", "attempts", "last_status", "last_text", "next_attempt_at", "created_at")
    rows = [{"id": message_id(one.outbox_id), **{name: getattr(one, name) for name in columns}} for one in found]
    if json:
        print_json(rows)
    elif not rows:
        typer.echo("there are no such deliveries")
    else:
        print_table(("id", *columns), (tuple(row.values()) for row in rows))


@app.command()
def retry(
    webhook_id: Id,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[MESSAGE]…", help="Deliveries, as msg_17.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are parked.")] = False,
    json: Json = False,
) -> None:
    """Try deliveries again that were parked, or that wait, at once; what is delivered stays so."""
    from tactics.cli import attach
    from tactics.flows.webhook import retry_deliveries

    if bool(ids) == everything:
        raise BadInput("say which to try: ids as `tactics webhooks deliveries` shows them, or --all")
    count = retry_deliveries(attach.runtime(), webhook_id, None if everything else ids)
    if ids and not count:
        raise NotFound("none of these is parked or waits: see `tactics webhooks deliveries`")
    if json:
        print_json({"retried": count})
    else:
        typer.echo(f"{count} will be tried again")


def _say(webhook_id: str, state: str, changed: bool, *, json: bool) -> None:
    if json:
        print_json({"id": webhook_id, "state": state, "changed": changed})
    else:
        typer.echo(f"webhook {webhook_id} is {'now' if changed else 'already'} {state}")


def _state(one: dict[str, Any]) -> str:
    if not one["enabled"]:
        return f"disabled: {one['disabled_reason']}" if one["disabled_reason"] else "disabled"
    return "failing" if one["failures"] else "enabled"

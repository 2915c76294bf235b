"""`tactics event …`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

import typer

from tactics.cli.attribute import Attributes, read_attributes
from tactics.cli.output import Json, print_json, print_table
from tactics.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tactics.flows.accepting import Receipt

SOURCE = "tactics.cli"
REJECTED = 2
_MOST_SHOWN = 50

app = typer.Typer(no_args_is_help=True, help="Events: what users did.")


@app.callback()
def _group() -> None:
    # A callback keeps the one command a subcommand: `event send`, not `event`.
    pass


@dataclass(frozen=True, slots=True)
class _Sent:
    """What became of the events. `published` is False when the workers could not be told."""

    receipts: list[Receipt]
    published: bool


@app.command()
def send(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE|-", help="CloudEvents as JSON, a JSON list or JSON lines; - for standard input."),
    ] = None,
    type_: Annotated[
        Literal["action", "behaviour", "asset"], typer.Option("--type", help="What kind of event to make.")
    ] = "action",
    user: Annotated[str | None, typer.Option("--user", help="The user.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="What the user did, such as purchase.")] = None,
    item: Annotated[str | None, typer.Option("--item", help="The item of the action.")] = None,
    quantity: Annotated[int | None, typer.Option("--quantity", min=0, help="How many of it. Default: 1.")] = None,
    amount: Annotated[int | None, typer.Option("--amount", min=0, help="In minor units: 500 is 5.00.")] = None,
    rule_key: Annotated[str | None, typer.Option("--rule-key", help="Of a behaviour: the rule satisfied.")] = None,
    asset: Annotated[str | None, typer.Option("--asset", help="Of an asset event: the asset's id.")] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Of an asset event: claimed, redeemed, released, expired or revoked.")
    ] = None,
    attribute: Attributes = None,
    at: Annotated[
        datetime | None,
        typer.Option(
            "--at", metavar="TIME", formats=["%Y-%m-%dT%H:%M:%S%z"], help="As 2017-11-01T10:00:00Z. Default: now."
        ),
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", help="The event's id. Default: a new one.")] = None,
    source: Annotated[str, typer.Option("--source", help="Whose id it is.")] = SOURCE,
    json: Json = False,
) -> None:
    """Send events from a file, or one made from options: `--user u1 --action purchase --item 7 --amount 500`.

    Exit 2 when an event was rejected; the others are accepted all the same.
    """
    data = {
        "user_id": user,
        "action": action,
        "item_id": item,
        "quantity": quantity,
        "amount_minor": amount,
        "rule_key": rule_key,
        "asset_id": asset,
        "status": status,
        "attributes": read_attributes(attribute) or None,
    }
    given = {name: value for name, value in data.items() if value is not None}
    if file is not None:
        if given or id_ or at:
            raise BadInput("give a file or the options of one event, not both")
        from tactics.cli import files

        rows = files.json_rows(file)
        messages, where = rows.content, rows.where
    else:
        if not given:
            raise BadInput("give a file of events, - for standard input, or --user and --action to make one")
        messages, where = [_event(type_, source, id_ or str(uuid4()), at, given)], None
    sent = _send(messages)
    if json:
        print_json({"results": [receipt.to_json() for receipt in sent.receipts], "published": sent.published})
    else:
        _say(sent, where)
    if any(receipt.status == "rejected" for receipt in sent.receipts):
        raise typer.Exit(REJECTED)


def _event(type_: str, source: str, id_: str, at: datetime | None, data: dict[str, Any]) -> dict[str, Any]:
    time = {"time": at.isoformat()} if at is not None else {}
    return {"specversion": "1.0", "id": id_, "source": source, "type": f"tactics.{type_}", **time, "data": data}


def _send(messages: Sequence[Any]) -> _Sent:
    from tactics.cli import attach
    from tactics.flows.accepting import accept_events
    from tactics.flows.action import publish_routing

    tactics = attach.app()
    size = tactics.settings.batch_size
    receipts: list[Receipt] = []
    published = True
    for start in range(0, len(messages), size):
        some, refs = accept_events(tactics, messages[start : start + size])
        receipts += some
        # A broker that is away is not asked again and again: the sweeper publishes the rest too.
        published = published and publish_routing(tactics, refs)
    return _Sent(receipts, published)


def _say(sent: _Sent, where: Callable[[int, str], str] | None) -> None:
    receipts = sent.receipts
    if len(receipts) <= _MOST_SHOWN:
        print_table(("source", "id", "status"), ((receipt.source, receipt.id, receipt.status) for receipt in receipts))
    for position, receipt in enumerate(receipts):
        if receipt.status == "rejected":
            typer.echo(f"rejected: {where(position, '') + ': ' if where else ''}{receipt.reason}", err=True)
    counts = Counter(receipt.status for receipt in receipts)
    typer.echo(", ".join(f"{count} {status}" for status, count in counts.items()) or "there were no events")
    if not sent.published:
        typer.echo(
            "Redis cannot be reached, so nobody was told: what was accepted is kept, "
            "and done as soon as Redis, worker and beat are there.",
            err=True,
        )

"""`tactics visit`: a placement, answered in this process as the API would."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tactics.cli.attribute import Attributes, read_attributes
from tactics.cli.output import Json, print_json
from tactics.errors import BadInput

ALL_BUSY = 1

# A person waits longer than a page does, and the first visit of a process connects and reads everything.
_PATIENCE_MS = 10_000


def visit(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel code that activities grant on.")],
    user: Annotated[str, typer.Option("--user", help="Who visits.")],
    placement: Annotated[str | None, typer.Option("--placement", help="The slot, for rules and the result.")] = None,
    scene: Annotated[
        str | None, typer.Option("--scene", help="Where prices are shown: cart, detail page, order.")
    ] = None,
    order: Annotated[
        Path | None, typer.Option("--order", metavar="FILE", help="What rules see as `order`: JSON or YAML.")
    ] = None,
    attribute: Attributes = None,
    language: Annotated[str, typer.Option("--language", help="Of the words, such as en or zh.")] = "en",
    best_only: Annotated[bool, typer.Option("--best-only", help="Only the best activity that grants.")] = False,
    lock: Annotated[
        bool | None, typer.Option("--lock/--no-lock", help="Whether to lock. Default: as the activity says.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Idempotency key: the same key again is the same visit.")
    ] = None,
    json: Json = False,
) -> None:
    """Let a user visit a placement, and show the benefits as the user would see them. They are really granted.

    Exit 1 when every activity was busy with this user, 2 when no activity knows the channel.
    """
    from tactics.cli import attach
    from tactics.flows import placement as journey

    request = journey.PlacementRequest(
        user_id=user,
        channel_code=channel,
        placement=placement,
        scene=scene,
        attributes=read_attributes(attribute),
        order=_order(order),
        lock=lock,
        best_only=best_only,
        language=language,
        key=key,
        deadline_ms=_PATIENCE_MS,
    )
    answer = journey.visit(attach.app(), request)
    if json:
        print_json(answer.to_json())
    else:
        _say(answer.to_json(), complete=answer.complete)
    if journey.all_busy(answer):
        raise typer.Exit(ALL_BUSY)


def _order(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    from tactics.cli import files

    content = files.rows(path).content
    if not isinstance(content, dict):
        raise BadInput(f"{path}: expected one order, an object with `lines`", file=str(path))
    return content


def _say(answer: dict[str, Any], *, complete: bool) -> None:
    from tactics.cli.answer import answer_lines

    if not complete:
        typer.echo(f"no answer in time; what became of it: {', '.join(answer['execution_ids'])}")
        return
    for line in answer_lines(answer):
        typer.echo(line)

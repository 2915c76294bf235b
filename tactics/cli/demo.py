"""`tactics demo`: real shopping data through the whole engine, on this machine, from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

UNSOUND = 1


def demo(
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", dir_okay=False, help="Write the summary to this file as JSON."),
    ] = None,
    campaign: Annotated[
        list[int] | None,
        typer.Option("--campaign", metavar="N", help="A campaign to replay, 1 to 27; may be given again. Default: 18."),
    ] = None,
    actions: Annotated[
        int | None,
        typer.Option("--actions", metavar="N", help="At most so many purchases. Default: 16000."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All purchases of the campaigns' time; without --campaign the whole year.")
    ] = False,
) -> None:
    """Replay real shopping data through the whole engine, from nothing, and sum up.

    Starts Postgres, Valkey, a Celery worker and beat in a temporary folder and replays the Complete Journey: real
    households, their baskets and coupon campaigns. In the end everything is stopped and removed. Exit 1 when something
    was lost, got stuck or was given twice.
    """
    import logging

    from rich.console import Console

    from tactics.cli import attach
    from tactics.demo.choice import choose
    from tactics.demo.session import run_demo
    from tactics.demo.show import show
    from tactics.logs import configure_logs

    attach.from_environment()  # a wrong setting is said at once
    chosen = choose(set(campaign) if campaign else None, actions, everything)
    if json is not None:
        _check_writable(json)
    configure_logs(logging.WARNING)
    done = run_demo(chosen, Console(stderr=True))
    show(Console(), done)
    if json is not None:
        _write(json, done.summary.to_json())
    if not done.summary.sound:
        raise typer.Exit(UNSOUND)


def _check_writable(file: Path) -> None:
    """Find out before the replay, not after it, that the summary cannot be written."""
    from tactics.errors import BadInput

    known = file.exists()
    try:
        file.open("a", encoding="utf-8").close()
        if not known:
            file.unlink()
    except OSError as error:
        raise BadInput(f"cannot write {file}: {error.strerror}", file=str(file)) from error


def _write(file: Path, figures: dict[str, object]) -> None:
    from json import dumps

    file.write_text(dumps(figures, indent=2) + "\n", encoding="utf-8")

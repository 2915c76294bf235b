"""Plays that tests run: their steps leave marks, and make trouble where the event's attributes ask for it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from celery.exceptions import SoftTimeLimitExceeded

from tactics.celery_app import TacticsApp
from tactics.domain.context import TacticsInstanceContext
from tactics.processor import Processor, processor
from tactics.processors.build_result import build_result
from tactics.processors.check_event import check_event
from tactics.processors.check_rule import check_rule
from tactics.processors.finish_execution import finish_execution
from tactics.processors.load_prepared import load_prepared
from tactics.processors.query_asset import query_asset
from tactics.processors.record_event import record_event
from tactics.processors.save_prepared import save_prepared
from tactics.processors.send_benefit import send_benefit
from tactics.run import Run
from tactics.template import TacticsTemplate, register_template

ELSEWHERE = "elsewhere"


@dataclass
class MarkedContext(TacticsInstanceContext):
    """The capability of carrying a mark from preparation to placement."""

    prepared_fields: ClassVar[tuple[str, ...]] = ("mark", "made_by")

    mark: str | None = None
    made_by: list[int] | None = None
    odd: Any = None


class Trouble(Exception):
    """What a step raises when it is asked to."""


@processor(needs=MarkedContext)
def leave_mark(ctx: MarkedContext, run: Run) -> None:
    """Prepare data that tells which event it is for."""
    ctx.mark, ctx.made_by = ctx.event.id, [os.getpid()]


@processor(needs=MarkedContext)
def note_mark(ctx: MarkedContext, run: Run) -> None:
    """Write down whose data this placement uses, beside whose it was told to be."""
    run.trace.append({"step": "seen", "outcome": "ran", "used": ctx.mark, "vouched": run.instance.prepared_event_id})


@processor(needs=MarkedContext, when=lambda ctx: bool(ctx.event.attributes.get("trouble")))
def make_trouble(ctx: MarkedContext, run: Run) -> None:
    """Do what the event asks for, on its first attempts."""
    asked = ctx.event.attributes
    if run.attempt > asked.get("attempts", 1):
        return
    TROUBLES[asked["trouble"]](ctx)


def _fail(_: MarkedContext) -> None:
    raise Trouble("as asked")


def _end_chain(ctx: MarkedContext) -> None:
    ctx.stop("holdout", "as asked")


def _be_odd(ctx: MarkedContext) -> None:
    ctx.odd = {1, 2}


def _exit(_: MarkedContext) -> None:
    raise SystemExit(7)


def _die(_: MarkedContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang(_: MarkedContext) -> None:
    time.sleep(600)


def _hang_on(_: MarkedContext) -> None:
    until = time.monotonic() + 600
    while time.monotonic() < until:
        try:
            time.sleep(600)
        except SoftTimeLimitExceeded:
            continue


TROUBLES = {
    "fail": _fail,
    "stop": _end_chain,
    "odd": _be_odd,
    "exit": _exit,
    "die": _die,
    "hang": _hang,
    "hang_on": _hang_on,
}


@processor(needs=MarkedContext, queue=ELSEWHERE)
def mark_elsewhere(ctx: MarkedContext, run: Run) -> None:
    """Run on other workers, and leave a trace of where."""
    ctx.made_by = [*(ctx.made_by or []), os.getpid()]


@processor(needs=MarkedContext)
def mark_back(ctx: MarkedContext, run: Run) -> None:
    """Run where the chain came back to."""
    ctx.made_by = [*(ctx.made_by or []), os.getpid()]


def _applies_badly(ctx: MarkedContext) -> bool:
    return bool(ctx.event.attributes["nobody_gave_this"])


@processor(needs=MarkedContext, when=_applies_badly)
def ask_wrongly(ctx: MarkedContext, run: Run) -> None:
    """Never gets to run: whether it applies cannot be told."""


_GRANT: tuple[Processor[Any], ...] = (
    check_event,
    load_prepared,
    note_mark,
    make_trouble,
    check_rule,
    query_asset,
    send_benefit,
    build_result,
    finish_execution,
)
_SAVE: tuple[Processor[Any], ...] = (save_prepared, record_event, finish_execution)

marked = TacticsTemplate("marked", MarkedContext, (leave_mark, make_trouble, *_SAVE), _GRANT)
roaming = TacticsTemplate(
    "roaming",
    MarkedContext,
    (leave_mark, mark_elsewhere, mark_back, *_SAVE),
    (*_GRANT[:-1], mark_elsewhere, mark_back, finish_execution),
)
misjudged = TacticsTemplate("misjudged", MarkedContext, (ask_wrongly, *_SAVE), (ask_wrongly, *_GRANT))


def register_plays(app: TacticsApp) -> None:
    """Make the plays known to an app."""
    for template in (marked, roaming, misjudged):
        register_template(app, template)

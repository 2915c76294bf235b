"""Plays of a test's own steps: an activity whose chain has them, driven in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tactics.domain.context import ItemContext, TacticsInstanceContext
from tactics.processor import Processor, processor
from tactics.processors.build_result import build_result
from tactics.processors.check_event import check_event
from tactics.processors.finish_execution import finish_execution
from tactics.processors.load_prepared import load_prepared
from tactics.processors.query_item import query_item
from tactics.processors.record_event import record_event
from tactics.processors.save_prepared import save_prepared
from tactics.run import Run
from tactics.template import TacticsTemplate
from tests.driving import Drive, Maker
from tests.making import document


def step_of(name: str, act: Callable[[Any, Run], object] = lambda _ctx, _run: None, **options: Any) -> Processor[Any]:
    """Give a processor that does this, declared with these options."""

    def body(ctx: Any, run: Run) -> None:
        act(ctx, run)

    body.__name__ = name
    return processor(needs=TacticsInstanceContext, **options)(body)


def _show(ctx: Any, _: Run) -> None:
    ctx.outcome = "reused"


def playing(driven: Maker, *steps: Processor[Any], link: str = "prepare", **options: Any) -> Drive:
    """Drive an activity whose chain of a link has these steps before those that close it."""
    closing = (step_of("show_it", _show), build_result, finish_execution)
    prepare, grant = (save_prepared, record_event, finish_execution), (check_event, load_prepared)
    template = TacticsTemplate(
        "t",
        ItemContext,
        prepare=(query_item, *steps, *prepare) if link == "prepare" else (query_item, *prepare),
        grant=(*grant, *steps, *closing) if link == "grant" else (*grant, *closing),
    )
    queues = tuple({step.options["queue"] for step in steps if "queue" in step.options})
    drive = driven(templates=[template], queues=queues, **options)
    drive.load(document(template_type="t"))
    return drive


def trace_of(drive: Drive, link: str = "prepare") -> list[tuple[str, str]]:
    """Give the steps of the link's newest execution, each with how it went."""
    query = "SELECT trace FROM execution WHERE link = :link ORDER BY created_at DESC LIMIT 1"
    return [(one["step"], one["outcome"]) for one in drive.value(query, link=link)]

"""A lottery: every nth purchase draws a ticket on workers of its own, and the words tell its number."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tactics.domain.activity import Expression
from tactics.domain.context import ItemContext
from tactics.domain.wording import wording
from tactics.processor import processor
from tactics.rules import condition
from tactics.rules.parameter import integer, number
from tactics.run import Retry, Run
from tactics.template import TacticsTemplate
from tactics.templates.full_link_v3 import full_link_v3


@dataclass
class LotteryContext(ItemContext):
    """The capability of holding a ticket."""

    prepared_fields: ClassVar[tuple[str, ...]] = (*ItemContext.prepared_fields, "ticket", "processes")

    ticket: int | None = None
    processes: list[int] = field(default_factory=list)


class NoTickets(Exception):
    """They are sold out, and will stay so."""


@condition(
    "lottery.condition.every",
    "The amount is a multiple of nth, and not zero",
    {"amount": number("what is counted"), "nth": integer("every how many", minimum=1)},
    words="every {nth}",
    subject="amount",
)
def every(amount: int, nth: int) -> object:
    """Judge an amount."""
    return amount > 0 and amount % nth == 0


@processor(needs=LotteryContext)
def note_process(ctx: LotteryContext, run: Run) -> None:
    """Leave a trace of the worker where the chain begins."""
    ctx.processes.append(os.getppid())


@processor(needs=LotteryContext, queue="lottery", time_limit_s=20, retry=Retry(3, base_s=0.05, give_up_on=(NoTickets,)))
def draw_ticket(ctx: LotteryContext, run: Run) -> None:
    """Draw the user's ticket, on workers that may."""
    if ctx.event.attributes.get("action") == "purchase_too_late":
        raise NoTickets("sold out")
    ctx.ticket = zlib.crc32(ctx.user_id.encode()) % 1000
    ctx.processes.append(os.getppid())


@processor(needs=LotteryContext)
def note_return(ctx: LotteryContext, run: Run) -> None:
    """Leave a trace of the worker where the chain came back to."""
    ctx.processes.append(os.getppid())


@wording("lottery", "en")
def lottery_in_english(asset: Mapping[str, Any], ctx: LotteryContext) -> Expression:
    """Tell the number."""
    return Expression(title=f"Ticket {ctx.ticket} wins", text=f"Show code {asset['code']}.")


@wording("lottery", "zh")
def lottery_in_chinese(asset: Mapping[str, Any], ctx: LotteryContext) -> Expression:
    """Tell the number."""
    return Expression(title=f"{ctx.ticket} 号中奖", text=f"请出示 {asset['code']}")


lottery = TacticsTemplate(
    "lottery",
    LotteryContext,
    prepare=(note_process, draw_ticket, note_return, *full_link_v3.prepare),
    grant=full_link_v3.grant,
)

"""Shows a demo's end to a person: the summary, a few answers as shoppers saw them, and where to go next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from rich.box import SIMPLE
from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from tactics.demo.data import shop_day
from tactics.demo.replay import Replayed, Sample
from tactics.demo.session import Demo
from tactics.demo.summary import NOT_ELIGIBLE, Summary
from tactics.domain.money import money

MOST_ITEMS = 4
WIDTH = 90
SHOWN = {
    "granted": "is granted a coupon for what it bought",
    "reused": "still holds it, and is shown it again",
    "sold_out": "comes too late",
}
_NOT_ELIGIBLE_WORDS = {
    "not_prepared": "had not bought enough yet",
    "not_matched": "not among those whom it is for",
    "unknown": "too little known to tell",
    "holdout": "in the control group",
    "limit": "a limit was reached",
}

NEXT = """\
[bold]Where to go next[/bold]
  tactics demo --campaign 13   another campaign; --help tells of more
  tactics demo --json FILE     these figures for machines
  tactics up                   servers and workers to play with, and Flower
  README.md                    what this is, and a first play of your own"""

Row = tuple[str, int | str, str]


def show(console: Console, demo: Demo) -> None:
    """Print what came of a demo."""
    summary, seen = demo.summary, demo.seen
    console.print()
    console.print(_headline(demo), highlight=False)
    table = Table(box=SIMPLE, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for section in (
        _came_in(demo),
        _made_of_it(summary, seen),
        _answers(summary, seen),
        _sound(summary),
        _speed(summary),
    ):
        for name, value, note in section:
            table.add_row(name, f"{value:,}" if isinstance(value, int) else value, note)
        table.add_section()
    console.print(table)
    for outcome, words in SHOWN.items():
        if sample := seen.samples.get(outcome):
            console.print(_answer(sample, words), width=min(WIDTH, console.width))
    console.print()
    console.print(NEXT, highlight=False)


def _headline(demo: Demo) -> str:
    instants = demo.plan.lines["at_s"]  # in the order of time
    first, last = shop_day(instants[0].as_py()), shop_day(instants[-1].as_py())
    numbers = [str(campaign.number) for campaign in demo.plan.campaigns]
    named = f"campaign {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} campaigns"
    return (
        f"[bold]{len(demo.plan.users):,} real households around {named}: "
        f"{_span(first, last)} in {demo.summary.seconds:.0f} seconds[/bold]"
    )


def _span(first: date, last: date) -> str:
    return f"{first.day} {first:%b %Y} to {last.day} {last:%b %Y}"


def _came_in(demo: Demo) -> Iterator[Row]:
    yield "actions", demo.summary.actions, "lines of real baskets, each an event"
    yield "placements", demo.summary.placements, "visits: before each basket, the banner"
    met, unmet = demo.seen.met, demo.seen.unmet
    yield "redemptions", demo.summary.redemptions, f"of {met + unmet:,}; for {unmet:,} no coupon was held here"


def _made_of_it(summary: Summary, seen: Replayed) -> Iterator[Row]:
    yield "behaviour events", summary.behaviour_events, "a behaviour rule came true"
    yield "preparations", summary.preparations, "items and prices made ready for visits"
    if seen.nothing_running:
        yield "", "", f"{seen.nothing_running:,} visits before any campaign ran"


def _answers(summary: Summary, seen: Replayed) -> Iterator[Row]:
    yield "granted", summary.grants, "a new coupon"
    yield "reused", summary.reuses, "a coupon that the user still held"
    yield "sold out", summary.sold_out, "earned, but none was left"
    reasons = [f"{seen.parts[name]:,} {_NOT_ELIGIBLE_WORDS[name]}" for name in NOT_ELIGIBLE if seen.parts[name]]
    yield "not eligible", summary.not_eligible, "; ".join(reasons)
    known = {"granted", "reused", "sold_out", *NOT_ELIGIBLE}
    for name, count in seen.parts.items():
        if count and name not in known:
            yield name.replace("_", " "), count, ""


def _sound(summary: Summary) -> Iterator[Row]:
    yield "over-issued", summary.over_issued, "rows that the audit objects to"
    yield "lost", summary.lost, "acknowledged events without an end"
    yield "stuck", summary.stuck, "events and executions still open"


def _speed(summary: Summary) -> Iterator[Row]:
    yield "actions/s", f"{summary.actions_per_s:,.0f}", "with all that follows, waiting between rounds"
    yield (
        "answered in",
        f"{summary.placement_p50_ms:.1f} ms",
        f"half of all visits; 99 % in {summary.placement_p99_ms:.1f} ms",
    )


def _answer(sample: Sample, words: str) -> Panel:
    title = f"{sample.at.day} {sample.at:%b}: household {sample.user_id} {words}"
    part = sample.part
    if "assets" not in part:
        told = f"The banner stays empty. The operator sees why: {part['reason']}, {part['text']}"
        return Panel(escape(told), title=escape(title), title_align="left")
    lines = [f"[bold]{escape(text)}[/bold]" for text in part["expression"].values() if text]
    lines += [
        escape(f"code {one.get('code', one['asset_id'])}, worth {money(one['value_minor'], one['currency'])}, "
               f"valid until {one['valid_until'][:10]}")
        for one in part["assets"]
    ]  # fmt: skip
    return Panel(Group(*lines, _items(part["items"])), title=escape(title), title_align="left")


def _items(items: list[dict[str, object]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    for item in items[:MOST_ITEMS]:
        table.add_row(f"  {escape(str(item.get('title', item['item_id'])))}", escape(str(item.get("text", ""))))
    if len(items) > MOST_ITEMS:
        table.add_row(f"  and {len(items) - MOST_ITEMS} more", "")
    return table

"""`tactics grants retry|abandon|revoke`: one grant, some by their ids, or all that a filter finds, with progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from tactics.cli.grant_options import Activity, Begin, End, Of, State, User, grant_id_of, wanted_of
from tactics.cli.output import Json, print_json
from tactics.errors import BadInput, NotFound

if TYPE_CHECKING:
    from tactics.flows.grant_abandon import AbandonResult
    from tactics.flows.grant_retry import RetryResult
    from tactics.flows.grant_revoke import RevokeResult
    from tactics.runtime import Runtime
    from tactics.store.grant_listing import Wanted

    Each = Callable[[Sequence[UUID]], Sequence[RetryResult | AbandonResult | RevokeResult]]
    Foresee = Callable[[Sequence[UUID]], Counter[str]]

MOST_SAID = 20
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Ids of grants; or say which by the options.")]
AllMatching = Annotated[
    bool, typer.Option("--all-matching", help="All that the options find, however many; without options: all.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what would be done, and do nothing.")]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many, the newest first. Default: all.")]


def retry(
    ids: Ids = None,
    activity: Activity = None,
    user: User = None,
    state: State = None,
    provider: Of = None,
    begin: Begin = None,
    end: End = None,
    limit: Most = None,
    all_matching: AllMatching = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit log.")] = "",
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Try grants once more: open ones with their provider, under their id; refused ones anew, where the rule still matches.

    It is safe however often: what is granted stays as it is, and a refused grant is tried anew once. Stopped and begun
    again, it goes on with what is left.
    """
    from tactics.cli import attach
    from tactics.flows import grant_batch

    wanted = wanted_of(activity, user, state, provider, begin, end)
    _check(ids, wanted, all_matching=all_matching)
    app = attach.app()
    _run(
        app.runtime,
        _pages(app.runtime, ids, replace(wanted, states=grant_batch.RETRIED), limit),
        lambda some: grant_batch.retry_each(app, some, runtime=app.runtime, reason=reason),
        (lambda some: grant_batch.foresee_retry(app.runtime, some)) if dry_run else None,
        verb="retried",
        named=len(ids or ()),
        wanted=replace(wanted, states=grant_batch.RETRIED),
        json=json,
    )


def abandon(
    reason: Annotated[
        str, typer.Option("--reason", help="What makes it certain that they are not given and never will be.")
    ],
    ids: Ids = None,
    activity: Activity = None,
    user: User = None,
    state: State = None,
    provider: Of = None,
    begin: Begin = None,
    end: End = None,
    limit: Most = None,
    all_matching: AllMatching = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Give open grants up: each is closed as refused, and what it reserved is free again.

    Ask the provider first: one that has given all the same has then given what is not known here.
    """
    from tactics.cli import attach
    from tactics.flows import grant_batch

    if not reason.strip():
        raise BadInput("--reason is empty: what makes it certain that they will not be given?")
    wanted = wanted_of(activity, user, state, provider, begin, end)
    _check(ids, wanted, all_matching=all_matching)
    runtime = attach.runtime()
    _run(
        runtime,
        _pages(runtime, ids, replace(wanted, states=grant_batch.ABANDONED), limit),
        lambda some: grant_batch.abandon_each(runtime, some, reason=reason),
        (lambda some: grant_batch.foresee_abandon(runtime, some)) if dry_run else None,
        verb="abandoned",
        named=len(ids or ()),
        wanted=replace(wanted, states=grant_batch.ABANDONED),
        json=json,
    )


def revoke(
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit log.")],
    ids: Ids = None,
    activity: Activity = None,
    user: User = None,
    provider: Of = None,
    begin: Begin = None,
    end: End = None,
    limit: Most = None,
    all_matching: AllMatching = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Take back what was given by mistake: assets that are not redeemed are revoked. Grants stay counted, their stock taken.

    Outside systems are told nothing: what they gave, their own people have to take back.
    """
    from tactics.cli import attach
    from tactics.flows import grant_revoke

    if not reason.strip():
        raise BadInput("--reason is empty: why is taken back what users were given?")
    wanted = wanted_of(activity, user, None, provider, begin, end)
    _check(ids, wanted, all_matching=all_matching)
    runtime = attach.runtime()
    wanted = replace(wanted, states=grant_revoke.REVOKED)
    _run(
        runtime,
        _pages(runtime, ids, wanted, limit),
        lambda some: grant_revoke.revoke_each(runtime, some, reason=reason),
        (lambda some: grant_revoke.foresee_revoke(runtime, some)) if dry_run else None,
        verb="revoked",
        named=len(ids or ()),
        wanted=wanted,
        json=json,
    )


def _check(ids: list[str] | None, wanted: Wanted, *, all_matching: bool) -> None:
    from tactics.store.grant_listing import Wanted

    filtered = wanted != Wanted()
    if ids and (filtered or all_matching):
        raise BadInput("give ids alone, or options that find grants with --all-matching, not both")
    if not ids and not all_matching:
        raise BadInput(
            "say which: ids as `tactics grants list` shows them, or --all-matching with the options you need"
        )


def _pages(runtime: Runtime, ids: list[str] | None, wanted: Wanted, limit: int | None) -> Iterable[list[UUID]]:
    from tactics.flows import grant_batch

    if not ids:
        return grant_batch.pages(runtime, wanted, limit)
    chosen = [grant_id_of(one) for one in ids]
    return [chosen[start : start + grant_batch.PAGE] for start in range(0, len(chosen), grant_batch.PAGE)]


def _run(
    runtime: Runtime,
    pages: Iterable[list[UUID]],
    each: Each,
    foresee: Foresee | None,
    *,
    verb: str,
    named: int,
    wanted: Wanted,
    json: bool,
) -> None:
    """Go through the pages; say at the end what became of the grants, also where this is stopped in between."""
    from tactics.flows.grant_batch import check_names
    from tactics.store import grant_listing

    if named:
        total = named
    else:
        with runtime.engine.connect() as conn:
            check_names(conn, wanted)
            total = grant_listing.count(conn, wanted)
    if foresee is not None:
        foreseen = sum((foresee(page) for page in pages), Counter[str]())
        _say_foreseen(foreseen, json=json)
        return
    done, left, held, results = 0, Counter[str](), Counter[str](), []
    try:
        with _progress(total) as advance:
            for page in pages:
                for one in each(page):
                    done += one.done
                    left[one.why] += not one.done
                    held[one.why] += one.done and getattr(one, "held_back", False)
                    results.append(one.to_json() if named else None)
                advance(len(page))
    finally:  # also where somebody stops it: what was done stays done
        left, held = +left, +held
        if named and not done and left and all(why.startswith("there is no grant") for why in left):
            raise NotFound("there are no such grants; `tactics grants list` shows those there are")
        _say(verb, done, left, held, [one for one in results if one is not None], json=json)


def _say(
    verb: str, done: int, left: Counter[str], held: Counter[str], results: Sequence[dict[str, Any]], *, json: bool
) -> None:
    if json:
        told = {verb: done, "left_alone": left.total(), "why": dict(left), "held_back": dict(held)}
        print_json({**told, "grants": list(results)})
        return
    typer.echo(f"{done} {verb}" + (f", {left.total()} left alone:" if left else ""))
    for why, count in left.most_common(MOST_SAID):
        typer.echo(f"  {count}: {why}")
    for why, count in held.most_common(MOST_SAID):
        typer.echo(f"not yet asked, {count}: {why}")


def _say_foreseen(foreseen: Counter[str], *, json: bool) -> None:
    if json:
        print_json({"would": dict(foreseen)})
        return
    for text, count in foreseen.most_common(MOST_SAID):
        typer.echo(f"{count}  {text}")
    typer.echo(f"{foreseen.total()} grants; nothing was done")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show how far it is, to people."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("grants"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("grants", total=total)
        yield lambda many: progress.update(bar, advance=many)

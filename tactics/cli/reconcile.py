"""`tactics reconcile`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tactics.cli.grant_options import time_of
from tactics.cli.output import Json, print_json

if TYPE_CHECKING:
    from tactics.flows.provider_list import Compared

DIFFERS = 1
_SAID = {
    "missing_at_provider": "granted here, and not in its list",
    "missing_here": "granted there, and not here",
    "open_here": "decided there, and still open here",
    "doubled": "more than once in its list",
    "value": "of another value there",
}


def reconcile(
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="Only with this one. Default: all that list.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Grants first asked for from then on. Default: a day.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="And before then. Default: now.")] = None,
    settle: Annotated[
        bool, typer.Option("--settle", help="Settle what a provider has decided and is still open here.")
    ] = False,
    rows: Annotated[int, typer.Option("--rows", min=0, help="Show at most so many differences; all count.")] = 100,
    json: Json = False,
) -> None:
    """Compare what is true with what was written: answers given without the assets, and grants with providers' lists.

    Exit 0 when nothing differs, or all that differed was settled; exit 1 when something does.
    """
    from tactics.cli import attach
    from tactics.flows import provider_list
    from tactics.flows.reconcile import reconcile as look_again

    runtime = attach.runtime()
    chosen = provider_list.listing_providers(runtime, provider)
    since, until = provider_list.span(runtime, time_of("--from", begin), time_of("--to", end))
    tagged = 0
    while (many := look_again(runtime)) > 0:
        tagged += many
    shown: list[dict[str, Any]] = []
    counts, left = Counter[str](), 0
    for one in chosen:
        for found in provider_list.compare_with_list(runtime, one, since, until, settle=settle):
            counts[found.difference.kind] += 1
            left += found.settled is None
            if len(shown) < rows:
                shown.append(_said(one.name, found))
    if json:
        compared = {"providers": [one.name for one in chosen], "from": since.isoformat(), "to": until.isoformat()}
        print_json({"ok": left == 0, "tagged": tagged, **compared, "counts": dict(counts), "differences": shown})
    else:
        _say(shown, counts, tagged, [one.name for one in chosen])
    if left:
        raise typer.Exit(DIFFERS)


def _said(provider: str, found: Compared) -> dict[str, Any]:
    return {"provider": provider, **found.difference.to_json(), "settled": found.settled}


def _say(shown: list[dict[str, Any]], counts: Counter[str], tagged: int, names: list[str]) -> None:
    for one in shown:
        settled = f"; settled now: {one['settled']}" if one["settled"] else ""
        typer.echo(
            f"{one['provider']}  {one['kind']}  {one['idempotency_id']}  here {one['here'] or 'none'}, "
            f"there {one['there'] or 'none'}{settled}"
        )
    if len(shown) < counts.total():
        typer.echo(f"… {counts.total() - len(shown)} more: --rows {counts.total()}")
    typer.echo(f"{tagged} answers that were given without the assets were looked at again")
    if not names:
        typer.echo("no provider lists its grants: nothing to compare with")
        return
    for kind, count in sorted(counts.items()):
        typer.echo(f"{count} {_SAID[kind]} ({kind})")
    if not counts:
        typer.echo(f"nothing differs from what {', '.join(names)} {'lists' if len(names) == 1 else 'list'}")

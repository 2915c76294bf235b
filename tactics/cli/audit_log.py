"""`tactics audit-log`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from tactics.cli.output import Json, print_json, print_table
from tactics.errors import BadInput


def audit_log(
    kind: Annotated[
        str | None, typer.Option("--kind", help="Only of this kind: activity, benefit, api_key, user …")
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Only about this one: a code, a key's id …")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Only what they changed.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From then on: 2026-01-31T08:00Z.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """Show who changed what, before and after, the newest first."""
    from tactics.cli import attach
    from tactics.store.audit_log import listing
    from tactics.store.db import make_engine

    begin = None if since is None else _time(since)
    engine = make_engine(attach.database_url(), pool_size=1)
    try:
        with engine.connect() as conn:
            found = listing(conn, kind=kind, subject=subject, actor=actor, since=begin, limit=limit)
    finally:
        engine.dispose()
    if json:
        print_json([asdict(one) for one in found])
    elif not found:
        typer.echo("nothing of this was changed")
    else:
        print_table(
            ("at", "actor", "action", "kind", "subject", "what"),
            (
                (
                    f"{one.at:%Y-%m-%d %H:%M:%S}",
                    one.actor,
                    one.action,
                    one.kind,
                    one.subject,
                    _what(one.before, one.after),
                )
                for one in found
            ),
        )


def _what(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    """Say what changed, in one line."""
    if before is None or after is None:
        return ", ".join(f"{name}={value}" for name, value in (after or before or {}).items() if value is not None)
    changed = [name for name in after if after[name] != before.get(name)]
    return ", ".join(f"{name}: {before.get(name)} → {after[name]}" for name in changed)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{text!r} is no time such as 2026-01-31T08:00Z") from None
    return found if found.tzinfo else found.astimezone()

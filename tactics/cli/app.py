"""The command line, put together. Command modules import what is heavy inside their functions: `--help` stays fast."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from tactics.cli import (
    activity,
    api,
    attach,
    audit,
    audit_log,
    catalogue,
    chain,
    db,
    demo,
    event,
    grant_changes,
    grants,
    keys,
    parked,
    play,
    plugins,
    providers,
    recall,
    reconcile,
    retention,
    rules,
    serve,
    stock,
    up,
    visit,
    webhooks,
)
from tactics.cli.explain import explain as explain_outcome
from tactics.cli.output import show_error, wants_json
from tactics.cli.trouble import exit_code, explain


class _Root(TyperGroup):
    """Shows what goes wrong as a text (or JSON) and an exit code, never as a traceback; a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with attach.command():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise typer.Exit(130) from None
        except Exception as error:
            known = explain(error)
            if known is None:
                raise
            show_error(known, as_json=wants_json(ctx))
            raise typer.Exit(exit_code(known)) from None


app = typer.Typer(
    cls=_Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Event-driven marketing: user actions in, the right benefit out, granted exactly once.",
)
app.command()(up.up)
app.command()(api.api)
app.command()(serve.worker)
app.command()(serve.beat)
app.add_typer(activity.app, name="activity")
app.add_typer(play.app, name="play")
app.add_typer(chain.app, name="chain")
app.add_typer(catalogue.users, name="users")
app.add_typer(catalogue.items, name="items")
app.add_typer(catalogue.item_sets, name="item-sets")
app.add_typer(db.app, name="db")
app.add_typer(rules.app, name="rules")
app.command("demo")(demo.demo)
app.add_typer(event.app, name="event")
app.command()(visit.visit)
app.add_typer(stock.app, name="stock")
app.add_typer(providers.app, name="providers")
grants.app.command()(grant_changes.retry)
grants.app.command()(grant_changes.abandon)
grants.app.command()(grant_changes.revoke)
app.add_typer(grants.app, name="grants")
app.add_typer(parked.app, name="parked")
app.add_typer(keys.app, name="keys")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(recall.app, name="recall")
app.command("explain")(explain_outcome)
app.command("plugins")(plugins.plugins)
app.command()(audit.audit)
app.command()(reconcile.reconcile)
app.command("audit-log")(audit_log.audit_log)
app.command()(retention.retention)

"""`tactics db …`."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="The database's schema.")


@app.callback()
def _group() -> None:
    # A callback keeps the one command a subcommand: `db upgrade`, not `db`.
    pass


@app.command()
def upgrade() -> None:
    """Bring the database to the schema of this version, and add the partitions of the coming months.

    Processes of the version before go on meanwhile. When it ends early, run it again: what is done stays done.
    """
    from tactics.cli import attach
    from tactics.store.db import make_engine
    from tactics.store.migrate import upgrade_in_use

    engine = make_engine(attach.database_url(), pool_size=1)
    try:
        upgrade_in_use(engine, typer.echo)
    finally:
        engine.dispose()
    typer.echo("the database's schema is up to date")

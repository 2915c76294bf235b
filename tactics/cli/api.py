"""`tactics api`: the HTTP API."""

from __future__ import annotations

import signal
from typing import Annotated

import typer


def api(
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Where to listen; others than loopback need an API key first."),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65_535, help="0 takes a free one. Default: TACTICS_API_PORT, which is 8470."),
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="Each answers requests on its own; one a processor.")
    ] = 1,
    require_key: Annotated[
        bool,
        typer.Option(
            "--require-key",
            help="Never answer without a key, this machine neither: refuse to start while there is no active one.",
        ),
    ] = False,
) -> None:
    """Answer HTTP: events in, placements out, and everything that operators set up. Ctrl-C stops it.

    Until the first API key is made (`tactics keys create`), it answers programs on this machine without one, for everything.
    Make a key before a proxy points at it: what a proxy on this machine passes on comes from this machine.
    """
    from tactics.cli import attach

    settings = attach.configured("tactics api")
    from tactics.api.loopback import is_loopback
    from tactics.cli.listening import address_of, listening
    from tactics.cli.together import counting_together
    from tactics.plugin import load_plugins

    load_plugins(settings)  # what is wrong with one is said here
    loopback = is_loopback(host)
    open_locally = loopback and not require_key
    from tactics.api.auth import UNGUARDED, require_keys, unguarded

    runtime = attach.runtime()
    require_keys(runtime, host, always=require_key)
    if open_locally and unguarded(runtime):
        typer.echo(UNGUARDED, err=True)
    runtime.engine.dispose()  # what serves has connections of its own
    listener = listening(host, settings.api_port if port is None else port)
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from tactics.api.server import server_config

    told = f"The API is ready. It answers on {address_of(listener)} until Ctrl-C; see {address_of(listener)}/docs"

    class OneServer(uvicorn.Server):
        async def startup(self, *arguments: object, **named: object) -> None:
            await super().startup(*arguments, **named)  # type: ignore[arg-type]  # as uvicorn calls it
            if self.started:
                typer.echo(told)

    class Servers(Multiprocess):
        def init_processes(self) -> None:
            super().init_processes()
            if all(one.wait_until_ready(_START_S, self.should_exit) for one in self.processes):
                typer.echo(told)

    config = server_config(open_locally=open_locally, processes=processes)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends us wants what Ctrl-C does
    with listener, counting_together(settings, processes):
        try:
            if processes == 1:
                OneServer(config).run(sockets=[listener])
            else:
                Servers(config, [listener]).run()
        except KeyboardInterrupt:
            pass  # the server has closed its connections already, and passes the signal on
    typer.echo("Stopped.")


_START_S = 60.0

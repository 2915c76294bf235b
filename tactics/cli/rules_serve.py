"""`tactics rules serve`: the rules service, alone."""

from __future__ import annotations

import signal
import socket
from typing import Annotated

import typer

from tactics.api.loopback import is_loopback
from tactics.cli.listening import address_of, listening

# How long requests that are being answered may take to end.
_GRACE_S = 5


def serve(
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="ADDRESS", help="Where to listen; others than loopback can be reached by others."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 8470,
) -> None:
    """Evaluate, check and price rules by HTTP, without database or Redis. Ctrl-C stops it.

    Blocks of plugins are there too: plugins are loaded once, when it starts.
    """
    import uvicorn

    from tactics.api.app import create_rules_app
    from tactics.api.protocol import Protocol

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                typer.echo(
                    f"The rules service is ready. It answers on {address} until Ctrl-C; see {address}/openapi.json"
                )

    listener = listening(host, port)
    address = address_of(listener)
    if not is_loopback(host):
        typer.echo(f"Whoever can reach {address} can use it: it asks for no password.", err=True)
    config = uvicorn.Config(
        create_rules_app(),
        http=Protocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends us wants what Ctrl-C does
    with listener:
        try:
            Announced(config).run(sockets=[listener])
        except KeyboardInterrupt:
            # The server has closed its connections already, and passes the signal on.
            typer.echo("Stopped.")

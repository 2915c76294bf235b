"""`tactics rules serve`: the rules service, alone."""

from __future__ import annotations

import errno
import signal
import socket
from ipaddress import ip_address
from typing import Annotated

import typer

from tactics.errors import BadInput

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

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                typer.echo(
                    f"The rules service is ready. It answers on {address} until Ctrl-C; see {address}/openapi.json"
                )

    listener = _listening(host, port)
    address = _address(listener)
    if not _is_loopback(host):
        typer.echo(f"Whoever can reach {address} can use it: it asks for no password.", err=True)
    config = uvicorn.Config(
        create_rules_app(),
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


def _listening(host: str, port: int) -> socket.socket:
    """Listen, before anything is said.

    Raises:
        BadInput: the address is none of this machine, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BadInput(f"port {port} is taken: choose another with --port") from None
        raise BadInput(f"cannot listen on {host}, port {port}: {error.strerror}") from None


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

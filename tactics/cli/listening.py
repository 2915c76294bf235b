"""Listening for HTTP: an address that is free, said aloud once it answers."""

from __future__ import annotations

import errno
import socket

from tactics.errors import BadInput


def listening(host: str, port: int) -> socket.socket:
    """Listen, before anything is said.

    Raises:
        BadInput: the address is none of this machine, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BadInput(f"port {port} is taken: choose another with --port") from None
        raise BadInput(f"cannot listen on {host}, port {port}: {error.strerror}") from None


def address_of(listener: socket.socket) -> str:
    """Give the URL at which a listener answers."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

"""Flower, closed: `python -m tactics.flower`, with Flower's own options. Loopback, and nothing without the password.

By itself Flower leaves some of its paths open to everybody (metrics, its files, every path's OPTIONS), listens on all
addresses, and without a password shows its pages to whoever comes. Here one gate stands before all paths.
"""

from __future__ import annotations

import hmac
import os
import sys
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from celery.__main__ import main as run_celery
from flower import command
from flower.app import Flower
from flower.views import BaseHandler
from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError


class ClosedFlower(Flower):  # type: ignore[misc]  # Flower ships no types
    """Flower for those who know the password; there is no page, file or API for others."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Route a request, if it may come in; where no password is set, none may."""
        if _admitted(request.headers.get("Authorization", ""), self.options.basic_auth or ()):
            return super().find_handler(request, **kwargs)
        return self.get_handler_delegate(request, _Refusal)


class _Refusal(BaseHandler):  # type: ignore[misc]  # as above
    def check_xsrf_cookie(self) -> None:
        """Leave it: whoever comes here is refused anyway."""

    def prepare(self) -> None:
        """Ask for the password."""
        raise HTTPError(401)


def _admitted(given: str, passwords: Sequence[str]) -> bool:
    wanted = (b"Basic " + b64encode(one.encode()) for one in passwords)
    return any(hmac.compare_digest(given.encode(), one) for one in wanted)


def main(arguments: Sequence[str]) -> None:
    """Run Flower on this machine's workers until it is told to end.

    Args:
        arguments: Flower's own, such as `--port=5555`. The password comes by the environment, as
            `FLOWER_BASIC_AUTH=user:password`: every account can read a command line.
    """
    os.environ.setdefault("FLOWER_ADDRESS", "127.0.0.1")
    command.Flower = ClosedFlower
    sys.argv[1:] = ["-A", "tactics.worker", "flower", *arguments]
    run_celery()


if __name__ == "__main__":
    main(sys.argv[1:])

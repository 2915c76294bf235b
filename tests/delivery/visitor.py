"""A process that visits: for each line `user key` on its input, one placement, and its outcome on a line of its output."""

from __future__ import annotations

import sys

from tactics.chain import prepare_app
from tactics.config import Settings
from tactics.errors import TacticsError
from tactics.flows.placement import PlacementRequest, visit
from tactics.logs import configure_logs
from tactics.worker import make_app
from tests.delivery.plays import register_plays
from tests.delivery.stage import SLOT


def main() -> None:
    """Say `ready`, then visit until the input ends."""
    configure_logs("ERROR")  # to standard error
    app = make_app(Settings())
    register_plays(app)
    prepare_app(app)
    assert app.runtime.redis.ping()
    print("ready", flush=True)
    for line in sys.stdin:
        user_id, key = line.split()
        try:
            answer = visit(app, PlacementRequest(user_id, SLOT, key=key))
        except TacticsError as error:
            print(error.code, flush=True)
            continue
        (part,) = [*answer.results, *answer.not_shown]
        print(part.get("outcome") or part["reason"], flush=True)


if __name__ == "__main__":
    main()

"""Processes beside this one that all do the same at the same time: visitors, grantors, a baseline's workers."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from typing import Any

from tests.bench.stage import PATIENCE_S, MeasureFailed

Work = Callable[[Any], Any]
"""What a client does with an order; what it returns is sent back."""


class Clients:
    """Client processes that wait for orders."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        """Keep the lines to them."""
        self._pipes = pipes

    def ask(self, orders: Sequence[Any]) -> list[Any]:
        """Give each client its order, all at once, and collect what they answer.

        Raises:
            MeasureFailed: a client failed, or does not answer.
        """
        for pipe, order in zip(self._pipes, orders, strict=True):
            pipe.send(order)
        return [self._answer(pipe) for pipe in self._pipes]

    def _answer(self, pipe: Connection) -> Any:
        if not pipe.poll(PATIENCE_S):
            raise MeasureFailed(f"a client has not answered for {PATIENCE_S} s")
        try:
            answer, error = pipe.recv()
        except EOFError:
            raise MeasureFailed("a client has ended") from None
        if error is not None:
            raise MeasureFailed(f"a client failed:\n{error}")
        return answer


@contextmanager
def clients(
    opens: Callable[..., AbstractContextManager[Work]], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[Clients]:
    """Run a client process for each of `arguments`; they are ready when this yields.

    Args:
        opens: a module's function: with one client's arguments, a context manager around what it does.
        arguments: of each client; must be picklable.
    """
    spawn = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    processes = []
    try:
        for one in arguments:
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_client, args=(theirs, opens, one), daemon=True)
            process.start()
            theirs.close()  # so that its end is seen here
            pipes.append(ours)
            processes.append(process)
        found = Clients(pipes)
        for pipe in pipes:
            found._answer(pipe)
        yield found
    finally:
        for pipe in pipes:
            pipe.close()  # tells the client to end
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()


def _client(pipe: Connection, opens: Callable[..., AbstractContextManager[Work]], arguments: tuple[Any, ...]) -> None:
    try:
        with opens(*arguments) as work:
            pipe.send((None, None))
            while True:
                try:
                    order = pipe.recv()
                except EOFError:
                    return
                pipe.send((work(order), None))
    except Exception:  # noqa: BLE001  # told to the one who asked
        pipe.send((None, traceback.format_exc()))

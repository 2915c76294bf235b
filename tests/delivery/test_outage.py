"""Postgres and Valkey fail under load, one after the other: what callers are told, and what is there afterwards."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from tactics import embedded
from tactics.embedded.home import temporary
from tactics.embedded.postgres import Postgres
from tactics.embedded.server import Server
from tactics.embedded.valkey import Valkey
from tactics.store import audit
from tests.bench.api import asked
from tests.bench.api.load import Answers
from tests.bench.api.sending import Sender, sender
from tests.bench.api.serving import Served, serving
from tests.delivery.stage import QUICK
from tests.delivery.waiting import until

RATE, CONNECTIONS = 40.0, 16
KINDS = (asked.single(), asked.granted(), asked.single(), asked.not_matched())
SLACK_S = 1.0
"""How much longer than its deadline an answer may take, on a machine that has other things to do."""
_GRANTS = """
    SELECT count(*) || ' of ' || count(DISTINCT user_id) FROM grant_record WHERE user_id = ANY(:users)
"""
_ROUTED = text("SELECT id FROM event WHERE source = :source AND routed_at IS NOT NULL")


@dataclass
class Outage:
    """What was answered while a server went away, while it was away, and while it came back."""

    falling: Answers
    down: Answers
    rising: Answers

    @property
    def parts(self) -> Sequence[Answers]:
        """All of them."""
        return self.falling, self.down, self.rising


@dataclass
class Place:
    """API, worker and beat over servers that may be stopped, and the load."""

    home: Path
    served: Served
    load: Sender

    def send(self, seconds: float) -> Answers:
        """Send a light load."""
        return self.load.send(self.served.ports["api"], KINDS, CONNECTIONS, [(seconds, RATE)], patience_s=20)

    def send_again(self, answers: Answers) -> None:
        """Send the same once more, as callers do who were told to come back, or heard nothing."""
        again = self.load.again(self.served.ports["api"], answers, KINDS, CONNECTIONS)
        assert set(again.statuses()) <= {200, 202}, again.sample

    def all_is_well(self) -> bool:
        """Send a little, and tell whether all of it was answered as it should be."""
        return all(self.send(0.5).good)

    def accepted(self) -> int:
        """Count what is stored."""
        return int(self.served.value("SELECT count(*) FROM event"))

    def routed(self) -> set[str]:
        """Give the ids of the events that are routed."""
        with self.served.app.runtime.engine.connect() as conn:
            return set(conn.execute(_ROUTED, {"source": asked.SOURCE}).scalars())

    def outage(self, server: Server, number: signal.Signals) -> Outage:
        """Stop a server by a signal, and start it again, under load all the time."""
        with ThreadPoolExecutor(1) as sending:
            before = self.accepted()
            falling = sending.submit(self.send, 1.5)
            until(lambda: self.accepted() > before + 10, "the load is felt")
            pid = server.pid()
            assert pid is not None
            os.kill(pid, number)
            until(lambda: server.pid() is None, "it is gone")
            fallen = falling.result()
            down = self.send(1.5)
            rising = sending.submit(self.send, 1.5)
            embedded.start(self.home, durable=False)
            self.served.app.runtime.engine.dispose()
            return Outage(fallen, down, rising.result())


@pytest.fixture
def place() -> Iterator[Place]:
    """Everything running, in a home of its own."""
    home = temporary()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        served = stack.enter_context(serving(home, durable=False, **QUICK))
        load = stack.enter_context(sender(served.key))
        served.start_all(1)
        yield Place(home, served, load)


def _answered(outage: Outage, deadline_s: float) -> None:
    """Everybody got what they asked for in time, or was told in time to come back; or was given up at the deadline."""
    for answers in outage.parts:
        assert set(answers.statuses()) <= {200, 202, 503}, answers.sample
        assert max(answers.took) < deadline_s + SLACK_S
        assert all(answers.told_when[one] for one in range(len(answers.good)) if answers.status[one] == 503)


def _numbers(outages: Sequence[Outage], kind: str, *, good: bool = False) -> set[str]:
    """Give the numbers of requests of a kind, of all or of those that were answered as they should be."""
    parts = [answers for outage in outages for answers in outage.parts]
    return {
        f"{answers.numbers[one]:010}"
        for answers in parts
        for one in answers.positions(kind)
        if answers.good[one] >= good
    }


def test_servers_that_fail_under_load_lose_nothing_and_are_found_again(place: Place) -> None:
    """While Postgres is away callers hear 503 at once; without Valkey the service goes on; nothing is lost or doubled.

    Who sends the same again gets it once. Nobody restarts the API, the worker or beat.
    """
    served = place.served
    deadline_s = served.settings.placement_deadline_ms / 1000
    processes = {name: one.pid for name, one in served.supervisor.statuses().items()}
    until(place.all_is_well, "it works")

    postgres = place.outage(Postgres(place.home), signal.SIGQUIT)
    until(place.all_is_well, "it works again")
    _answered(postgres, deadline_s)
    assert set(postgres.down.statuses()) == {503}

    valkey = place.outage(Valkey(place.home), signal.SIGKILL)
    until(place.all_is_well, "it works again")
    _answered(valkey, deadline_s)
    for answers in valkey.parts:
        assert all(answers.good[one] for one in answers.positions("single"))
        assert all(answers.good[one] for one in answers.positions("not_matched"))

    outages = (postgres, valkey)
    served.until_done()
    assert {f"{one}-00" for one in _numbers(outages, "single", good=True)} <= place.routed()

    for outage in outages:
        for answers in outage.parts:
            place.send_again(answers)
    served.until_done()
    assert {f"{one}-00" for one in _numbers(outages, "single")} <= place.routed()
    users = [f"u{one}" for one in _numbers(outages, "granted")]
    assert served.value(_GRANTS, users=users) == f"{len(users)} of {len(users)}"
    with served.app.runtime.engine.connect() as conn:
        assert [one.text for one in audit.audit(conn)] == []
    assert {name: one.pid for name, one in served.supervisor.statuses().items()} == processes

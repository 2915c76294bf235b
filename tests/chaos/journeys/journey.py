"""What a journey is, and the scene on which all are played.

Each run has a user of its own, so that runs share a database; all activities are of one moment (replay).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tactics.flows.action import publish_routing
from tactics.flows.placement import PlacementAnswer
from tactics.flows.sweep import sweep
from tactics.store import audit
from tests.chaos.failpoints import boundaries, die_at, redelivered, wait_for_the_dead
from tests.chaos.journeys.book import Book
from tests.chaos.journeys.listener import Listener
from tests.driving import Drive, satisfied

STOCK = 1_000
SLOT = "home_banner"

_GRANTS = """
SELECT g.activity_code, g.state, g.usable, count(a.id), min(a.status)
FROM grant_record g LEFT JOIN asset a ON a.user_id = g.user_id AND a.grant_id = g.id
WHERE g.user_id = :user GROUP BY g.id, g.activity_code, g.state, g.usable
"""
_ENDED = "SELECT link, outcome FROM execution WHERE user_id = :user ORDER BY link, created_at"
_OPEN = """
SELECT 'event ' || id FROM event WHERE routed_at IS NULL AND parked_reason IS NULL AND abandoned_at IS NULL
UNION ALL SELECT 'execution ' || link || ' of ' || user_id FROM execution WHERE finished_at IS NULL
UNION ALL SELECT 'grant ' || state || ' of ' || user_id FROM grant_record WHERE state IN ('pending', 'unknown')
"""
# A grant and the execution that made it are one commit; so are settling it and its outcome.
_TORN = """
SELECT 'grant ' || g.idempotency_id || ' is ' || g.state || ', its execution ' || coalesce(e.outcome, 'missing')
FROM grant_record g LEFT JOIN execution e ON e.user_id = g.user_id AND e.id = g.execution_id
WHERE e.id IS NULL OR (g.state = 'granted') <> (e.outcome = 'granted')
UNION ALL
SELECT 'execution of ' || e.user_id || ' granted nothing'
FROM execution e WHERE e.outcome = 'granted'
    AND NOT EXISTS (SELECT FROM grant_record g WHERE g.user_id = e.user_id AND g.execution_id = e.id)
"""
# What was given beside what is left: worked out from the lines of grants, not from any counter of ours.
_STOCK = """
SELECT b.activity_code || ' ' || b.code, b.stock_initial - b.remaining, coalesce(sum(line.taken), 0)
FROM benefit b LEFT JOIN (
    SELECT activity_code, one ->> 'benefit' AS benefit, 1 AS taken
    FROM grant_record, jsonb_array_elements(lines) AS one WHERE state <> 'refused'
) line ON line.activity_code = b.activity_code AND line.benefit = b.code
WHERE b.remaining IS NOT NULL GROUP BY b.activity_code, b.code
"""
# All is of one day here.
_COUNTERS = """
SELECT c.activity_code || ' ' || c.scope, c.used, coalesce(CASE c.scope WHEN 'day' THEN given.many ELSE given.worth END, 0)
FROM limit_counter c LEFT JOIN (
    SELECT activity_code, count(*) AS many, sum(value_minor) AS worth FROM grant_record WHERE state <> 'refused' GROUP BY 1
) given USING (activity_code)
WHERE c.scope IN ('day', 'budget')
"""
# What falls by itself in time: locks, placements in flight, the breakers of benefit systems and places among their calls.
_PASSING = ("tactics:lease:*", "tactics:placement:*", "tactics:breaker:*", "tactics:calls:*")
_MAKE_DUE = """
WITH events AS (UPDATE event SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL),
     executions AS (UPDATE execution SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL),
     deliveries AS (UPDATE webhook_delivery SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL)
UPDATE outside_grant SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL
"""
_WAITING = """
SELECT EXISTS (SELECT FROM event WHERE next_attempt_at IS NOT NULL)
    OR EXISTS (SELECT FROM execution WHERE next_attempt_at IS NOT NULL)
    OR EXISTS (SELECT FROM outside_grant WHERE next_attempt_at IS NOT NULL)
    OR EXISTS (SELECT FROM webhook_delivery WHERE next_attempt_at IS NOT NULL)
    OR EXISTS (SELECT FROM execution WHERE assets_unknown AND reconciled_at IS NULL)
"""


@dataclass
class Scene:
    """What journeys play on: one drive for all, the book of the outside benefit system, and who listens to webhooks."""

    drive: Drive
    book: Book
    listener: Listener

    def submit(self, message: dict[str, Any]) -> None:
        """Hand an event in as a producer does; what is handed in again is a duplicate."""
        receipts, refs = self.drive.accept(message)
        assert {one.status for one in receipts} <= {"accepted", "duplicate"}, receipts
        publish_routing(self.drive.app, refs)

    def prepare(self, user_id: str) -> None:
        """Prepare a user, all the way."""
        self.submit(satisfied(user_id, id=f"{user_id}-prepared"))
        self.work()

    def step_by_step(self) -> None:
        """Publish each step, in this process."""
        self.drive.app.settings = self.drive.app.settings.model_copy(update={"in_place": False})

    def visit(self, user_id: str, **options: Any) -> PlacementAnswer:
        """Visit as whoever asks again after he got no answer: the same request, under the same key."""
        return self.drive.visit(user_id, **{"channel": SLOT, "key": f"{user_id}-visit", **options})

    def make_due(self) -> None:
        """Let the time come for everything that waits."""
        self.drive.run(_MAKE_DUE)

    def work(self) -> None:
        """Deliver what lies in the broker, until nothing is left."""
        while self.drive.runtime.redis.exists(*self.drive.app.served):
            self.drive._work_one()

    def let_time_pass(self) -> None:
        """Let whoever died be noticed: locks fall, and what was taken from the broker comes back, late."""
        wait_for_the_dead(self.drive)
        client = self.drive.runtime.redis
        for pattern in _PASSING:
            for key in client.scan_iter(pattern):
                client.delete(key)

    def recover(self) -> None:
        """Do what a healthy installation does by itself: sweep and work, until nothing waits any more.

        Messages whose worker died come back only after the sweeper has claimed their executions anew: too late.
        """
        self.let_time_pass()
        for _ in range(self.drive.app.settings.max_attempts):
            if self._rests():
                return
            self.make_due()
            sweep(self.drive.app)
            redelivered(self.drive)
            self.work()
        raise AssertionError(f"this does not end: {self.unended()}")

    def _rests(self) -> bool:
        redis = self.drive.runtime.redis
        return not redis.exists("unacked", *self.drive.app.served) and not self.drive.value(_WAITING)

    def grants(self, user_id: str) -> list[tuple[Any, ...]]:
        """Give the user's grants: activity, state, usable, how many assets, of which status."""
        return self.drive.rows(_GRANTS, user=user_id)

    def unended(self) -> list[str]:
        """Give what has not ended, of anybody."""
        return [what for (what,) in self.drive.rows(_OPEN)]

    def torn(self) -> list[str]:
        """Give what was written in part."""
        return [what for (what,) in self.drive.rows(_TORN)]

    def miscounted(self) -> list[str]:
        """Give stock and limits of which more, or less, is gone than was given."""
        counted = [*self.drive.rows(_STOCK), *self.drive.rows(_COUNTERS)]
        return [f"{name}: {gone} gone, {given} given" for name, gone, given in counted if gone != given]

    def audited(self) -> list[str]:
        """Give what the audit finds."""
        with self.drive.runtime.engine.connect() as conn:
            return [f"{one.check}: {one.text}" for one in audit.audit(conn)]


Act = Callable[[Scene, str], object]


@dataclass(frozen=True)
class Journey:
    """One way in.

    `arrange` comes before, `act` is what dies, `again` is what people outside do who got no answer, after everything
    here recovered by itself; `expect` gives what does not hold at the end, in words.
    """

    name: str
    arrange: Act
    act: Act
    again: Act
    expect: Callable[[Scene, str], Iterable[str]]

    def rehearse(self, scene: Scene, user_id: str) -> list[str]:
        """Give the boundaries that it passes, and end it as every run ends."""
        self.arrange(scene, user_id)
        passed = boundaries(scene.drive, partial(self.act, scene, user_id))
        assert passed, f"{self.name} passes no boundary"
        self._end_well(scene, user_id, "the rehearsal")
        return passed

    def die(self, scene: Scene, user_id: str, boundary: str) -> None:
        """Let it die at a boundary, and hold that everything comes right all the same."""
        self.arrange(scene, user_id)
        died = die_at(boundary, scene.drive, partial(self.act, scene, user_id))
        assert died, f"{self.name} does not pass {boundary} this time"
        self._end_well(scene, user_id, f"death at {boundary}")

    def _end_well(self, scene: Scene, user_id: str, what: str) -> None:
        scene.recover()
        self.again(scene, user_id)
        scene.recover()
        found = [*self.expect(scene, user_id), *scene.unended(), *scene.torn(), *scene.miscounted(), *scene.audited()]
        assert not found, f"{self.name}, {what}: {found}"


def nothing(_: Scene, __: str) -> None:
    """Nothing was there before, or nobody comes again."""


def one_grant(scene: Scene, user_id: str, *, activity: str, status: str = "available") -> Iterable[str]:
    """Hold that the user has exactly one grant, with its one asset."""
    wanted = [(activity, "granted", status in {"available", "claimed"}, 1, status)]
    found = scene.grants(user_id)
    if found != wanted:
        yield f"grants are {found}, not {wanted}"


def answered(scene: Scene, user_id: str, *, activity: str, **options: Any) -> Iterable[str]:
    """Hold that whoever asks again is shown the one grant, which the next visit reuses."""
    again = [part["outcome"] for part in scene.visit(user_id, **options).results]
    if again not in (["granted"], ["reused"]):
        yield f"the same request is answered {again} in the end"
    later = [part["outcome"] for part in scene.visit(user_id, **{**options, "key": None}).results]
    if later != ["reused"]:
        yield f"the next visit is answered {later}"
    yield from one_grant(scene, user_id, activity=activity)

"""An app in this process, driven by hand over the real Postgres and Redis: events in, tasks delivered, placements out.

Business time is what a test says (replay mode), unless a test asks for the real clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest
from celery.utils import uuid
from sqlalchemy import text

from tactics import rules
from tactics.celery_app import TacticsApp, create_app
from tactics.chain import prepare_app
from tactics.config import Settings
from tactics.domain.asset import Asset
from tactics.errors import GatewayError
from tactics.flows import register, setup
from tactics.flows.accepting import Receipt, accept_events
from tactics.flows.placement import PlacementAnswer, PlacementRequest, visit
from tactics.flows.sweep import sweep
from tactics.gateways.ports import AssetGateway
from tactics.runtime import Runtime
from tactics.store.events import Ref
from tactics.template import TacticsTemplate, register_template
from tests.making import document

NOON = datetime(2017, 11, 1, 12, tzinfo=UTC)
"""The business time of tests that do not care: within the schedule of `making.document`."""

_IDS = count(1)


def after(**span: float) -> datetime:
    """Give the time so long after NOON, as `timedelta` takes it."""
    return NOON + timedelta(**span)


def message(kind: str, data: Mapping[str, Any], *, at: datetime = NOON, **members: Any) -> dict[str, Any]:
    """Give a CloudEvent of `tactics.{kind}`, under an id of its own unless `id` says otherwise."""
    base = {"specversion": "1.0", "id": f"e{next(_IDS)}", "source": "shop", "type": f"tactics.{kind}"}
    return {**base, "time": at.isoformat(), "data": dict(data), **members}


def acted(user_id: str, action: str = "purchase", *, at: datetime = NOON, **data: Any) -> dict[str, Any]:
    """Give the event that a user did something; `id` and `source` are the event's, the rest is its data."""
    members = {name: data.pop(name) for name in ("id", "source") if name in data}
    return message("action", {"user_id": user_id, "action": action, **data}, at=at, **members)


def satisfied(user_id: str, rule_key: str = "bought", *, at: datetime = NOON, **members: Any) -> dict[str, Any]:
    """Give the event that a behaviour rule was satisfied elsewhere."""
    return message("behaviour", {"user_id": user_id, "rule_key": rule_key}, at=at, **members)


def became(asset_id: str, status: str, *, at: datetime = NOON, **members: Any) -> dict[str, Any]:
    """Give the event that an asset was claimed, redeemed, released or revoked."""
    return message("asset", {"asset_id": asset_id, "status": status}, at=at, **members)


def at_checkout(code: str = "camp18", **changes: Any) -> dict[str, Any]:
    """Give an activity that needs no preparation."""
    return document(code=code, channels={"prepare": [], "grant": ["home_banner"]}, **changes)


def rule_of(*actions: rules.Block, when: Any = None) -> dict[str, Any]:
    """Give a rule as a document has it: these actions, always or `when` something holds."""
    return rules.to_json(rules.so(when, *actions) if when is not None else rules.so(*actions))


def needs_vip() -> dict[str, Any]:
    """Give a rule that gives the coupon c18 to users whose attribute `vip` is true."""
    return rule_of(rules.send_coupon("c18"), when=rules.equals(rules.user_attribute("vip"), True))


def asset_of(part: Any) -> dict[str, Any]:
    """Give the one asset that a part of an answer shows."""
    (found,) = part["assets"]
    return dict(found)


def reasons_of(answer: PlacementAnswer) -> dict[str, str]:
    """Give the reason of each activity that an answer does not show."""
    return {part["activity"]: part["reason"] for part in answer.not_shown}


@dataclass
class FailingAssets:
    """The asset port, which fails while `failing` is set."""

    real: AssetGateway
    failing: bool = False

    def of_instance(self, user_id: str, activity_code: str) -> Sequence[Asset]:
        """Give the user's assets, or no answer."""
        if self.failing:
            raise GatewayError("the asset query did not answer: as the test wants it")
        return self.real.of_instance(user_id, activity_code)


@dataclass
class Drive:
    """An app, and what tests do with it."""

    app: TacticsApp
    extra_queues: Sequence[str] = field(default_factory=tuple)

    @property
    def runtime(self) -> Runtime:
        """The app's runtime."""
        return self.app.runtime

    @property
    def assets(self) -> FailingAssets:
        """The asset port, to make it fail."""
        found = self.runtime.gateways.assets
        assert isinstance(found, FailingAssets)
        return found

    def load(self, *documents: Mapping[str, Any], publish: bool = True) -> None:
        """Import activities and behaviour rules, live unless told otherwise."""
        setup.import_activities(self.runtime, documents, publish=publish)

    def accept(self, *messages: Any) -> tuple[list[Receipt], list[Ref]]:
        """Accept events; nothing is routed or published."""
        return accept_events(self.app, messages)

    def happen(self, *messages: Any) -> list[Receipt]:
        """Accept events and deliver their routing, with every step that follows in place."""
        receipts, refs = self.accept(*messages)
        self.route(*refs)
        return receipts

    def route(self, *refs: Ref) -> None:
        """Deliver the task that routes events."""
        self.deliver("tactics.route_events", [list(ref) for ref in refs])

    def visit(self, user_id: str, channel: str = "home_banner", **options: Any) -> PlacementAnswer:
        """Answer a placement at NOON, or `at` another time."""
        return visit(self.app, PlacementRequest(user_id, channel, **{"at": NOON, **options}))

    def outcome(self, user_id: str, channel: str = "home_banner", **options: Any) -> str:
        """Answer a placement that one activity is on; give its outcome or its reason."""
        answer = self.visit(user_id, channel, **options)
        (part,) = [*answer.results, *answer.not_shown]
        return str(part.get("outcome") or part["reason"])

    def deliver(self, name: str, *args: Any, **request: Any) -> Any:
        """Run a task as a worker does; give what its tracer says of it, None when it went well."""
        task_id = str(request.get("id") or uuid())
        base: dict[str, Any] = {
            "id": task_id,
            "hostname": None,
            "delivery_info": {},
            "headers": {},
            "correlation_id": task_id,
        }
        return self.app.tasks[name].__trace__(task_id, list(args), {}, {**base, **request}).info

    def work(self) -> list[str]:
        """Deliver what lies in the broker, until nothing is left; give the names of the tasks."""
        done = []
        while (name := self._work_one()) is not None:
            done.append(name)
        return done

    def _work_one(self) -> str | None:
        with self.app.connection_for_read() as connection, connection.channel() as channel:
            for name in (*self.app.served, *self.extra_queues):
                found = self.app.amqp.queues[name].bind(channel).get(no_ack=False, accept=["json"])
                if found is None:
                    continue
                args, _, embedded = found.payload
                headers = found.headers
                self.deliver(headers["task"], *args, **{**headers, **embedded, "hostname": None})
                found.ack()
                return str(headers["task"])
        return None

    def sweep(self) -> dict[str, int]:
        """Make everything that waits due, then do what beat does."""
        for table in ("event", "execution", "outside_grant"):
            self.run(f"UPDATE {table} SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")  # noqa: S608  # names of ours
        return sweep(self.app)

    def settle(self) -> None:
        """Sweep and work until nothing waits any more."""
        for _ in range(3 * self.app.settings.max_attempts):
            self.work()
            if not any(
                self.value(f"SELECT count(*) FROM {table} WHERE next_attempt_at IS NOT NULL")  # noqa: S608  # as above
                for table in ("event", "execution", "outside_grant")
            ):
                return
            self.sweep()
        raise AssertionError("something is still waiting")

    def rows(self, query: str, **params: Any) -> list[tuple[Any, ...]]:
        """Read rows."""
        with self.runtime.engine.connect() as conn:
            return [tuple(row) for row in conn.execute(text(query), params)]

    def value(self, query: str, **params: Any) -> Any:
        """Read one value."""
        ((found,),) = self.rows(query, **params)
        return found

    def run(self, statement: str, **params: Any) -> None:
        """Write, in a transaction of its own."""
        with self.runtime.engine.begin() as conn:
            conn.execute(text(statement), params)

    def forget(self) -> None:
        """Empty Redis, as a restart without persistence does."""
        self.runtime.redis.flushdb()


class Working:
    """A worker of one thread beside the test, for placements whose chain hops."""

    def __init__(self, drive: Drive) -> None:
        """Keep what is driven."""
        self._drive, self._done = drive, Flag()
        self._thread = Thread(target=self._loop, daemon=True)

    def _loop(self) -> None:
        while not self._done.is_set():
            self._drive.work()
            self._done.wait(0.005)

    def __enter__(self) -> None:
        """Begin."""
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        """End after what is being worked on."""
        self._done.set()
        self._thread.join()


def make_drive(
    settings: Settings, *, templates: Sequence[TacticsTemplate] = (), queues: Sequence[str] = (), **changes: Any
) -> Drive:
    """Make an app on these settings, in replay mode unless they say otherwise; end it with `app.runtime.close()`."""

    def opened(chosen: Settings) -> Runtime:
        runtime = Runtime.open(chosen)
        ports = runtime.gateways
        return replace(runtime, gateways=replace(ports, assets=FailingAssets(ports.assets)))

    app = create_app(settings.model_copy(update={"replay": True, "asset_wait_attempts": 1, **changes}), opened)
    register(app)
    for template in templates:
        register_template(app, template)
    prepare_app(app)
    return Drive(app, queues)


Maker = Callable[..., Drive]


@pytest.fixture
def driven(settings: Settings) -> Iterator[Maker]:
    """Make drives on the test's own servers: `make_drive` without its settings."""
    made: list[Drive] = []

    def make(**options: Any) -> Drive:
        made.append(make_drive(settings, **options))
        return made[-1]

    yield make
    for one in made:
        one.runtime.close()


@pytest.fixture
def drive(driven: Maker) -> Drive:
    """A drive in replay mode."""
    return driven()

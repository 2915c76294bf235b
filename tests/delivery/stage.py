"""Where deliveries are tested: an app in this process, real workers beside it, and one database and Redis for all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import redis
from celery.utils import uuid
from kombu import pools
from sqlalchemy import Engine, text

from tactics.celery_app import QUEUES, TacticsApp
from tactics.chain import prepare_app
from tactics.config import Settings
from tactics.flows import setup
from tactics.flows.action import submit_events
from tactics.flows.placement import PlacementAnswer, PlacementRequest, visit
from tactics.flows.sweep import sweep
from tactics.granting import change_asset
from tactics.worker import make_app
from tests.delivery.message import Message
from tests.delivery.plays import register_plays
from tests.delivery.processes import Beat, Visitor, Worker
from tests.delivery.waiting import until
from tests.making import document

# Everything that is waited for in production comes round quickly here.
QUICK: Mapping[str, Any] = {"claim_s": 2.0, "retry_base_s": 0.02, "retry_max_s": 0.2, "sweep_every_s": 0.1}

CHANNEL, SLOT = "bought", "home_banner"


def behaviour(user_id: str, number: object, **attributes: Any) -> dict[str, Any]:
    """Give a behaviour event as producers send it."""
    data = {"user_id": user_id, "rule_key": CHANNEL, "attributes": attributes}
    return {"specversion": "1.0", "id": f"e{number}", "source": "test", "type": "tactics.behaviour", "data": data}


class Stage:
    """An app in this process, and the workers started beside it."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], folder: Path, **changes: Any) -> None:
        """Make app and environment of the same settings."""
        changed = {**QUICK, **changes}
        self.settings = settings.model_copy(update=changed)
        self.environment = {
            **environment,
            **{f"TACTICS_{name.upper()}": str(value).lower() for name, value in changed.items()},
        }
        self.folder = folder
        self.app: TacticsApp = make_app(self.settings)
        register_plays(self.app)
        prepare_app(self.app)
        self.redis = redis.Redis.from_url(settings.redis_url)
        self._processes: list[Worker | Beat | Visitor] = []

    def __enter__(self) -> Self:
        """Be there."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process and no connection behind."""
        for one in self._processes:
            one.kill()
        pools.reset()  # they are the process's, by address, and the next stage may have this one's
        self.app.runtime.close()
        self.redis.close()

    @property
    def engine(self) -> Engine:
        """The database."""
        return self.app.runtime.engine

    def run_in_place(self, yes: bool) -> None:
        """Let this process run what follows in place, or publish each step."""
        self.settings = self.settings.model_copy(update={"in_place": yes})
        self.app.settings = self.settings

    def import_activity(self, *, stock: int | None = None, **changes: Any) -> None:
        """Make an activity live: a coupon for whoever was prepared, open for long."""
        coupon = {"kind": "coupon", "code": "SAVE5", "value_minor": 500, **({} if stock is None else {"stock": stock})}
        made = {
            "template_type": "marked",
            "schedule": {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"},
            "channels": {"prepare": [CHANNEL], "grant": [SLOT]},
            "benefits": {"c18": coupon},
            **changes,
        }
        setup.import_activities(self.app.runtime, [document(**made)], publish=True)

    @contextmanager
    def changed_function(self, name: str, old: str, new: str) -> Iterator[None]:
        """Let a function of the database say something else while this lasts."""
        definition = self.value(f"SELECT pg_get_functiondef('{name}'::regproc)")
        assert old in definition
        self.run_sql(definition.replace(old, new))
        try:
            yield
        finally:
            self.run_sql(definition)

    def start_worker(self, name: str = "w", *, queues: Sequence[str] = QUEUES, processes: int = 2) -> Worker:
        """Start a worker; it is killed at the end, if not before."""
        made = Worker(self.environment, self.folder / f"{name}-{len(self._processes)}.log", queues, processes)
        self._processes.append(made)
        return made

    def start_beat(self) -> None:
        """Start the clock of the sweeper, which workers then do."""
        self._processes.append(Beat(self.environment, self.folder / "beat.log"))

    def clear(self) -> None:
        """Take back what was imported and what happened; the audit log can only be added to, and tells of this as well."""
        names = [
            row["name"]
            for row in self.rows(
                "SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p') "
                "AND relnamespace = 'public'::regnamespace AND NOT relispartition AND relname NOT IN ('alembic_version', 'audit_log')"
            )
        ]
        self.run_sql(f"TRUNCATE {', '.join(names)}")
        self.redis.flushdb()

    def start_visitors(self, count: int) -> list[Visitor]:
        """Start visitors side by side, and wait until all can visit."""
        made = [Visitor(self.environment) for _ in range(count)]
        self._processes += made
        for one in made:
            one.wait_until_ready()
        return made

    def start_workers(self, count: int, *, processes: int = 1) -> list[Worker]:
        """Start workers side by side, and wait until all take messages."""
        made = [self.start_worker(f"w{number}", processes=processes) for number in range(count)]
        for one in made:
            one.wait_until_ready()
        return made

    @contextmanager
    def sweeping(self, every_s: float = 0.15) -> Iterator[None]:
        """Sweep from this process, again and again; what goes wrong is raised at the end."""
        over = threading.Event()
        troubles: list[Exception] = []

        def run() -> None:
            while not over.wait(every_s):
                try:
                    sweep(self.app)
                except Exception as error:  # noqa: BLE001  # raised where the test can see it
                    troubles.append(error)
                    return

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if troubles:
            raise troubles[0]

    def submit(self, *messages: Mapping[str, Any]) -> None:
        """Hand events in; all must be accepted."""
        receipts = submit_events(self.app, messages)
        assert {one.status for one in receipts} == {"accepted"}, receipts

    def visit(self, user_id: str, **changes: Any) -> PlacementAnswer:
        """Visit the slot as a user."""
        return visit(self.app, PlacementRequest(user_id, SLOT, **changes))

    def shown(self, user_id: str, **changes: Any) -> dict[str, Any]:
        """Visit the slot, and give the one activity's part of the answer."""
        answer = self.visit(user_id, **changes)
        (part,) = [*answer.results, *answer.not_shown]
        return part

    def deliver(self, task: str, *args: Any, app: TacticsApp | None = None, **request: Any) -> Any:
        """Deliver a message in this process, as a worker's child would."""
        task_id = request.get("id") or uuid()
        made = {"id": task_id, "delivery_info": {}, "headers": {}, **request}
        return (app or self.app).tasks[task].__trace__(task_id, list(args), {}, made)

    def sweep(self) -> dict[str, int]:
        """Sweep once."""
        return sweep(self.app)

    def published(self, *queues: str) -> list[Message]:
        """Take all messages from queues (the usual ones, if none is named) as a worker would, oldest first."""
        found = []
        for queue in queues or QUEUES:
            while (raw := self.redis.rpop(queue)) is not None:
                found.append(Message(raw))  # type: ignore[arg-type]  # one element is asked for
        return found

    def publish(self, message: Message) -> None:
        """Put a message that was taken into its queue, once more."""
        self.redis.lpush(message.raw["properties"]["delivery_info"]["routing_key"], json.dumps(message.raw))

    def waiting(self, *queues: str) -> int:
        """Count the messages in queues (the usual ones, if none is named)."""
        return sum(int(self.redis.llen(queue)) for queue in queues or QUEUES)

    def redeem(self, asset_id: str) -> None:
        """Redeem an asset."""
        with self.engine.begin() as conn:
            change_asset(conn, UUID(asset_id), "redeemed", self.app.runtime.now(conn))

    def deliver_message(self, message: Message) -> None:
        """Deliver a message that was taken, here."""
        self.deliver(message.task, *message.args, id=message.id, chain=message.chain)

    def deliver_published(self) -> None:
        """Deliver what is published, and what that publishes, until nothing is left."""
        while messages := self.published():
            for one in messages:
                self.deliver_message(one)

    def work_until_the_end(self) -> None:
        """Sweep and deliver here until everything that was accepted has ended."""

        def work() -> bool:
            self.sweep()
            self.deliver_published()
            return not self.value(
                "SELECT (SELECT count(*) FROM execution WHERE finished_at IS NULL) + "
                "(SELECT count(*) FROM event WHERE routed_at IS NULL AND parked_reason IS NULL)"
            )

        until(work, "everything ends")

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Ask the database."""
        with self.engine.connect() as conn:
            return [dict(row) for row in conn.execute(text(query), values).mappings()]

    def value(self, query: str, **values: Any) -> Any:
        """Ask the database for one value."""
        with self.engine.connect() as conn:
            return conn.execute(text(query), values).scalar_one()

    def run_sql(self, *statements: str) -> None:
        """Change the database."""
        with self.engine.begin() as conn:
            for one in statements:
                conn.execute(text(one))

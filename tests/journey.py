"""The whole pipeline in the test's own process, over real servers: actions in, chains run in place, placements answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celery.utils import uuid

from tactics.celery_app import TacticsApp
from tactics.chain import prepare_app
from tactics.config import Settings
from tactics.flows import setup
from tactics.flows.accepting import accept_events
from tactics.flows.placement import PlacementRequest, visit
from tactics.worker import make_app


@dataclass
class Shop:
    """An app, and what its users do. Deliveries are run by calling the task's tracer, as a worker does."""

    app: TacticsApp
    events: int = 0

    def imports(self, *documents: dict[str, Any]) -> None:
        """Import activities and make them live."""
        setup.import_activities(self.app.runtime, documents, publish=True)

    def deliver(self, name: str, *args: object) -> None:
        """Run a task as if a message for it had arrived."""
        task_id = uuid()
        request = {"id": task_id, "hostname": "worker@test", "delivery_info": {}, "headers": {}}
        self.app.tasks[name].__trace__(task_id, list(args), {}, request)

    def buys(self, user_id: str, times: int = 1, *, route: bool = True) -> Sequence[Sequence[Any]]:
        """Let a user purchase; the events are accepted and, unless told otherwise, routed."""
        first, self.events = self.events, self.events + times
        messages = [
            {
                "specversion": "1.0",
                "id": f"buy-{first + number}",
                "source": "shop",
                "type": "tactics.action",
                "data": {"user_id": user_id, "action": "purchase", "item_id": "7"},
            }
            for number in range(times)
        ]
        receipts, refs = accept_events(self.app, messages)
        assert [one.status for one in receipts] == ["accepted"] * times
        if route:
            self.deliver("tactics.route_events", [list(ref) for ref in refs])
        return refs

    def visits(self, user_id: str, channel: str = "home", **members: Any) -> dict[str, Any]:
        """Let a user visit a placement, and give the answer."""
        return visit(self.app, PlacementRequest(user_id, channel, **members)).to_json()


def open_shop(settings: Settings) -> Shop:
    """Open a shop; its runtime is to be closed by whoever opens it."""
    app = make_app(settings)
    prepare_app(app)
    return Shop(app)


def offer(**changes: Any) -> dict[str, Any]:
    """Give an activity that is running now: two purchases prepare it, a visit to `home` gets a coupon."""
    count = {"block": "pbb.resource.behaviour_count", "params": {"action": "purchase", "window_s": 3600}}
    twice = {"block": "pbb.condition.amount_at_least", "params": {"amount": count, "amount_at": 2}}
    return {
        "code": "tea",
        "template_type": "full_link_v3",
        "schedule": {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"},
        "channels": {"prepare": ["bought_twice"], "grant": ["home"]},
        "rule": {"so": {"then": [{"block": "pbb.action.send_coupon", "params": {"benefit": "five_off"}}]}},
        "benefits": {"five_off": {"kind": "coupon", "value_minor": 500, "stock": 10, "validity_s": 3600}},
        "behaviour_rules": {"bought_twice": {"rule": twice}},
        **changes,
    }

"""The Celery app of the tests' workers: `celery -A tests.delivery.worker worker`."""

from __future__ import annotations

from tactics import worker
from tactics.celery_app import TacticsApp
from tests.delivery.plays import register_plays


def __getattr__(name: str) -> TacticsApp:
    if name != "app":
        raise AttributeError(name)
    app = worker.app
    register_plays(app)
    globals()["app"] = app
    return app

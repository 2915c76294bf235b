"""The Celery app of this process's settings: `celery -A tactics.worker worker`, `… beat`, `… flower`."""

from __future__ import annotations

from tactics.celery_app import TacticsApp, create_app
from tactics.config import Settings
from tactics.flows import register


def make_app(settings: Settings) -> TacticsApp:
    """Make an app with everything registered."""
    app = create_app(settings)
    register(app)
    return app


def __getattr__(name: str) -> TacticsApp:
    """Make `app` when Celery asks for it, so that importing this module needs no database."""
    if name != "app":
        raise AttributeError(name)
    settings = Settings()
    settings.require_servers("celery -A tactics.worker")
    globals()["app"] = app = make_app(settings)
    return app

"""The journeys, read top-down; and `register`, by which an app learns the plays and tasks of Tactics."""

from __future__ import annotations

from tactics.celery_app import TacticsApp
from tactics.flows import action, grant_retry, recall, retention, settle, sweep, webhook_delivery
from tactics.plugin import register_plugins
from tactics.template import register_template
from tactics.templates import TEMPLATES


def register(app: TacticsApp) -> None:
    """Make templates, processors and tasks known to an app, those of plugins too; workers, API and CLI all call it.

    Raises:
        InvalidPlugin: a plugin cannot be loaded: nobody should work without what it declares unless told to.
    """
    action.register(app)
    sweep.register(app)
    recall.register(app)
    retention.register(app)
    settle.register(app)
    grant_retry.register(app)
    webhook_delivery.register(app)
    for template in TEMPLATES:
        register_template(app, template)
    register_plugins(app)

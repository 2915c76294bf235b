"""The journeys, read top-down; and `register`, by which an app learns the plays and tasks of Tactics."""

from __future__ import annotations

from tactics.celery_app import TacticsApp
from tactics.flows import action, sweep
from tactics.template import TacticsTemplate, register_template
from tactics.templates.full_link_v2 import full_link_v2
from tactics.templates.full_link_v3 import full_link_v3

TEMPLATES: tuple[TacticsTemplate, ...] = (full_link_v2, full_link_v3)


def register(app: TacticsApp) -> None:
    """Make templates, processors and tasks known to an app; workers, API and CLI all call it."""
    action.register(app)
    sweep.register(app)
    for template in TEMPLATES:
        register_template(app, template)

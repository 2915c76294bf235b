"""The routes of the API, a module for each kind of thing; `tactics.api.service` puts them together."""

from __future__ import annotations

from fastapi import APIRouter

from tactics.api.routes import (
    activities,
    activity_versions,
    assets,
    audit_log,
    behaviour_rules,
    benefits,
    codes,
    docs,
    events,
    executions,
    grants,
    health,
    items,
    parked,
    placements,
    plays,
    providers,
    users,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    events.router,
    placements.router,
    executions.router,
    activities.router,
    activity_versions.router,
    plays.router,
    behaviour_rules.router,
    benefits.router,
    providers.router,
    assets.router,
    codes.router,
    grants.router,
    parked.router,
    webhooks.router,
    audit_log.router,
    users.router,
    items.router,
    health.router,
    docs.router,
)

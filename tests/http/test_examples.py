"""The examples that OpenAPI shows of users, items, assets, codes, grants, stock and parked work."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from tactics.api.routes import assets, benefits, codes, grants, items, parked, providers, users, webhooks

MODULES = (assets, benefits, codes, grants, items, parked, providers, users, webhooks)
ROUTES = [
    route
    for module in MODULES
    for route in module.router.routes
    if isinstance(route, APIRoute) and route.include_in_schema
]


def _examples(content: Any) -> list[Any]:
    return [one["value"] for one in content["application/json"]["examples"].values()]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{min(route.methods)} {route.path}")
def test_examples_are_what_the_route_reads_and_answers(route: APIRoute) -> None:
    """Each route shows at least one request, where it takes one, and one answer; its own models read them whole."""
    if route.body_field is not None:
        asked = route.body_field.field_info
        given = [one["value"] for one in asked.openapi_examples.values()]  # type: ignore[attr-defined]  # of Body
        assert given
        for one in given:
            TypeAdapter[Any](asked.annotation).validate_python(one)  # type: ignore[arg-type]  # it has one
    assert route.description
    assert route.description[0].isupper()
    if route.status_code == 204:
        return
    for answer in _examples(route.responses[route.status_code or 200]["content"]):
        model = route.response_model
        assert model.model_validate(answer).model_dump(mode="json") == answer
    declared = set(route.responses)
    assert {422} <= declared
    assert ("{" in route.path.removeprefix("/v1/users/{user_id}/assets")) <= bool(declared & {404, 412})

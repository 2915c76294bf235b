"""What OpenAPI says beyond what FastAPI finds: who may call a route, what any route may be refused with, whole examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from tactics.api.auth import is_open
from tactics.api.problems import described

_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, made by `tactics keys create`. One of the scopes that a route lists is enough.",
}
# Of every route that asks who calls, whatever it does.
_REFUSED = described(401, 403, 429, 503)
# Of every address with an id in it: an id with a slash leads to no route.
_NOWHERE = described(404)
ANY_KEY = (401, 429, 503)


def install(api: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Let an app tell what its routes have in common.

    Args:
        api: which includes the routers.
        routers: with the routes.
    """
    made, kept = api.openapi, list(routers)

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            schema = made()
            schema.setdefault("components", {})["securitySchemes"] = {"ApiKey": _SCHEME}
            for router in kept:
                for route, operation in _operations(schema, router):
                    _complete(operation, route, scopes_of(router, route))
        return api.openapi_schema or {}

    api.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it


def scopes_of(router: APIRouter, route: APIRoute) -> list[str]:
    """Give the scopes any of which a route asks for; none of one that everybody may call."""
    asked = (getattr(one.dependency, "scopes", ()) for one in (*router.dependencies, *route.dependencies))
    return list(dict.fromkeys(scope for scopes in asked for scope in scopes))


def _operations(schema: Mapping[str, Any], router: APIRouter) -> Iterator[tuple[APIRoute, dict[str, Any]]]:
    for route in router.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                yield route, schema["paths"][route.path_format][method.lower()]


def _complete(operation: dict[str, Any], route: APIRoute, scopes: list[str]) -> None:
    if scopes:
        operation["x-scopes"] = scopes
        operation["security"] = [{"ApiKey": [scope]} for scope in scopes]
        for status, response in _REFUSED.items():
            operation["responses"].setdefault(str(status), response)
    elif not is_open(route.path):
        operation["security"] = [{"ApiKey": []}]
        for status in ANY_KEY:
            operation["responses"].setdefault(str(status), _REFUSED[status])
    if route.param_convertors:
        operation["responses"].setdefault("404", _NOWHERE[404])
    # FastAPI leaves null members out of examples: they are put back.
    for status, response in route.responses.items():
        _put_back(operation["responses"][str(status)], response.get("content", {}))
    if route.body_field is not None and "requestBody" in operation:
        examples = getattr(route.body_field.field_info, "openapi_examples", None)
        _put_back(operation["requestBody"], {"application/json": {"examples": examples}} if examples else {})


def _put_back(shown: dict[str, Any], said: Mapping[str, Any]) -> None:
    for media, content in said.items():
        for name in ("example", "examples"):
            if name in content:
                shown["content"][media][name] = content[name]

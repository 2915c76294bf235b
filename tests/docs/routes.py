"""The reference page of the API, as it follows from OpenAPI: each route with its scopes, parameters, body and answers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from tactics.api.service import create_api
from tactics.celery_app import create_app
from tactics.config import Settings

Schema = Mapping[str, Any]
_NOT_RUN = "<!-- not run: what it needs is made by the tests, which send the examples of each route -->"
_BASE = "http://127.0.0.1:8470"
_JSON = "application/json"
# Where a parameter has no example: what the tutorial calls one.
_NAMES = {
    "channel_code": "home_banner",
    "user_id": "ann",
    "item_id": "t1",
    "name": "teas",
    "activity": "welcome",
    "benefit": "five_off",
    "code": "welcome",
}
_SOME_ID = "9c7b6157-f4ed-47f1-981a-936c082a1488"
# Every route has these, and the top of the page says what they mean.
_ALL_HAVE = frozenset({"401", "403", "429", "503"})
_TEXTS = {"string": "text", "integer": "whole number", "array": "list", "boolean": "true or false", "null": "null"}


def routes() -> str:
    """Give every route, by what it is about."""
    document = create_api(create_app(Settings.model_construct())).openapi()
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            page = "".join(_route(method.upper(), path, operation, document))
            by_tag.setdefault(operation.get("tags", ["service"])[0], []).append(page)
    return "".join(f"## {tag.capitalize()}\n\n{''.join(pages)}" for tag, pages in by_tag.items()).rstrip("\n") + "\n"


def _route(method: str, path: str, operation: Schema, document: Schema) -> Iterator[str]:
    yield f"### `{method} {path}`\n\n{_told(operation)}\n\n"
    scopes = operation.get("x-scopes")
    if scopes:
        yield f"Scope: {' or '.join(f'`{one}`' for one in scopes)}.\n\n"
    else:
        yield "Any key.\n\n" if operation.get("security") else "Open to all.\n\n"
    rows = [*_parameters(operation), *_members(operation, document)]
    if rows:
        yield "| name | where | is | means |\n|---|---|---|---|\n"
        yield "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)
        yield "\n"
    yield f"Answers: {'; '.join(_answers(operation, document))}.\n\n"
    yield f"{_NOT_RUN}\n```sh\n{_curl(method, path, operation)}\n```\n\n"


def _told(operation: Schema) -> str:
    text = operation.get("description") or operation.get("summary", "")
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _parameters(operation: Schema) -> Iterator[tuple[str, ...]]:
    for one in operation.get("parameters", ()):
        name = f"`{one['name']}`" + ("" if one["required"] else "?")
        yield name, one["in"], _kind(one["schema"]).removesuffix(" or null"), one.get("description", "")


def _members(operation: Schema, document: Schema) -> Iterator[tuple[str, ...]]:
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = _whole(content.get("schema", {}), document)
        where = "body" if media == _JSON else f"body, `{media}`"
        if schema.get("properties"):
            for name, part in schema["properties"].items():
                needed = name in schema.get("required", ())
                yield f"`{name}`" + ("" if needed else "?"), where, _kind(part), part.get("description", "")
        else:
            told = operation["requestBody"].get("description") or schema.get("description") or ""
            yield "", where, _kind(schema), " ".join(told.split())


def _answers(operation: Schema, document: Schema) -> Iterator[str]:
    for status, response in sorted(operation["responses"].items()):
        if status in _ALL_HAVE:
            continue
        if int(status) >= 400:
            yield f"`{status}`"
            continue
        schema = _whole(response.get("content", {}).get(_JSON, {}).get("schema", {}), document)
        members = ", ".join(f"`{name}`" for name in schema.get("properties", {}))
        headers = ", ".join(f"`{name}`" for name in response.get("headers", {}))
        yield f"`{status}`" + (members and f" {{{members}}}") + (headers and f" with {headers}")


def _whole(schema: Schema, document: Schema) -> Schema:
    """Follow a reference; of a choice between an object and nothing, give the object."""
    chosen = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(chosen) == 1:
        return _whole(chosen[0], document)
    if "$ref" in schema:
        found: Schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        return "object"
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " or ".join(dict.fromkeys(_kind(one) for one in schema[choice]))
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if schema.get("items") else "list"
    type_ = str(schema.get("type", "anything"))
    kind = _TEXTS.get(type_, type_)
    default = schema.get("default")
    return f"{kind}, `{json.dumps(default)}`" if default not in (None, "") else kind


def _curl(method: str, path: str, operation: Schema) -> str:
    address = _BASE + re.sub(r"{(\w+)}", lambda found: _value(found[1], path, operation), path)
    asked = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query" and one["required"]]
    if asked:
        address += "?" + "&".join(f"{name}={_value(name, path, operation)}" for name in asked)
    parts = ["curl -s" + {"GET": "", "POST": ""}.get(method, f" -X {method}"), shlex.quote(address)]
    body = operation.get("requestBody", {})
    for media, content in list(body.get("content", {}).items())[:1]:
        examples = content.get("examples") or {"": {"value": content.get("example")}}
        sent = next(iter(examples.values()))["value"]
        if sent is None:
            break
        return f"{' '.join(parts)} -H 'content-type: {media}' \\\n    -d {shlex.quote(json.dumps(sent))}"
    return " ".join([parts[0] + (" -X POST" if method == "POST" else ""), *parts[1:]])


def _value(name: str, path: str, operation: Schema) -> str:
    for one in operation.get("parameters", ()):
        shown = [*one.get("examples", {}).values(), {"value": one.get("example")}, *_of_schema(one["schema"])]
        found = next((part["value"] for part in shown if part["value"] is not None), None)
        if one["name"] == name and found is not None:
            return str(found)
    if path.startswith("/v1/plays") and name == "code":
        return "spend_and_save"
    return _NAMES.get(name, _SOME_ID)


def _of_schema(schema: Schema) -> Iterator[dict[str, Any]]:
    yield from ({"value": one} for one in schema.get("examples", ()))

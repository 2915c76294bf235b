"""The examples of what operators set up, as OpenAPI shows them, are true."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from tactics.api.examples_setup import STORY
from tests.http.conftest import Client

_FOLDERS = ("/v1/activities", "/v1/plays", "/v1/behaviour-rules", "/v1/channels")
_CLOCK = {"saved_at", "current_at", "updated_at"}


def _without_times(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: "…" if name in _CLOCK and part else _without_times(part) for name, part in answer.items()}
    return [_without_times(part) for part in answer] if isinstance(answer, list) else answer


def test_the_examples_of_openapi_are_true(api: Client) -> None:
    """Each request that is shown is answered as it is shown, the ETag of an edit is that of the thing afterwards, and all fit their schemas."""
    document = api.get("/openapi.json").json()
    for name, told in STORY.items():
        found = api.request(told.method, told.address, json=told.sent)
        assert (found.status_code, _without_times(found.json())) == (told.status, _without_times(told.answer)), name
        if "etag" in found.headers and told.method != "GET":
            place = found.headers.get("location") or told.address.partition("?")[0]
            thing = "/".join(place.split("/")[:4]) if place.count("/") > 2 else f"{place}/{found.json()['code']}"
            assert api.get(thing).headers["etag"] == found.headers["etag"], name
    shown = set()
    for path, methods in document["paths"].items():
        if not path.startswith(_FOLDERS):
            continue
        for operation in methods.values():
            assert operation["x-scopes"]
            assert {"401", "403", "429", "503"} < operation["responses"].keys()
            for at in (operation.get("requestBody", {}), *operation["responses"].values()):
                content = at.get("content", {}).get("application/json", {})
                for name, part in content.get("examples", {}).items():
                    if name not in STORY:
                        continue
                    Draft202012Validator({**content["schema"], "components": document["components"]}).validate(
                        part["value"]
                    )
                    assert part["value"] in (STORY[name].answer, STORY[name].sent)
                    shown.add(name)
    assert shown == set(STORY)

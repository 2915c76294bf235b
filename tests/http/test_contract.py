"""The API does what its OpenAPI says: schemathesis, with every check, on data that its requests find."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from tactics.api.service import create_api
from tactics.domain.api_key import SCOPES
from tests.driving import Drive
from tests.fuzz.api import make_data, schemathesis
from tests.http.test_auth import bearer, make
from tests.served import served

_ANY_ID = "00000000-0000-4000-8000-000000000000"


def test_the_api_is_what_its_openapi_says(live: Drive) -> None:
    """No request, right or wrong, alone or after others, is answered otherwise than OpenAPI says; `make fuzz-api` asks for longer."""
    key = make(live.runtime).key
    with served(create_api(live.app)) as url:
        with httpx.Client(base_url=url, headers=bearer(key), timeout=30) as client:
            ids = make_data(client)
            assert all(ids.values()), ids
        found = schemathesis(url, key, ids, "--seed", "1", "-n", "3", "--no-shrink", out=subprocess.PIPE)
    assert found.returncode == 0, found.stdout
    # Each of them, and nothing is left out for want of data.
    (tested,) = re.findall(r"Tested: (\d+)", found.stdout)
    assert f"{tested} selected / {tested} total" in found.stdout


def test_who_is_let_in_is_what_openapi_says(live: Drive, api_of: Any) -> None:
    """Once there are keys, every route but the open ones wants one, and one of the scopes that OpenAPI lists for it."""
    api = api_of(live)
    lacking = {scope: make(live.runtime, *(set(SCOPES) - {scope})) for scope in SCOPES}
    one = {scope: make(live.runtime, scope) for scope in SCOPES}
    unlocked, locked = set(), 0
    for method, path, operation in _operations(api.get("/openapi.json").json()):
        address = path.format_map(_Ids())
        stranger = api.request(method, address)
        scopes = {scope for way in operation.get("security", ()) for scope in way["ApiKey"]}
        if not operation.get("security"):
            unlocked.add(path)
            assert stranger.status_code == 200, path
            continue
        assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthorized"), (method, path)
        assert stranger.headers["WWW-Authenticate"] == "Bearer"
        assert {"401", "429", "503"} <= operation["responses"].keys(), (method, path)
        if not scopes:
            continue
        locked += 1
        assert "403" in operation["responses"], (method, path)
        keys = [lacking[next(iter(scopes))]] if len(scopes) == 1 else [one[other] for other in set(SCOPES) - scopes]
        for key in keys:
            refused = api.request(method, address, headers=bearer(key), json={})
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), (method, path)
            assert set(refused.json()["needed"]) == scopes, (method, path)
    assert unlocked == {"/healthz", "/readyz"}
    assert locked > 50


class _Ids(dict[str, str]):
    """What stands in a path where it may be anything."""

    def __missing__(self, name: str) -> str:
        return "1" if name == "version" else _ANY_ID


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_what_openapi_says_of_numbers_and_languages_is_so(api: Any) -> None:
    """A number without a fraction is whole however it is written, and the languages that OpenAPI knows are answered, in any case."""
    told = api.put("/v1/items/7", content='{"price_minor": 450.0}', headers={"content-type": "application/json"})
    assert (told.status_code, told.json()["price_minor"]) == (200, 450)
    assert api.put("/v1/items/7", json={"price_minor": 450.5}).status_code == 422
    published = api.post("/v1/activities/welcome/publish", json={"version": 1.0})
    assert published.status_code == 404, published.text  # there is none, and nothing is wrong with the number
    (language,) = (
        one["schema"]
        for one in api.get("/openapi.json").json()["paths"]["/v1/rules/blocks"]["get"]["parameters"]
        if one["name"] == "language"
    )
    answered = {}
    for tag in ("en", "ZH", "zh-CN", "En-us-x", "*", "fr", "en-", "-", "english", "e"):
        answered[tag] = api.get("/v1/rules/blocks", params={"language": tag}).status_code
        assert (answered[tag] == 200) == bool(re.search(language["pattern"], tag)), tag
    assert set(answered.values()) == {200, 422}

"""How a request has to be sent to the rules service, and what it is refused with."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import MutableMapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tactics import rules
from tactics.api import body, limits
from tactics.api.app import create_rules_app
from tests.api.wire import EXISTS, JSON, post, problem

BIG = limits.MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (b"", "the body is empty"),
        (b"{", "this is not JSON"),
        (b'{"rule": 1, "rule": 2}', "the key 'rule' is given twice"),
        (b'{"facts": {"a": [{"b": 1, "b": 1}]}}', "the key 'b' is given twice"),
        (b'{"facts": {"a": NaN}}', "NaN is not a number in JSON"),
        (b'{"facts": {"a": -Infinity}}', "-Infinity is not a number in JSON"),
        (b'{"rule": "\xff"}', "the body is not UTF-8"),
        ('{"rule": 1}'.encode("utf-16"), "the body is not UTF-8"),
        (b"[" * 100_000, "the text is nested too deep"),
        (b'{"a":' * 100_000, "the text is nested too deep"),
        (b'{"facts": {"a": ' + b"9" * 5000 + b"}}", "this is not JSON"),
        (b"{} {}", "this is not JSON"),
    ],
)
@pytest.mark.parametrize("route", ["evaluate", "check", "price"])
def test_what_is_no_json_is_refused(service: TestClient, route: str, sent: bytes, detail: str) -> None:
    """Text that is not JSON, or that JSON readers read differently, answers 400 and says what is wrong with it."""
    assert detail in problem(post(service, route, sent), 400, "not_json")["detail"]


def test_nesting_is_refused_or_judged_at_every_depth(service: TestClient) -> None:
    """Where the reader stops, and a little before, a nested rule is refused or invalid, and nested facts are facts."""
    for depth in (60, 65, *range(850, 1050, 3)):
        rule = '{"not": ' * depth + EXISTS + "}" * depth
        facts = '{"user": ' * depth + "{}" + "}" * depth
        for sent in (f'{{"rule": {rule}, "facts": {{}}}}', f'{{"rule": {EXISTS}, "facts": {facts}}}'):
            answer = post(service, "evaluate", sent)
            assert answer.status_code == 200 or problem(answer, 400, "not_json"), depth
        answer = post(service, "price", f'{{"order": {facts}, "rules": [{rule}]}}')
        assert answer.json()["code"] in {"not_json", "rule_error"}, depth


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "multipart/form-data; boundary=x"},
        {"content_type": ""},
        {"content_type": "json"},
        {"content_type": "application/json; charset=utf-16"},
        {"content_encoding": "gzip"},
    ],
)
def test_a_body_that_is_not_sent_as_json_is_refused(service: TestClient, headers: dict[str, str]) -> None:
    """Forms, plain text and compressed bodies answer 415, whatever is in them."""
    problem(post(service, "check", b'{"rule": null}', **headers), 415, "media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.api+json"]
)
def test_json_under_its_names_is_taken(service: TestClient, content_type: str) -> None:
    """JSON is taken with its charset, and as a format built on it."""
    assert post(service, "check", b'{"rule": null}', content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    ("route", "sent", "path", "message"),
    [
        ("evaluate", [], "", "valid dictionary"),
        ("evaluate", None, "", "valid dictionary"),
        ("evaluate", {"facts": {}}, "", "exactly one of `rule` and `rules`"),
        ("evaluate", {"facts": {}, "rule": None, "rules": [{"code": "a", "rule": 1}]}, "", "exactly one"),
        ("evaluate", {"rule": None}, "/facts", "Field required"),
        ("evaluate", {"rule": None, "facts": []}, "/facts", "valid dictionary"),
        ("evaluate", {"rule": None, "facts": {}, "explain": 1}, "/explain", "valid boolean"),
        ("evaluate", {"rule": None, "facts": {}, "item_id": 7}, "/item_id", "valid string"),
        ("evaluate", {"rule": None, "facts": {}, "matched_only": True}, "", "for many `rules`"),
        ("evaluate", {"rule": None, "fact": {}, "facts": {}}, "", '"fact" does not belong here'),
        ("evaluate", {"facts": {}, "rules": []}, "/rules", "at least 1 item"),
        ("evaluate", {"facts": {}, "rules": [{"code": "a", "rule": 1}] * 1001}, "/rules", "at most 1000 items"),
        ("evaluate", {"facts": {}, "rules": [{"code": "", "rule": 1}]}, "/rules/0/code", "at least 1 character"),
        ("evaluate", {"facts": {}, "rules": [{"code": "a"}]}, "/rules/0/rule", "Field required"),
        ("check", {}, "/rule", "Field required"),
        ("check", {"rule": 1, "open_aliases": "yes"}, "/open_aliases", "valid boolean"),
        ("price", {"order": {}}, "/rules", "Field required"),
        ("price", {"order": {}, "rules": {}}, "/rules", "valid list"),
        ("price", {"order": {}, "rules": [], "mode": "all"}, "/mode", "'stack' or 'best'"),
    ],
)
def test_a_request_of_the_wrong_form_names_the_place(
    service: TestClient, route: str, sent: Any, path: str, message: str
) -> None:
    """422 with a JSON Pointer into the body and a sentence for each thing that is wrong."""
    found = problem(post(service, route, json.dumps(sent)), 422, "form")
    assert any(one["path"] == path and message in one["message"] for one in found["problems"]), found


def test_addresses_and_methods_that_are_not_there_are_problems(service: TestClient) -> None:
    """404 and 405 are problems like all others; 405 says what would do."""
    for address in (
        "/",
        "/v1/rules",
        "/v1/rules/",
        "/v1/rules/evaluate/",
        "/v1/rules/blocks/x",
        "/%00",
        "/v1/RULES/check",
    ):
        problem(service.get(address, follow_redirects=False), 404, "not_found")
    refused = service.get("/v1/rules/evaluate")
    problem(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"
    problem(service.delete("/v1/rules/blocks"), 405, "method_not_allowed")


def arriving(chunk: bytes | None, **headers: str) -> tuple[int, str, int]:
    """The status and code that answer a body without end, of such chunks or of none, and how many of them were read."""
    taken = 0
    answered: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        nonlocal taken
        if chunk is None:
            await asyncio.Future()
        taken += 1
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: MutableMapping[str, Any]) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/rules/check", "query_string": b"", "http_version": "1.1"}
    sent = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    listed = [(name.encode(), value.encode()) for name, value in sent.items()]
    asyncio.run(create_rules_app()({**scope, "headers": listed}, receive, send))
    return answered[0]["status"], json.loads(answered[1]["body"])["code"], taken


def test_a_body_over_the_limit_is_not_read(service: TestClient) -> None:
    """What says that it is too large is refused unread; what does not say so is read up to the limit and no further."""
    chunk = b" " * 100_000
    assert arriving(chunk, content_length=str(BIG + 1)) == (413, "too_large", 0)
    assert arriving(chunk, content_length="9" * 5000) == (413, "too_large", 0)
    assert arriving(chunk) == (413, "too_large", BIG // len(chunk) + 1)
    assert arriving(chunk, content_length="7") == (413, "too_large", BIG // len(chunk) + 1)
    assert arriving(chunk, content_type="text/plain") == (415, "media_type", 0)
    just = b'{"rule": null}'
    assert post(service, "check", just + b" " * (BIG - len(just))).status_code == 200
    problem(post(service, "check", just + b" " * (BIG + 1 - len(just))), 413, "too_large")


def test_a_body_that_does_not_arrive_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request whose body stops coming answers 408 after a while."""
    monkeypatch.setattr(body, "BODY_PATIENCE_S", 0.01)
    assert arriving(None, content_length="14") == (408, "too_slow", 0)


def test_the_callers_request_id_comes_back(service: TestClient) -> None:
    """An id that is safe to log is kept, in answers and in problems; another one is replaced; each request has one."""
    for given_id in ("abc-123", "a" * 128, "4f1c/7:x@y"):
        answer = service.get("/v1/rules/nothing", headers={"X-Request-Id": given_id})
        assert answer.headers["x-request-id"] == answer.json()["request_id"] == given_id
        assert service.get("/healthz", headers={"X-Request-Id": given_id}).headers["x-request-id"] == given_id
    made = {
        service.get("/healthz", headers={"X-Request-Id": bad}).headers["x-request-id"] for bad in ("a b", "", "a" * 129)
    }
    assert len(made) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


def test_what_goes_wrong_inside_is_not_told(
    service: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug answers a problem of 500 that says nothing of it; the log has the request's id."""

    def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError("the secret of the house")

    monkeypatch.setattr(rules, "check", broken)
    with TestClient(create_rules_app(), raise_server_exceptions=False) as outside:
        answer = post(outside, "check", b'{"rule": null}', x_request_id="r-1")
    problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert "request r-1 failed: POST /v1/rules/check" in caplog.text
    with pytest.raises(ZeroDivisionError):
        post(service, "check", b'{"rule": null}')


def test_half_a_character_comes_back_as_it_came(service: TestClient) -> None:
    """JSON can carry half a surrogate pair, escaped; an answer that shows it is JSON too, and other answers are not escaped."""
    rule = {
        "block": "pbb.condition.equals",
        "params": {"value": {"block": "pbb.resource.user_attribute", "params": {"name": "n"}}, "to": "x"},
    }
    for text in ("\ud800", "满"):
        sent = json.dumps({"rule": rule, "facts": {"user": {"n": text}}})
        answer = post(service, "evaluate", sent)
        assert answer.json()["reasons"][0]["found"] == text
    assert "满".encode() in answer.content

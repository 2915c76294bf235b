"""Sends what may be anything to the rules service, and reads what it is refused with."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient
from httpx import Response

from tactics.api import problems

JSON = {"content-type": "application/json"}
NOW = '{"block": "pbb.resource.now"}'
EXISTS = f'{{"block": "pbb.condition.exists", "params": {{"value": {NOW}}}}}'


def post(service: TestClient, route: str, content: bytes | str, **headers: str) -> Response:
    """Send a body to a route, as JSON unless the headers say otherwise."""
    sent = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer: Response = service.post(f"/v1/rules/{route}", content=content, headers=sent)
    return answer


def problem(answer: Response, status: int, code: str) -> dict[str, Any]:
    """The problem of this status and code, in the members of RFC 9457."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (found["status"], found["code"], found["type"]) == (status, code, f"urn:tactics:problem:{code}")
    assert (found["title"], found["request_id"]) == (problems.TITLES[code], answer.headers["x-request-id"])
    return found

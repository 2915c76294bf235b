"""Every error has a title, whenever and wherever it was defined."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tactics.api import problems
from tactics.errors import TacticsError


class Late(TacticsError):
    """The tea went cold.

    More about it is for whoever reads the code.
    """

    code = "late_tea"
    http_status = 409


Silent = type("Silent", (TacticsError,), {"code": "silent_tea", "http_status": 422})


@pytest.mark.parametrize(
    ("error", "status", "code", "title"),
    [
        (Late("cold"), 409, "late_tea", "The tea went cold."),
        (Silent("hush"), 422, "silent_tea", "The request could not be answered."),
        (problems.Refused(422, "late_tea", "cold"), 422, "late_tea", "The tea went cold."),
        (problems.Refused(422, "no_tea", "none"), 422, "no_tea", "The request could not be answered."),
    ],
    ids=["later", "untitled", "refused", "unknown"],
)
def test_errors_of_modules_that_came_later_are_problems(error: Exception, status: int, code: str, title: str) -> None:
    """An error that was defined after the table of titles is answered as what it is, not as a failure of ours."""
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    def fail() -> None:
        raise error

    answer = TestClient(app).get("/")
    found: dict[str, Any] = answer.json()
    assert (answer.status_code, found["code"], found["title"]) == (status, code, title)

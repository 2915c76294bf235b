"""Flower as `tactics up` starts it is for who knows the password, on this machine."""

from __future__ import annotations

import http.client
import re
from pathlib import Path
from typing import Any

import pytest
from flower.urls import handlers

from tests.running import Up, processes_of

EXTRA = ("/nonsense", "//api/tasks", "/api", "/static/css/flower.css", "/static/../app.py", "/%61pi/tasks")


def _pattern(handler: Any) -> str:
    return str(handler.regex.pattern if hasattr(handler, "regex") else handler[0])


def _paths() -> list[str]:
    """Give an example of each path that Flower knows, and some that it does not."""
    found = [re.sub(r"\(\.[*+]\)|\.\*", "some", _pattern(one).rstrip("$")).replace("/?", "/") for one in handlers]
    return sorted({path if path.startswith("/") else f"/{path}" for path in found} | set(EXTRA))


@pytest.mark.parametrize("secret", ["", "tactics:wrong", "tactics:", ":", "other:{password}", "{password}"])
def test_nothing_is_there_without_the_password(up: Up, secret: str) -> None:
    """Every path, with every method, answers 401 and nothing else to who does not know user and password."""
    assert len(_paths()) > 30
    given = secret.format(password=up.flower[2])
    for path in _paths():
        for method in ("GET", "POST", "OPTIONS", "HEAD", "PUT"):
            answer = up.ask_flower(path, method=method, secret=given)
            assert answer.status == http.HTTPStatus.UNAUTHORIZED, (method, path, answer)
            assert answer.text in {"", "Access denied"}, (method, path)
    assert "Basic" in answer.headers["www-authenticate"]


def test_no_websocket_is_opened_without_the_password(up: Up) -> None:
    """An attempt to change to another protocol is refused like any other request."""
    connection = http.client.HTTPConnection("127.0.0.1", up.flower[0], timeout=20)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    for path in ("/", "/update-dashboard", "/api/task/events/task-failed/"):
        connection.request("GET", path, headers={**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == http.HTTPStatus.UNAUTHORIZED
    connection.close()


def test_who_knows_the_password_sees_pages_and_api(up: Up) -> None:
    """With the password that was printed, pages, their files and the API are there."""
    for path in ("/", "/tasks", "/broker", "/metrics", "/api/tasks", "/api/workers", "/static/css/flower.css"):
        assert up.ask_flower(path).status == http.HTTPStatus.OK, path


def test_the_password_is_the_owners_alone(up: Up) -> None:
    """Its file is readable by nobody else, and it is on no command line."""
    file = up.home / "flower.password"
    assert file.read_text() == up.flower[2]
    assert file.stat().st_mode & 0o777 == 0o600
    assert not any(up.flower[2] in line for line in processes_of(up.home).values())


def test_it_listens_on_loopback_alone(up: Up) -> None:
    """Nobody reaches it from another machine."""
    port, listening = f"{up.flower[0]:04X}", "0A"
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    found = {one[1].split(":")[0] for one in lines if one[1].endswith(f":{port}") and one[3] == listening}
    assert found == {"0100007F"}

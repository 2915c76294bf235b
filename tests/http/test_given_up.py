"""Giving up at the deadline takes nothing from anybody else, and is itself done in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event as Flag
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from tactics.domain.placement import PlacementRequest
from tactics.errors import Busy
from tactics.flows import recording
from tactics.flows.visit import begin
from tests.driving import Drive, Maker, at_checkout
from tests.http.test_placements import place, running
from tests.plays import playing, step_of

SHORT = {"Tactics-Deadline-Ms": "250"}


def _slow(driven: Maker, api_of: Callable[..., Any]) -> tuple[Drive, TestClient, Flag]:
    """Give an API whose placements take a while as long as the flag is set."""
    slow = Flag()
    drive = playing(
        driven, step_of("be_slow", lambda _ctx, _run: time.sleep(0.5 * slow.is_set())), link="grant", replay=False
    )
    drive.load(running(at_checkout(template_type="t")))
    return drive, api_of(drive), slow


def test_an_answer_stays_whoever_comes_late(driven: Maker, api_of: Callable[..., Any]) -> None:
    """What was answered under a key is answered again, though a repeat of it misses its own deadline."""
    drive, api, _ = _slow(driven, api_of)
    key = {"Idempotency-Key": "k"}
    first = place(api, headers=key)
    assert first.status_code == 200
    late = begin(drive.app, _request("ann"))
    again = recording.give_up(late)
    assert again.to_json() == first.json()
    other = place(api, headers=key, scene="cart")
    assert other.status_code == 422
    assert place(api, headers=key).json() == first.json()
    assert drive.rows("SELECT abandoned_at FROM event WHERE type = 'placement'") == [(None,)]


def test_a_best_only_answer_stays_whole(live: Drive, api: TestClient) -> None:
    """Who came second is told again, though a late repeat is answered from what is stored."""
    live.load(running(at_checkout()), running(at_checkout("second")))
    first = place(api, headers={"Idempotency-Key": "k"}, best_only=True).json()
    assert [part["reason"] for part in first["not_shown"]] == ["outranked"]
    assert recording.give_up(begin(live.app, replace(_request("ann"), best_only=True))).to_json() == first


def test_a_late_request_gives_nobody_elses_up(driven: Maker, api_of: Callable[..., Any]) -> None:
    """A repeat that gives up while the first one is being answered is told so, and the first one is answered."""
    drive, api, _ = _slow(driven, api_of)
    late = begin(drive.app, _request("ann"))
    assert late.twin is not None
    drive.runtime.redis.set(late.twin.key, "the first one's")
    with pytest.raises(Busy):
        recording.give_up(late)
    drive.runtime.redis.delete(late.twin.key)
    assert place(api, headers={"Idempotency-Key": "k"}).status_code == 200


def test_a_database_that_hangs_is_not_waited_for(driven: Maker, api_of: Callable[..., Any], monkeypatch: Any) -> None:
    """Where nobody can say what became of a placement, that is said soon after the deadline, as a 503."""
    drive, api, slow = _slow(driven, api_of)
    slow.set()
    with drive.runtime.engine.begin() as conn:
        conn.execute(text("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
        started = time.perf_counter()
        answer = place(api, headers=SHORT)
        took = time.perf_counter() - started
    assert (answer.status_code, answer.json()["code"]) == (503, "database_down"), answer.text
    assert took < 2.5


def test_giving_up_that_hangs_is_not_waited_for(
    driven: Maker, api_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not even say no to giving up is left behind after a moment."""
    _, api, slow = _slow(driven, api_of)
    slow.set()
    free = Flag()
    monkeypatch.setattr("tactics.api.placing.give_up", lambda _: free.wait(10))
    monkeypatch.setattr("tactics.api.placing._GIVING_UP_S", 0.1)
    answer = place(api, headers=SHORT)
    free.set()
    assert (answer.status_code, answer.json()["code"]) == (503, "database_down"), answer.text


def _request(user_id: str) -> PlacementRequest:
    """Give the same request as `place` sends under the key `k`."""
    return PlacementRequest(user_id, "home_banner", key="k", source="tactics.placement:local")

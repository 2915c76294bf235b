"""Examples of what operators set up, for OpenAPI; a test sends each request in this order and compares its answer."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from tactics.api.examples_documents import (
    BIG_SPENDER,
    BOUGHT_TWICE,
    FACTS,
    IDEA,
    LIMITED,
    RICHER,
    SHOWN_PLAY,
    SHOWN_RICHER,
    SPEND_AND_SAVE,
    WELCOME,
)


class Told(NamedTuple):
    """A request and its answer, with the summary that OpenAPI shows."""

    summary: str
    method: str
    address: str
    status: int
    answer: Mapping[str, Any]
    sent: Mapping[str, Any] | None = None


_AT = "2026-02-03T04:05:06Z"
_OVER = "draft version 2 is passed over: import its document again to go on with it"


def _activity(version: int, change: str, status: str, *notes: str, **changes: Any) -> dict[str, Any]:
    saved = {"code": "welcome", "version": version, "change": change, "status": status, "draft": False}
    return {**saved, "notes": list(notes), "behaviour_rules": [], **changes}


def _play(version: int, change: str, current: int, *, draft: bool = False) -> dict[str, Any]:
    saved = {"code": "spend_and_save", "version": version, "change": change, "current_version": current}
    return {**saved, "draft": draft, "notes": []}


def _version(number: int, state: str, restores: int | None = None) -> dict[str, Any]:
    current_at = None if state == "passed over" else _AT
    return {"version": number, "state": state, "saved_at": _AT, "current_at": current_at, "restores": restores}


def _dry_run(code: str, version: int | None, stock: int) -> dict[str, Any]:
    effect = {"block": "pbb.action.send_coupon", "params": {"benefit": "five_off"}, "times": 1}
    benefit = {"benefit": "five_off", "kind": "coupon", "value_minor": 500, "currency": "USD", "details": {}}
    once = {"limit": "per_user", "benefit": None, "most": 1, "used": None, "asks": 1, "enough": True}
    left = {"limit": "stock", "benefit": "five_off", "most": stock, "used": 0, "asks": 1, "enough": stock > 0}
    return {
        "activity": code,
        "version": version,
        "would_grant": stock > 0,
        "status": "matched",
        "matched": True,
        "effects": [effect],
        "reasons": [],
        "benefits": [benefit],
        "value_minor": 500,
        "prices": None,
        "in_schedule": True,
        "at": "2026-06-01T12:00:00Z",
        "limits": [once, left],
        "holdout_percent": 0,
    }


def _difference(path: str, before: int | None, after: int) -> dict[str, Any]:
    return {"before": 1, "after": 2, "changes": [{"path": path, "before": before, "after": after}]}


_RULE = {**BOUGHT_TWICE, "rule_key": "bought_twice", "version": 1, "enabled": True, "defined_by": [], "updated_at": _AT}
_LISTED = {
    "code": "welcome",
    "version": 4,
    "status": "paused",
    "template_type": "full_link_v3",
    "priority": 0,
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2036-01-01T00:00:00Z",
    "channels": {"prepare": [], "grant": ["home_banner"]},
    "updated_at": _AT,
    "tripped_at": None,
    "tripped_reason": None,
}
_PLAY_LISTED = {"code": "spend_and_save", "version": 3, "title": "Spend and save", "is_tool": False, "activities": 1}
_MADE = {"code": "big_spender", "play_version": 1, "status": "draft", "older": True}
_BOUND = {
    "channels": [
        {"channel_code": "checkout", "link": "grant", "activities": ["big_spender"]},
        {"channel_code": "home_banner", "link": "grant", "activities": ["welcome"]},
    ],
    "next_cursor": None,
}
_OF, _PLAY = "/v1/activities/welcome", "/v1/plays/spend_and_save"

STORY: Mapping[str, Told] = {
    "play_created": Told("a new play", "POST", "/v1/plays", 201, _play(1, "new", 1), SPEND_AND_SAVE),
    "created": Told("a new activity", "POST", "/v1/activities", 201, _activity(1, "new", "draft"), WELCOME),
    "made_from_play": Told(
        "an activity from a play",
        "POST",
        "/v1/activities",
        201,
        _activity(1, "new", "draft", code="big_spender"),
        BIG_SPENDER,
    ),
    "published": Told("published", "POST", f"{_OF}/publish", 200, _activity(1, "updated", "live"), {}),
    "updated": Told(
        "a draft of what is live",
        "POST",
        "/v1/activities?draft=true",
        200,
        _activity(2, "updated", "live", draft=True),
        RICHER,
    ),
    "dry_run": Told(
        "what the draft would do",
        "POST",
        f"{_OF}/dry-run",
        200,
        _dry_run("welcome", 2, 2000),
        {"facts": FACTS, "version": 2},
    ),
    "diff": Told(
        "the draft beside what is current",
        "GET",
        f"{_OF}/diff",
        200,
        _difference("/benefits/five_off/stock", 1000, 2000),
    ),
    "edited": Told(
        "changed at once", "PUT", _OF, 200, _activity(3, "updated", "live", _OVER), {**RICHER, "priority": 5}
    ),
    "shown": Told(
        "an activity",
        "GET",
        _OF,
        200,
        {
            "code": "welcome",
            "version": 3,
            "status": "live",
            "newest_draft": None,
            "tripped_at": None,
            "tripped_reason": None,
            "activity": {**SHOWN_RICHER, "priority": 5},
        },
    ),
    "rolled_back": Told(
        "the first version again", "POST", f"{_OF}/rollback", 200, _activity(4, "updated", "live"), {"to": 1}
    ),
    "paused": Told("paused", "POST", f"{_OF}/pause", 200, _activity(4, "updated", "paused")),
    "versions": Told(
        "versions",
        "GET",
        f"{_OF}/versions",
        200,
        {
            "versions": [
                _version(4, "current", 1),
                _version(3, "earlier"),
                _version(2, "passed over"),
                _version(1, "earlier"),
            ]
        },
    ),
    "version": Told(
        "what a version says",
        "GET",
        f"{_OF}/versions/2",
        200,
        {"code": "welcome", "version": 2, "activity": SHOWN_RICHER},
    ),
    "listed": Told(
        "those that are paused",
        "GET",
        "/v1/activities?status=paused",
        200,
        {"activities": [_LISTED], "next_cursor": None},
    ),
    "resumed": Told("running again", "POST", f"{_OF}/resume", 200, _activity(4, "updated", "live")),
    "dry_run_of_a_document": Told(
        "what is not saved",
        "POST",
        "/v1/activities/dry-run",
        200,
        _dry_run("idea", None, 0),
        {"activity": IDEA, "facts": FACTS},
    ),
    "play_edited": Told("a draft", "PUT", f"{_PLAY}?draft=true", 200, _play(2, "updated", 1, draft=True), LIMITED),
    "play_diff": Told(
        "the draft beside what is current", "GET", f"{_PLAY}/diff", 200, _difference("/limits/per_user", None, 3)
    ),
    "play_published": Told("published", "POST", f"{_PLAY}/publish", 200, _play(2, "updated", 2), {"version": 2}),
    "made_from": Told("made from it", "GET", f"{_PLAY}/activities", 200, {"activities": [_MADE]}),
    "play_rolled_back": Told("as it was", "POST", f"{_PLAY}/rollback", 200, _play(3, "updated", 3), {"to": 1}),
    "play_shown": Told(
        "a play",
        "GET",
        _PLAY,
        200,
        {"code": "spend_and_save", "version": 3, "current_version": 3, "newest_draft": None, "play": SHOWN_PLAY},
    ),
    "form": Told("a form", "GET", f"{_PLAY}/form", 200, SPEND_AND_SAVE["parameters"]),
    "play_versions": Told(
        "versions",
        "GET",
        f"{_PLAY}/versions",
        200,
        {"versions": [_version(3, "current", 1), _version(2, "earlier"), _version(1, "earlier")]},
    ),
    "play_version": Told(
        "what a version says",
        "GET",
        f"{_PLAY}/versions/2",
        200,
        {"code": "spend_and_save", "version": 2, "play": {**SHOWN_PLAY, "limits": {"per_user": 3}}},
    ),
    "plays_listed": Told("plays", "GET", "/v1/plays", 200, {"plays": [_PLAY_LISTED], "next_cursor": None}),
    "rule_created": Told(
        "a new rule",
        "PUT",
        "/v1/behaviour-rules/bought_twice",
        201,
        {"rule_key": "bought_twice", "version": 1, "change": "new", "enabled": True},
        BOUGHT_TWICE,
    ),
    "rule_shown": Told("a rule", "GET", "/v1/behaviour-rules/bought_twice", 200, _RULE),
    "rules_listed": Told("rules", "GET", "/v1/behaviour-rules", 200, {"behaviour_rules": [_RULE], "next_cursor": None}),
    "channels": Told("channels", "GET", "/v1/channels", 200, _BOUND),
}


def asked(*names: str) -> dict[str, Any]:
    """Give requests as OpenAPI lists examples."""
    return {name: {"summary": STORY[name].summary, "value": STORY[name].sent} for name in names}


def answered(*names: str, new: Any = None, tagged: bool = False) -> dict[int | str, dict[str, Any]]:
    """Give answers as OpenAPI lists them, each status with its examples.

    Args:
        names: of the examples.
        new: the model of the answer where something is new; None where nothing ever is.
        tagged: whether they carry an ETag.
    """
    found: dict[int | str, dict[str, Any]] = {200: {}} if new is None else {200: {}, 201: {"model": new}}
    for name in names:
        told = STORY[name]
        json = found[told.status].setdefault("content", {}).setdefault("application/json", {"examples": {}})
        json["examples"][name] = {"summary": told.summary, "value": told.answer}
    for status, here in found.items():
        headers = {"ETag": "the state of the thing, for If-Match"} if tagged else {}
        if status == HTTPStatus.CREATED:
            here["description"] = "it is new"
            headers["Location"] = "where it is"
        here["headers"] = {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
    return found

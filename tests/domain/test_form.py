"""Parameter forms: what is a form, and which values it takes."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tactics.domain.form import DIALECT, defaults, form_problems, value_problems


def form(**properties: Any) -> dict[str, Any]:
    """Give a form of these properties."""
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (form(a={"type": "integr"}), "/properties/a/type"),
        (form(a={"minLength": -1}), "/properties/a/minLength"),
        (form(a={"pattern": "("}), "/properties/a/pattern"),
        ({"type": "object", "properties": ["a"]}, "/properties"),
        ({"properties": {}}, "/type"),
        ({"type": "array"}, "/type"),
        ({**form(), "$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema"),
        (form(a={"$ref": "https://example.com/a.json"}), "/properties/a/$ref"),
        (form(a={"items": {"$ref": "a.json#/b"}}), "/properties/a/items/$ref"),
        (form(a={"$dynamicRef": "file:///etc/passwd"}), "/properties/a/$dynamicRef"),
        (form(a={"$ref": "#/$defs/none"}), "/properties/a/$ref"),
        (form(a={"$ref": "#/properties/b"}, b={"$ref": "#/properties/a"}), "/properties/a/$ref"),
        (form(a={"$id": "https://example.com/a"}), "/properties/a/$id"),
        (form(a={"type": "integer", "default": "x"}), "/properties/a/default"),
        (form(a={"$ref": "#/$defs/m", "default": -1}) | {"$defs": {"m": {"minimum": 0}}}, "/properties/a/default"),
    ],
)
def test_what_is_no_form_is_refused_at_its_place(given: dict[str, Any], path: str) -> None:
    """A schema that is none, leads outside or in a circle, or has a default that it refuses itself, is named by its path."""
    assert path in {one["path"] for one in form_problems(given)}


@pytest.mark.parametrize(
    "given",
    [
        form(),
        {**form(a=True), "$schema": DIALECT},
        form(a={"$ref": "#/$defs/m"}) | {"$defs": {"m": {"type": "integer"}}},
        form(a={"$ref": "#/$defs/tree"}) | {"$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}},
        form(a={"enum": [{"$ref": "https://example.com"}], "default": {"$ref": "https://example.com"}}),
        form(**{"$ref": {"type": "integer"}}),
        {**form(a={"default": 1}, b={}), "minProperties": 2, "required": ["b"]},
    ],
)
def test_forms_are_accepted(given: dict[str, Any]) -> None:
    """References within the form, recursion that ends, and data that only looks like a reference are in order."""
    assert form_problems(given) == []


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is opened, also for a form with a remote reference that nobody refused."""

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    remote = form(a={"$ref": "http://example.com/a.json"})
    assert form_problems(remote)
    assert value_problems(remote, {"a": 1})


def test_values_are_named_by_their_paths() -> None:
    """Strangers, missing parameters and values that the form refuses are said together, each once."""
    given = form(a={"type": "integer", "minimum": 1}, b={}, c={"items": {"type": "string"}})
    found = value_problems({**given, "required": ["a", "b"], "additionalProperties": False}, {"a": 0, "c": [1], "x": 1})
    assert sorted(one["path"] for one in found) == ["/a", "/b", "/c/0", "/x"]


def test_form_that_explodes_is_refused_in_bounded_time() -> None:
    """References that double at each level end early: in the form when it is saved, in a value when that is checked."""
    doubling = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 40)}
    assert form_problems(form(a={"$ref": "#/$defs/d39"}) | {"$defs": {"d0": True, **doubling}})
    branches = {"anyOf": [{"items": {"$ref": "#/$defs/tree"}}, {"items": {"$ref": "#/$defs/tree"}}], "maxItems": 1}
    growing = form(a={"$ref": "#/$defs/tree"}) | {"$defs": {"tree": {**branches, "not": {"maxItems": 0}}}}
    assert form_problems(growing) == []
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    assert value_problems(growing, {"a": deep})


def test_number_beyond_all_bounds_is_a_problem() -> None:
    """A number that cannot be divided is refused, and not a crash."""
    assert value_problems(form(a={"multipleOf": 0.1}), {"a": 10**400})


def test_defaults_are_those_of_the_parameters() -> None:
    """Only a parameter's own default counts."""
    assert defaults(form(a={"default": None}, b={"properties": {"c": {"default": 1}}}, d=True)) == {"a": None}

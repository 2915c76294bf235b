"""Parameter forms: the JSON Schema (draft 2020-12) of a play's open parameters, and values checked against it.

A form describes an object whose properties are the parameters; a page can render it (`title`, `description`, `default`).
Nothing is ever fetched: a form refers to nothing outside itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any

from jsonschema import Draft202012Validator, SchemaError, validators
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

from tactics.domain.activity import pointer

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EMPTY: Mapping[str, Any] = {"type": "object", "properties": {}}
TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
MOST_SHOWN = 200
MOST_REFERENCES = 10_000

Problems = list[dict[str, str]]

_SAID = frozenset({"required", "additionalProperties", "unevaluatedProperties"})
_REFERENCES = frozenset({"$id", "$ref", "$dynamicRef"})


def form_problems(form: Mapping[str, Any]) -> Problems:
    """Find what keeps a form from being one.

    Returns:
        Problems, each with the `path` (a JSON Pointer into the form) and a `message`.
    """
    if form.get("$schema", DIALECT) != DIALECT:
        return [_problem(["$schema"], f"forms are written in {DIALECT}")]
    try:
        Draft202012Validator.check_schema(form, format_checker=Draft202012Validator.FORMAT_CHECKER)
    except SchemaError as error:
        named = list(error.absolute_path)[-1:] == ["type"]
        message = f"{error.instance!r} is no type: {', '.join(TYPES)}" if named else error.message
        return [_problem(error.absolute_path, _shortened(message))]
    except RecursionError:
        return [_problem([], "it is nested too deep")]
    problems = (
        [_problem(["type"], "a form describes an object: `type: object`")] if form.get("type") != "object" else []
    )
    problems += list(_reference_problems(form))
    return problems or list(_default_problems(form))


def properties(form: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the schema of each parameter."""
    found: Mapping[str, Any] = form.get("properties", {})
    return found


def defaults(form: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values of the parameters that have a default."""
    return {
        name: schema["default"]
        for name, schema in properties(form).items()
        if isinstance(schema, Mapping) and "default" in schema
    }


def value_problems(form: Mapping[str, Any], values: Mapping[str, Any]) -> Problems:
    """Find what is wrong with values, defaults included: strangers, missing ones, and those that the form refuses.

    Args:
        form: one without problems.
        values: by parameter; JSON data.

    Returns:
        Problems, each with the `path` (a JSON Pointer into the values) and a `message`.
    """
    known = properties(form)
    problems = [
        _problem([name], f"there is no such parameter; there are {', '.join(sorted(known)) or 'none'}")
        for name in values
        if name not in known
    ]
    missing = [name for name in known if name not in values]
    problems += [_problem([name], "this parameter needs a value") for name in missing]
    for error in _errors(form, values):
        # Said above in words that name the parameter.
        of_the_whole = not error.absolute_path and error.validator in _SAID
        if not of_the_whole:
            problems.append(_problem(error.absolute_path, _shortened(error.message)))
    return problems


class _TooMuch(Exception):
    """A form follows so many references for one set of values that it might never end."""


def _validator(form: Mapping[str, Any]) -> Any:
    """Give what checks values, in bounded time and without fetching anything."""
    followed = count(1)

    def counted(keyword: str) -> Callable[..., Iterator[ValidationError]]:
        follow = Draft202012Validator.VALIDATORS[keyword]

        def check(validator: Any, target: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
            if next(followed) > MOST_REFERENCES:
                raise _TooMuch
            yield from follow(validator, target, instance, schema) or ()

        return check

    keywords = {keyword: counted(keyword) for keyword in ("$ref", "$dynamicRef")}
    # A registry of its own that is empty: the library's default one fetches what it does not know.
    made = validators.extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]  # so are its stubs
    return made(form, registry=Registry())


def _errors(form: Mapping[str, Any], values: object) -> list[ValidationError]:
    try:
        found = _validator(form).iter_errors(values)
        return sorted(found, key=lambda error: [str(part) for part in error.absolute_path])
    except (RecursionError, _TooMuch):
        return [ValidationError("the form refers to itself without end")]
    except Unresolvable as error:
        return [ValidationError(f"{error.ref} leads outside the form; nothing is ever fetched")]
    except OverflowError:
        return [ValidationError("a number is too large to be checked")]


def _reference_problems(form: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Refuse references that lead outside the form, nowhere, or round in a circle."""
    resolver = EMPTY_REGISTRY.with_resource("", DRAFT202012.create_resource(form)).resolver()
    for schema in _schemas(form):
        for key in _REFERENCES & schema.keys():
            path, target = [*(_place(form, schema) or ()), key], str(schema[key])
            if key == "$id":
                yield _problem(path, "a form has no address: refer to its parts as `#/$defs/…`")
            elif not target.startswith("#"):
                yield _problem(path, f"{target} leads outside the form; nothing is ever fetched")
            elif not _leads_somewhere(resolver, target):
                yield _problem(path, f"{target} leads nowhere")
            elif _circles(form, schema):
                yield _problem(path, f"{target} leads round in a circle")


def _leads_somewhere(resolver: Any, target: str) -> bool:
    try:
        found = resolver.lookup(target).contents
    except (Unresolvable, ValueError, TypeError):
        return False
    return isinstance(found, Mapping | bool)


def _circles(form: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    # Such a reference is followed for every value, whatever it is.
    only = {"$defs": form.get("$defs", {}), "properties": form.get("properties", {}), "allOf": [schema]}
    try:
        list(_validator(only).iter_errors(None))
    except (RecursionError, _TooMuch):
        return True
    except Unresolvable:
        return False
    return False


def _place(node: object, wanted: Mapping[str, Any]) -> list[str | int] | None:
    """Find where in a document a part of it stands."""
    if node is wanted:
        return []
    parts: Iterable[tuple[str | int, object]] = ()
    if isinstance(node, Mapping):
        parts = node.items()
    elif isinstance(node, list):
        parts = enumerate(node)
    for name, part in parts:
        if (found := _place(part, wanted)) is not None:
            return [name, *found]
    return None


def _schemas(form: object) -> Iterator[Mapping[str, Any]]:
    """Go through a form's schemas; what `default`, `enum` or `const` hold is data, whatever it looks like."""
    if isinstance(form, Mapping):
        yield form
        for part in DRAFT202012.create_resource(form).subresources():
            yield from _schemas(part.contents)


def _default_problems(form: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    # Each for itself: what the form asks of all parameters together is asked when they are filled.
    only = {"$defs": form.get("$defs", {}), "properties": properties(form)}
    for name, value in defaults(form).items():
        for error in _errors(only, {name: value}):
            yield _problem(["properties", name, "default"], _shortened(error.message))


def _problem(path: Any, message: str) -> dict[str, str]:
    return {"path": pointer(path), "message": message}


def _shortened(message: str) -> str:
    text = re.sub(r"\s+", " ", message)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"

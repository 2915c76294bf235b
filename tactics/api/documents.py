"""Documents in bodies: one of each request, its problems at their places in the body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tactics.domain.behaviour_rule import is_rule_document
from tactics.errors import BadInput

_SHOWN = 3
_LONGEST_KEY = 1_000


def in_body(index: int, path: str = "") -> str:  # noqa: ARG001  # as imports call it
    """Name the one document of a request in errors."""
    return "the body"


@contextmanager
def one_document(document: object, rules_alone: str = "", *, below: str = "") -> Iterator[None]:
    """Say what is wrong with a document by places in the body.

    Args:
        document: what was sent.
        rules_alone: what to say of a document that has nothing but behaviour rules.
        below: the JSON Pointer of the document in the body.

    Raises:
        BadInput: with every problem's `path` in the body and its `message`.
    """
    _refuse_long_keys(document, below)
    if rules_alone and is_rule_document(document):
        raise BadInput(rules_alone, problems=[{"path": f"{below}/behaviour_rules", "message": rules_alone}])
    try:
        yield
    except BadInput as error:
        found = error.fields.get("problems", ())
        # Whose place is said is not in the document: it stands beside it.
        problems = [{"path": _place(one, below), "message": one["message"]} for one in found]
        told = "; ".join(f"{one['path'] or '/'}: {one['message']}" for one in problems[:_SHOWN])
        raise BadInput(told or error.message, problems=problems) from None


def _refuse_long_keys(document: object, below: str) -> None:
    # Each mistake below a key is told with the key: of megabytes, with as many mistakes, that would be gigabytes.
    waiting = [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            for key in one:
                if len(str(key)) > _LONGEST_KEY:
                    message = f"a key that begins with {str(key)[:20]!r} has more than {_LONGEST_KEY} characters"
                    raise BadInput(message, problems=[{"path": below, "message": message}])
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _place(problem: Mapping[str, str], below: str) -> str:
    beside = problem.get("where", in_body(0))
    return (below if beside == in_body(0) else f"/{beside}") + problem["path"]


def with_code(document: dict[str, Any], code: str) -> dict[str, Any]:
    """Give the document of the thing at an address, which may leave its code out.

    Raises:
        BadInput: it is that of another.
    """
    if document.get("code", code) != code:
        raise BadInput(
            f"/code: {code!r} belongs here, or nothing",
            problems=[{"path": "/code", "message": f"{code!r} belongs here, or nothing"}],
        )
    return {"code": code, **document}

"""`--attribute name=value`, as events and placements take it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from tactics.errors import BadInput

Attributes = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="NAME=VALUE",
        help="What rules see as `event`: text, or JSON as in `vip:json=true`. May be given several times.",
    ),
]


def read_attributes(given: Sequence[str] | None) -> dict[str, Any]:
    """Read the attributes given to a command.

    Args:
        given: each `name=text` or `name:json=value`.

    Raises:
        BadInput: one has another form, or no JSON where it says so.
    """
    found: dict[str, Any] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        key = name.removesuffix(":json")
        if not equals or not key:
            raise BadInput(f"--attribute {pair}: write it as name=value", option="--attribute")
        try:
            found[key] = json.loads(value) if name != key else value
        except ValueError as error:
            raise BadInput(f"--attribute {name}: {value} is not JSON: {error}", option="--attribute") from None
    return found

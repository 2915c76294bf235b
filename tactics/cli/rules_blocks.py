"""`tactics rules blocks`: what rules are built from, as a list or one block in detail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from tactics.cli.output import print_json, print_table
from tactics.cli.rule_files import AsJson, refuse

Entry = Mapping[str, Any]
_TYPES = {"string": "text", "array": "list"}


class BlockKind(StrEnum):
    """What a block is."""

    RESOURCE = "resource"
    CONDITION = "condition"
    ACTION = "action"


def blocks(
    block: Annotated[
        str | None, typer.Argument(metavar="ID", help="one block in detail: its id, or the last part of it")
    ] = None,
    *,
    kind: Annotated[BlockKind | None, typer.Option("--kind", help="only resources, conditions or actions")] = None,
    language: Annotated[
        str, typer.Option("--language", metavar="LANGUAGE", help="en, zh, or another that a plugin has words in.")
    ] = "en",
    as_json: AsJson = False,
) -> None:
    """List the blocks that rules are built from, with their parameters; `?` marks one that may be left out."""
    from tactics import rules

    known = rules.default_registry.languages
    if language not in known:
        refuse(f"there are no words in {language!r}; known: {', '.join(known)}")
    catalogue: list[dict[str, Any]] = rules.default_registry.catalogue(language)
    found = [one for one in catalogue if kind is None or one["kind"] == kind]
    if block is not None:
        found = _named(block, found)
        if not found:
            refuse(f"there is no {kind or 'block'} {block!r}{rules.default_registry.hint(block)}")
    if as_json:
        print_json(found[0] if block is not None and len(found) == 1 else found)
    elif block is not None and len(found) == 1:
        _show(found[0])
    else:
        for one in found:
            named = "" if language == "en" else f"{one['name']}: "
            typer.echo(f"{one['id']} {{{', '.join(_parameters(one))}}}\n    {named}{one['description']}")


def _named(block: str, catalogue: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The block of this id, else those that end with it."""
    exact = [one for one in catalogue if one["id"] == block]
    return exact or [one for one in catalogue if one["id"].endswith(f".{block}")]


def _parameters(entry: Entry) -> Iterator[str]:
    required = entry["params"]["required"]
    return (name if name in required else f"{name}?" for name in entry["params"]["properties"])


def _show(entry: Entry) -> None:
    typer.echo(f"{entry['id']}  {entry['kind']}\n{entry['name']}: {entry['description']}")
    typer.echo(f"in words: {entry['words']}")
    if "gives" in entry:
        typer.echo(f"gives: {entry['gives']}{_of_unit(entry.get('unit'))}")
    if "scenes" in entry:
        typer.echo(f"computes differently in: {', '.join(entry['scenes'])}")
    schemas = entry["params"]["properties"]
    rows = [
        (shown, _constant(schemas[name]), ", ".join(schemas[name]["x-takes"]), schemas[name]["description"])
        for name, shown in zip(schemas, _parameters(entry), strict=True)
    ]
    if rows:
        print_table(("parameter", "constant", "or a resource that gives", "what it is"), rows)


def _constant(schema: Entry) -> str:
    """What a parameter's constant may be, from its JSON Schema."""
    constant = dict(schema["anyOf"][0])
    kinds: list[str] = constant["type"] if isinstance(constant["type"], list) else [constant["type"]]
    text = " or ".join(_TYPES.get(one, one) for one in kinds)
    if "enum" in constant:
        return " or ".join(constant["enum"])
    limits = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
    shown = [f"{sign} {constant[name]}" for name, sign in limits if name in constant]
    return ", ".join([text + _of_unit(schema.get("x-unit")), *shown])


def _of_unit(unit: str | None) -> str:
    return "" if unit is None else f" in {unit}"

"""Writes the parts of the reference that follow from the code: `python -m tests.docs.reference` renews them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any

from typer.main import get_command

from tactics import rules
from tactics.api.watch import GAUGES
from tactics.cli.app import app
from tactics.config import Settings
from tactics.metrics import FAMILIES
from tactics.store.tables import metadata
from tactics.templates import TEMPLATES
from tests.docs.blocks import ROOT
from tests.docs.catalogue import catalogue
from tests.docs.routes import routes

FOLDER = ROOT / "docs" / "reference"
_PART = re.compile(r"(<!-- generated: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def settings() -> str:
    """Give every setting with its default."""
    return _table(("name", "default", "what it does"), _settings())


def _settings() -> Iterator[tuple[str, str, str]]:
    for name, field in Settings.model_fields.items():
        made = "see below" if field.default_factory else str(field.default).lower() if field.default != () else ""
        yield (
            f"`TACTICS_{name.upper()}`",
            made and f"`{made}`" if made != "see below" else made,
            field.description or "",
        )


def blocks() -> str:
    """Give every block with its parameters; `?` marks one that may be left out."""
    return _table(("block", "parameters", "what it says"), _blocks())


def _blocks() -> Iterator[tuple[str, str, str]]:
    catalogue: list[dict[str, Any]] = rules.default_registry.catalogue()
    for block in catalogue:
        schema = block["params"]
        names = [name if name in schema["required"] else f"{name}?" for name in schema["properties"]]
        yield f"`{block['id']}`", " ".join(f"`{name}`" for name in names), str(block["description"])


def columns() -> str:
    """Give every table's columns."""
    return _table(("table", "columns"), _columns())


def _columns() -> Iterator[tuple[str, str]]:
    for name, table in sorted(metadata.tables.items()):
        keys = {column.name for column in table.primary_key}
        yield (
            f"`{name}`",
            " ".join(f"**`{one.name}`**" if one.name in keys else f"`{one.name}`" for one in table.columns),
        )


def steps() -> str:
    """Give every step that comes with Tactics, with what it asks of a chain."""
    return _table(("step", "what it does", "context", "only in", "after"), _steps())


def _steps() -> Iterator[tuple[str, ...]]:
    found = {step.name: step for template in TEMPLATES for step in template.processors}
    for name, step in sorted(found.items()):
        module = import_module(step.function.__module__)
        what = re.sub(r" \(C-.*\)", "", (module.__doc__ or "").splitlines()[0].partition(": ")[2])
        after = " ".join(f"`{one}`" for one in step.after)
        yield f"`{name}`", what, f"`{step.needs.__name__}`", step.link or "", after


def counts() -> str:
    """Give everything that is counted while it happens."""
    rows = ((f"`{one.name}`", one.kind, " ".join(f"`{label}`" for label in one.labels), one.text) for one in FAMILIES)
    return _table(("name", "kind", "labels", "what it says"), rows)


def gauges() -> str:
    """Give everything that is read from the database when somebody asks."""
    rows = ((f"`{name}`", " ".join(f"`{one}`" for one in labels), text) for name, (text, labels) in GAUGES.items())
    return _table(("name", "labels", "what it says"), rows)


def commands() -> str:
    """Give every command with its arguments and options."""
    return "".join(_command(get_command(app), ("tactics",))).rstrip("\n") + "\n"


def _command(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, one in command.commands.items():
            yield from _command(one, (*path, name))
        return
    arguments = [_metavar(one) for one in command.params if one.param_type_name == "argument"]
    usage = " ".join([*path, *arguments])
    yield f"## {' '.join(path)}\n\n`{usage}`\n\n{_paragraphs(command.help)}\n\n"
    rows = [(_option(one), _meaning(one)) for one in command.params if one.name != "help"]
    if rows:
        yield _table(("argument or option", "means"), iter(rows)) + "\n"


def _metavar(one: Any) -> str:
    kind = one.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return str(one.metavar or _KINDS.get(kind, "TEXT"))


def _paragraphs(text: str | None) -> str:
    parts = (text or "").split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in parts)


def _option(one: Any) -> str:
    if one.param_type_name == "argument":
        return f"`{_metavar(one)}`"
    kind = "" if one.is_flag else f" {_metavar(one)}"
    return " ".join(f"`{name}{kind}`" for name in [*one.opts, *one.secondary_opts])


def _meaning(one: Any) -> str:
    text = " ".join((one.help or "").split())
    plain = one.default is not None and not isinstance(one.default, bool | NoneType) and not callable(one.default)
    shown = f" Default: `{one.default}`." if plain and one.param_type_name == "option" else ""
    return text + shown


_KINDS: Mapping[object, str] = {int: "N", Path: "FILE"}
PARTS: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "blocks": blocks,
    "catalogue": catalogue,
    "columns": columns,
    "commands": commands,
    "counts": counts,
    "gauges": gauges,
    "routes": routes,
    "steps": steps,
}


def renewed(text: str) -> str:
    """Give a page with its generated parts as they follow from the code of today."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found['name']]()}{found[3]}", text)


def pages() -> Iterator[Path]:
    """Give the pages that have generated parts."""
    return (path for path in sorted(FOLDER.glob("*.md")) if _PART.search(path.read_text()))


if __name__ == "__main__":
    for page in pages():
        page.write_text(renewed(page.read_text()))

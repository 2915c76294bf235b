"""Writes documents as YAML that `files.documents` reads back as the same data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
import yaml

from tactics.cli.files import YamlLoader
from tactics.errors import BadInput

STANDARD_OUTPUT = Path("-")

_BREAKS = frozenset("\x85\u2028\u2029\r")


class _Dumper(yaml.SafeDumper):
    """Quotes whatever this project's reader, or YAML's usual one, would take for something else than text."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own name
        first: [
            *YamlLoader.yaml_implicit_resolvers.get(first, []),
            *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
        ]
        for first in {*YamlLoader.yaml_implicit_resolvers, *yaml.SafeDumper.yaml_implicit_resolvers}
    }

    def ignore_aliases(self, _data: Any) -> bool:
        """Write what stands in two places twice: people edit these files."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    # Between other quotes, these are line breaks to YAML and become spaces.
    style = '"' if _BREAKS & set(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(*documents: object) -> str:
    """Give documents of JSON data as YAML, keys in the order they have."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120, explicit_start=len(documents) > 1
    ).rstrip("\n")


def write(files: Sequence[tuple[str, list[dict[str, Any]]]], out: Path) -> None:
    """Write documents, one file each, or all of them to standard output.

    Args:
        files: names without ending, each with its documents.
        out: a folder, made where there is none; `-` is standard output.

    Raises:
        BadInput: the folder cannot be written to.
    """
    if out == STANDARD_OUTPUT:
        everything = [document for _, documents in files for document in documents]
        if everything:
            typer.echo(dump(*everything))
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, documents in files:
            (out / f"{name}.yaml").write_text(dump(*documents) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write to {out}: {error.strerror}", file=str(out)) from None
    typer.echo(f"{len(files)} file{'' if len(files) == 1 else 's'} in {out}")

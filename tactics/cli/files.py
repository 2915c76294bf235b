"""Reads files: YAML and JSON documents; rows from CSV, JSON lines, JSON and YAML. Errors say file, line and column.

A CSV cell is text, and an empty one is left out; a column whose header ends in `:json` holds JSON values (`age:json`).
YAML is read as what JSON can say: `yes`, `0123` and dates are text, a key that stands twice is refused.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from tactics.errors import BadInput

_YAML = frozenset({".yaml", ".yml"})
_LINES = frozenset({".jsonl", ".ndjson"})


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows (or one mapping) of a file, and how to name the place of a row in it."""

    content: Any
    where: Callable[[int, str], str]


class YamlLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C one where it was built
    """YAML with the types of JSON."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's own name


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-0123456789")),
    ("merge", r"<<", ["<"]),
):
    YamlLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def _mapping(loader: Any, node: yaml.MappingNode) -> Iterator[dict[Any, Any]]:
    made: dict[Any, Any] = {}
    yield made
    seen = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} stands twice", key.start_mark)
        if key.tag != "tag:yaml.org,2002:merge":
            seen.add(key.value if isinstance(key.value, str) else id(key))
    loader.flatten_mapping(node)
    made.update(loader.construct_mapping(node))


YamlLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
# PyYAML's own would turn `1e3` into text and `1_000` into a number.
YamlLoader.add_constructor("tag:yaml.org,2002:float", lambda _loader, node: float(node.value))


def documents(paths: Iterable[Path]) -> tuple[list[object], list[str]]:
    """Read YAML or JSON files of several documents or lists of them.

    Returns:
        The documents, and what each is called in errors.

    Raises:
        BadInput: a file cannot be read; says where and why.
    """
    found: list[object] = []
    names: list[str] = []
    for path in paths:
        parts = [_json(path, _text(path))] if path.suffix == ".json" else _yaml(path, _text(path))
        flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
        if not flat:
            raise BadInput(f"{path} is empty", file=str(path))
        found += flat
        names += [str(path) if len(flat) == 1 else f"{path}, document {index + 1}" for index in range(len(flat))]
    return found, names


def rows(path: Path, json_columns: Collection[str] = ()) -> Rows:
    """Read a file of rows; what kind it is its name's ending says.

    Args:
        path: a .csv, .jsonl, .ndjson, .json, .yaml or .yml file.
        json_columns: CSV columns that hold JSON without saying so in the header.

    Returns:
        The rows; JSON and YAML may hold one mapping instead. Iterating may raise BadInput too.

    Raises:
        BadInput: the file cannot be read; says where and why.
    """
    text, ending = _text(path), path.suffix.lower()
    lines: list[int] = []
    if ending == ".csv":
        content: Any = _csv(path, text, lines, frozenset(json_columns))
    elif ending in _LINES:
        content = _json_lines(path, text, lines)
    elif ending == ".json":
        content = _json(path, text)
    elif ending in _YAML:
        content = _one_yaml(path, text)
    else:
        raise BadInput(f"{path}: call it .csv, .jsonl, .json or .yaml, to tell what it is", file=str(path))
    if ending == ".csv" or ending in _LINES:
        return Rows(content, lambda index, within: f"{path}, line {lines[index]}" + (within and f", {within[1:]}"))
    if not isinstance(content, list | dict):
        raise BadInput(f"{path}: expected a list of rows", file=str(path))
    return Rows(content, lambda index, within: f"{path}, /{index}{within}")


def json_rows(path: Path) -> Rows:
    """Read JSON (a list of rows, or one) or JSON lines; what it is the content says.

    Args:
        path: a file, or `-` for standard input.

    Returns:
        The rows as a list.

    Raises:
        BadInput: it cannot be read; says where and why.
    """
    standard_input = path == Path("-")
    name = Path("standard input") if standard_input else path
    text = _standard_input() if standard_input else _text(path)
    first, _, rest = text.strip().partition("\n")
    if rest and _is_json(first):
        lines: list[int] = []
        content: Any = list(_json_lines(name, text, lines))
        return Rows(content, lambda index, within: f"{name}, line {lines[index]}" + (within and f", {within[1:]}"))
    found = _json(name, text)
    if isinstance(found, list):
        return Rows(found, lambda index, within: f"{name}, /{index}{within}")
    return Rows([found], lambda _index, within: f"{name}" + (within and f", {within}"))


def _standard_input() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise BadInput(f"standard input is not UTF-8 (byte {error.start + 1})") from None


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 (byte {error.start + 1})", file=str(path)) from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}", file=str(path)) from None


def _refusal(path: Path, line: int, column: int | None, message: str) -> BadInput:
    place = f"{path}, line {line}" + (f", column {column}" if column else "")
    return BadInput(f"{place}: {message}", file=str(path), line=line, column=column)


def _yaml(path: Path, text: str) -> list[object]:
    try:
        return [one for one in yaml.load_all(text, Loader=YamlLoader) if one is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(part for part in (error.context, error.problem) if part)
        raise _refusal(path, mark.line + 1 if mark else 1, mark.column + 1 if mark else None, message) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"{path}: {' '.join(str(error).split())}", file=str(path)) from None


def _one_yaml(path: Path, text: str) -> object:
    found = _yaml(path, text)
    if len(found) != 1:
        raise BadInput(f"{path} holds {len(found)} documents instead of one", file=str(path))
    return found[0]


def _json(path: Path, text: str, line: int = 1) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise _refusal(path, line + error.lineno - 1, error.colno, error.msg) from None
    except (ValueError, RecursionError) as error:
        raise _refusal(path, line, None, str(error)) from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return made


def _json_lines(path: Path, text: str, lines: list[int]) -> Iterator[object]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            lines.append(number)
            yield _json(path, line, number)


def _csv(path: Path, text: str, lines: list[int], json_columns: frozenset[str]) -> Iterator[dict[str, object]]:
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    start = 1
    try:
        header = next(reader, [])
        columns = [(name.removesuffix(":json"), name.endswith(":json") or name in json_columns) for name in header]
        names = [name for name, _ in columns]
        if not all(names) or len(set(names)) != len(names):
            raise _refusal(path, 1, None, "the header must name every column, each differently")
        start = reader.line_num + 1
        for cells in reader:
            if cells:
                if len(cells) != len(columns):
                    raise _refusal(path, start, None, f"{len(cells)} cells, but the header has {len(columns)}")
                lines.append(start)
                yield {
                    name: _json(path, cell, start) if is_json else cell
                    for (name, is_json), cell in zip(columns, cells, strict=True)
                    if cell
                }
            start = reader.line_num + 1
    except csv.Error as error:
        raise _refusal(path, start, None, str(error)) from None

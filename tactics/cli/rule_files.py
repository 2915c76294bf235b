"""Rules and facts as files, JSON or YAML: arguments of `tactics rules …`, and what is said when one cannot be read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

INPUT_UNREADABLE = 2

RulePath = Annotated[str, typer.Argument(metavar="RULE", help="the rule, a JSON or YAML file; - for standard input")]
FactsPath = Annotated[str, typer.Argument(metavar="FACTS", help="the facts, a JSON or YAML file; - for standard input")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Item = Annotated[
    str | None, typer.Option("--item", metavar="ID", help="the current item, to evaluate the rule per item")
]


def inputs(rule: str, facts: str) -> tuple[Any, Any]:
    """The data of both files; `now` is the clock's where the facts have none."""
    if rule == facts == "-":
        refuse("only one of RULE and FACTS can come from standard input")
    given = read(facts)
    if not isinstance(given, Mapping):
        # It is evaluated all the same: facts may have any shape, and what they do not say is unknown.
        typer.echo(f"{facts}: facts are an object; whatever a rule asks of these is unknown", err=True)
    elif "now" not in given:
        given = {**given, "now": datetime.now(UTC).isoformat()}
    return read(rule), given


def read(path: str) -> object:
    """The data in a JSON or YAML file; what ends in neither is read as JSON, then as YAML."""
    from tactics.rules import RuleError
    from tactics.rules.codec import load_json

    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}")
    suffix = Path(path).suffix.lower()
    if suffix in {".yaml", ".yml"}:
        return _read_yaml(path, text)
    try:
        return load_json(text)
    except RuleError as error:
        # Text that starts like JSON is meant as JSON: its own complaint is the useful one.
        if suffix == ".json" or text.lstrip()[:1] in {"{", "["} or error.problems[0].code == "limit":
            refuse(f"{path}: {error.problems[0].message}")
    return _read_yaml(path, text)


def _read_yaml(path: str, text: str) -> object:
    """YAML with JSON's values: times stay text, and a key given twice is refused."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
            twice = sorted({key for key in keys if keys.count(key) > 1})
            if twice:
                problem = f"the key {twice[0]!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            return super().construct_mapping(node, deep)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 -- a SafeLoader, only stricter
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        refuse(f"{path}: this is not YAML: {error}")


def refuse(message: str) -> NoReturn:
    """Say what cannot be read, and exit 2."""
    typer.echo(message, err=True)
    raise typer.Exit(INPUT_UNREADABLE)

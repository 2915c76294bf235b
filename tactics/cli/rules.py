"""`tactics rules …`: check, evaluate, explain and price rules from files, and list the blocks they are built from."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tactics.cli.output import print_table

if TYPE_CHECKING:
    from tactics.rules import Evaluation, PriceAnswer, RuleError

app = typer.Typer(help="Check, evaluate, explain and price rules; list the blocks.", no_args_is_help=True)

RULE_REFUSED = 1
INPUT_UNREADABLE = 2

RulePath = Annotated[str, typer.Argument(metavar="RULE", help="the rule, a JSON or YAML file; - for standard input")]
FactsPath = Annotated[str, typer.Argument(metavar="FACTS", help="the facts, a JSON or YAML file; - for standard input")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Item = Annotated[
    str | None, typer.Option("--item", metavar="ID", help="the current item, to evaluate the rule per item")
]
OpenAliases = Annotated[
    bool, typer.Option("--open-aliases", help="allow parameters that are bound later, as tools have")
]


@app.callback()
def load_plugins() -> None:
    """Check, evaluate, explain and price rules; list the blocks."""
    from tactics.cli import attach

    attach.plugins()


@app.command()
def check(rule: RulePath, *, open_aliases: OpenAliases = False, as_json: AsJson = False) -> None:
    """Say what is wrong with a rule. Exit 1 when there are errors, 2 when it could not be read."""
    from tactics import rules

    answer = rules.check(_read(rule), open_aliases)
    if as_json:
        _print_json(answer)
    else:
        for problem in answer["problems"]:
            typer.echo(f"{problem['severity']}: {problem['path'] or 'rule'}: {problem['message']}")
        typer.echo("the rule is well-formed" if answer["ok"] else f"{len(answer['problems'])} problem(s)")
    if not answer["ok"]:
        raise typer.Exit(RULE_REFUSED)


@app.command("eval")
def evaluate(rule: RulePath, facts: FactsPath, *, item: Item = None, as_json: AsJson = False) -> None:
    """Evaluate a rule over facts. Exit 1 when the rule has errors, 2 when a file could not be read."""
    from tactics import rules

    answer = rules.calculate(*_inputs(rule, facts), item_id=item)
    if as_json:
        _print_json(answer.to_json())
    else:
        typer.echo(answer.status)
        for effect in answer.effects:
            typer.echo(
                f"  → {effect['block']} {json.dumps(effect['params'], ensure_ascii=False)}, times {effect['times']}"
            )
        for reason in answer.reasons:
            typer.echo(f"  {reason.path or 'rule'}: {reason.text}")
    _exit_for(answer)


@app.command()
def explain(rule: RulePath, facts: FactsPath, *, item: Item = None, as_json: AsJson = False) -> None:
    """Show each part of a rule with ✓ (holds), ✗ (does not) or ? (unknown), and why. Exits as `eval` does."""
    from tactics import rules

    explanation = rules.explain(*_inputs(rule, facts), item_id=item)
    if as_json:
        _print_json(explanation.to_json())
    else:
        for line in explanation.lines():
            typer.echo(line)
    _exit_for(explanation.evaluation)


@app.command()
def price(rule: RulePath, facts: FactsPath, *, item: Item = None, as_json: AsJson = False) -> None:
    """Work out what the order in FACTS costs. RULE is a rule, a list of rules, or {"mode", "rules"}. Exits as `eval` does."""
    from tactics import rules

    listed, given = _inputs(rule, facts)
    found = given if isinstance(given, Mapping) else {}
    try:
        mode, entries = _listed(listed)
        answer = rules.price(found.get("order"), entries, mode, found, item_id=item)  # type: ignore[arg-type]  # price itself refuses what a file may hold
    except rules.RuleError as error:
        _refuse_price(error, as_json=as_json)
    if as_json:
        _print_json(answer)
    else:
        _show_price(answer)


def _listed(given: object) -> tuple[object, object]:
    """The mode and the rules in a file that has one rule, several, or an object with both."""
    from tactics.rules import Problem, RuleError

    if isinstance(given, list):
        return "stack", given
    if not isinstance(given, Mapping) or "rules" not in given:
        return "stack", [given]
    strangers = [key for key in given if key not in {"mode", "rules"}]
    if strangers:
        raise RuleError(
            Problem(f"/{key}", "form", f"{key!r} does not belong here; known: mode, rules") for key in strangers
        )
    return given.get("mode", "stack"), given["rules"]


def _refuse_price(error: RuleError, *, as_json: bool) -> NoReturn:
    """An order that cannot be priced is unreadable input; rules that are none are problems, as `check` prints them."""
    if any(problem.path.startswith("/order") for problem in error.problems):
        _refuse(str(error))
    if as_json:
        _print_json({"ok": False, "problems": [problem.to_json() for problem in error.problems]})
    else:
        for problem in error.problems:
            typer.echo(f"{problem.severity}: {problem.path or 'rule'}: {problem.message}")
    raise typer.Exit(RULE_REFUSED)


def _show_price(answer: PriceAnswer) -> None:
    def named(one: Mapping[str, Any]) -> str:
        return one["code"] or f"rule {one['rule']}"

    rows = [
        (
            line["line"],
            line["original_unit_price_minor"],
            line["unit_price_minor"],
            line["original_total_minor"],
            line["total_minor"],
            ", ".join(f"{named(one)} -{one['saved_minor']}" for one in line["applied"]),
        )
        for line in answer["lines"]
    ]
    print_table(("line", "unit price", "new unit price", "total", "new total", "saved by"), rows)
    typer.echo(f"total {answer['total_minor']} instead of {answer['original_total_minor']}, in minor units")
    for one in answer["applied"]:
        effect = one["effect"]
        typer.echo(
            f"  → {named(one)}: {effect['block']} {json.dumps(effect['params'], ensure_ascii=False)}, "
            f"times {effect['times']}, saves {one['saved_minor']}"
        )
    for rule in answer["rules"]:
        if rule["status"] != "applied" or rule["reasons"]:
            texts = "; ".join(str(reason["text"]) for reason in rule["reasons"])
            typer.echo(f"  {named(rule)}: {rule['status']}: {texts}")


@app.command()
def blocks(*, as_json: AsJson = False) -> None:
    """List the blocks that rules are built from, with their parameters."""
    from tactics import rules

    catalogue: list[dict[str, Any]] = rules.default_registry.catalogue()
    if as_json:
        _print_json(catalogue)
        return
    for block in catalogue:
        schema = block["params"]
        names = [name if name in schema["required"] else f"{name}?" for name in schema["properties"]]
        typer.echo(f"{block['id']} {{{', '.join(names)}}}\n    {block['description']}")


def _inputs(rule: str, facts: str) -> tuple[Any, Any]:
    if rule == facts == "-":
        _refuse("only one of RULE and FACTS can come from standard input")
    given = _read(facts)
    if isinstance(given, Mapping) and "now" not in given:
        given = {**given, "now": datetime.now(UTC).isoformat()}
    return _read(rule), given


def _read(path: str) -> object:
    """The data in a JSON or YAML file; what ends in neither is read as JSON, then as YAML."""
    from tactics.rules import RuleError
    from tactics.rules.codec import load_json

    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _refuse(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}")
    suffix = Path(path).suffix.lower()
    if suffix in {".yaml", ".yml"}:
        return _read_yaml(path, text)
    try:
        return load_json(text)
    except RuleError as error:
        # Text that starts like JSON is meant as JSON: its own complaint is the useful one.
        if suffix == ".json" or text.lstrip()[:1] in {"{", "["} or error.problems[0].code == "limit":
            _refuse(f"{path}: {error.problems[0].message}")
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
        _refuse(f"{path}: this is not YAML: {error}")


def _print_json(answer: object) -> None:
    typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))


def _exit_for(answer: Evaluation) -> None:
    if answer.status in {"invalid", "null_rule"}:
        raise typer.Exit(RULE_REFUSED)


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(INPUT_UNREADABLE)

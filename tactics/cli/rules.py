"""`tactics rules …`: check, evaluate, explain and price rules from files, list the blocks, and serve all of it by HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tactics.cli.output import print_json
from tactics.cli.rule_files import AsJson, FactsPath, Item, RulePath, inputs, read
from tactics.cli.rules_blocks import blocks
from tactics.cli.rules_price import RULE_REFUSED, price
from tactics.cli.rules_serve import serve

if TYPE_CHECKING:
    from tactics.rules import Evaluation
    from tactics.rules.check import CheckAnswer

app = typer.Typer(help="Check, evaluate, explain and price rules; list the blocks.", no_args_is_help=True)

OpenAliases = Annotated[
    bool, typer.Option("--open-aliases", help="allow parameters that are bound later, as tools have")
]


@app.callback()
def load_plugins() -> None:
    """Check, evaluate, explain and price rules; list the blocks; serve all of it by HTTP."""
    from tactics.cli import attach

    attach.plugins()


@app.command()
def check(rule: RulePath, *, open_aliases: OpenAliases = False, as_json: AsJson = False) -> None:
    """Say what is wrong with a rule, or with each of those that `price` takes. Exit 1 for errors, 2 when it could not be read."""
    answer = _checked(read(rule), open_aliases=open_aliases)
    if as_json:
        print_json(answer)
    else:
        for problem in answer["problems"]:
            typer.echo(f"{problem['severity']}: {problem['path'] or 'rule'}: {problem['message']}")
        found = _counted([problem["severity"] for problem in answer["problems"]])
        typer.echo(f"the rule is well-formed{found and ', with '}{found}" if answer["ok"] else found)
    if not answer["ok"]:
        raise typer.Exit(RULE_REFUSED)


def _checked(given: object, *, open_aliases: bool) -> CheckAnswer:
    """Check a rule, or all of a file that has several, each with its place in the path."""
    from tactics import rules

    listed = given.get("rules") if isinstance(given, Mapping) else given
    if not isinstance(listed, list):
        return rules.check(given, open_aliases)
    start = "/rules" if isinstance(given, Mapping) else ""
    answers = []
    for index, one in enumerate(listed):
        bare = not (isinstance(one, Mapping) and "rule" in one)
        path = f"{start}/{index}" + ("" if bare else "/rule")
        answers.append((path, rules.check(one if bare else one["rule"], open_aliases)))
    problems = [{**problem, "path": path + problem["path"]} for path, one in answers for problem in one["problems"]]
    return {"ok": all(one["ok"] for _, one in answers), "problems": problems}


@app.command("eval")
def evaluate(rule: RulePath, facts: FactsPath, *, item: Item = None, as_json: AsJson = False) -> None:
    """Evaluate a rule over facts. Exit 1 when the rule has errors, 2 when a file could not be read."""
    from tactics import rules

    answer = rules.calculate(*inputs(rule, facts), item_id=item)
    if as_json:
        print_json(answer.to_json())
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

    explanation = rules.explain(*inputs(rule, facts), item_id=item)
    if as_json:
        print_json(explanation.to_json())
    else:
        for line in explanation.lines():
            typer.echo(line)
    _exit_for(explanation.evaluation)


app.command()(price)
app.command()(blocks)
app.command()(serve)


def _counted(severities: Sequence[str]) -> str:
    counts = [(severities.count(one), one) for one in ("error", "warning")]
    return ", ".join(f"{count} {one}{'s' if count > 1 else ''}" for count, one in counts if count)


def _exit_for(answer: Evaluation) -> None:
    if answer.status in {"invalid", "null_rule"}:
        raise typer.Exit(RULE_REFUSED)

"""`tactics rules price`: what an order costs under rules from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from tactics.cli.output import print_json, print_table
from tactics.cli.rule_files import AsJson, FactsPath, Item, RulePath, inputs, refuse

if TYPE_CHECKING:
    from tactics.rules import PriceAnswer, RuleError

RULE_REFUSED = 1


def price(rule: RulePath, facts: FactsPath, *, item: Item = None, as_json: AsJson = False) -> None:
    """Work out what the order in FACTS costs. RULE is a rule, a list of rules, or {"mode", "rules"}. Exits as `eval` does."""
    from tactics import rules

    listed, given = inputs(rule, facts)
    found = given if isinstance(given, Mapping) else {}
    try:
        mode, entries = _listed(listed)
        answer = rules.price(found.get("order"), entries, mode, found, item_id=item)  # type: ignore[arg-type]  # price itself refuses what a file may hold
    except rules.RuleError as error:
        _refuse_price(error, as_json=as_json)
    if as_json:
        print_json(answer)
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
        refuse(str(error))
    if as_json:
        print_json({"ok": False, "problems": [problem.to_json() for problem in error.problems]})
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

"""`Play`: a rule with open parameters, and all else that activities made from it have in common (C-56, C-57).

A tool is a play without channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, ValidationError

from tactics import rules
from tactics.domain import form
from tactics.domain.activity import (
    MOST_INTEGER,
    Channels,
    Code,
    Document,
    Expression,
    Limits,
    pointer,
    refused,
    validation_problems,
)
from tactics.errors import BadInput
from tactics.rules.problem import Problem

Problems = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Bound:
    """A play's rule with every parameter filled, as JSON data; and the values, defaults included."""

    rule: dict[str, Any]
    parameters: dict[str, Any]


class Play(Document):
    """What activities can be made from without code: `parameters` is the form that asks for what the rule leaves open."""

    code: Code
    version: Annotated[int, Field(ge=0, lt=MOST_INTEGER, strict=True)] = 0
    title: str = ""
    description: str = ""
    template_type: Code | None = None
    tool_type: Code | None = None
    channels: Channels | None = None
    rule: dict[str, Any]
    parameters: dict[str, Any] = Field(default_factory=lambda: dict(form.EMPTY))
    limits: Limits = Limits()
    expression: dict[str, str | Expression] = Field(default_factory=dict)

    @cached_property
    def parsed_rule(self) -> rules.Rule:
        """The rule as a tree, with its parameters open."""
        return rules.parse(self.rule)

    @property
    def is_tool(self) -> bool:
        """Whether the activity has to say on which channels it runs."""
        return self.channels is None

    def bound(self, parameters: object) -> Bound:
        """Fill the open parameters.

        Args:
            parameters: their values by name, as JSON data; those left out take their defaults.

        Raises:
            BadInput: with every problem found in `problems`, its `path` below `/parameters` where a value is to blame.
        """
        if not isinstance(parameters, Mapping):
            raise _refused(
                self, [{"path": "/parameters", "message": "values by the names of the parameters belong here"}]
            )
        values = {**form.defaults(self.parameters), **parameters}
        problems = form.value_problems(self.parameters, values)
        if problems:
            raise _refused(self, [{**one, "path": "/parameters" + one["path"]} for one in problems])
        rule, found = self._filled(values)
        if found:
            raise _refused(self, [self._blamed(one, "/parameters", "") for one in found])
        return Bound(rule, values)

    def to_json(self) -> dict[str, Any]:
        """Give the document as stored: plain data, without code and version."""
        return self.model_dump(mode="json", by_alias=True, exclude={"code", "version"}, exclude_none=True)

    def _filled(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """Bind what there are values for; give the rule and what the blocks find wrong with it."""
        try:
            rule = rules.to_json(rules.bind(self.parsed_rule, values))
        except rules.RuleError as error:
            return {}, list(error.problems)
        still_open = rules.aliases(self.parsed_rule) > values.keys()
        found = rules.check(rule, open_aliases=still_open)["problems"]
        return rule, [Problem(**one) for one in found if one["severity"] == "error"]  # type: ignore[arg-type]  # as it was made

    def _blamed(self, problem: Problem, root: str, leaf: str) -> dict[str, str]:
        """Say a problem of the filled rule at the parameter whose value stands there; elsewhere, at the rule."""
        for path, name in _alias_places(self.rule):
            if problem.path == path or problem.path.startswith(path + "/"):
                below = problem.path.removeprefix(path)
                return {"path": root + pointer([name]) + leaf + below, "message": problem.message}
        return {"path": "/rule" + problem.path, "message": problem.message}


def parse_play(document: object) -> Play:
    """Read a play's document and check it whole: the rule, the form, and that each asks for what the other has.

    Args:
        document: the mapping that docs/reference/play.md describes.

    Raises:
        BadInput: with every problem found in `problems`, each with the `path` (a JSON Pointer) and a `message`.
    """
    if not isinstance(document, dict):
        raise BadInput("a play is a mapping of keys such as code, rule and parameters", problems=[])
    try:
        play = Play.model_validate(document)
    except ValidationError as error:
        problems = validation_problems(error)
    else:
        if play.channels == Channels():
            play = play.model_copy(update={"channels": None})
        problems = _problems(play)
        if not problems:
            return play
    raise refused("play", document.get("code", "?"), problems)


def warnings_of(play: Play) -> tuple[str, ...]:
    """Give what looks wrong with a play's rule and need not be, in sentences."""
    found = rules.check(play.rule, open_aliases=True)["problems"]
    return tuple(f"/rule{one['path']}: {one['message']}" for one in found if one["severity"] == "warning")


def _problems(play: Play) -> Problems:
    checked = rules.check(play.rule, open_aliases=True)["problems"]
    in_rule = [
        {"path": "/rule" + one["path"], "message": one["message"]} for one in checked if one["severity"] == "error"
    ]
    in_form = [{**one, "path": "/parameters" + one["path"]} for one in form.form_problems(play.parameters)]
    problems = in_rule + in_form
    if play.channels and play.template_type is None:
        problems.append({"path": "/template_type", "message": "a play with channels says which template runs on them"})
    if in_rule or in_form:
        return problems
    return problems or [*_unmatched(play), *_unfit_defaults(play)]


def _unmatched(play: Play) -> Iterator[dict[str, str]]:
    """Find open parameters that the form does not ask for, and questions whose answer nothing uses."""
    asked = form.properties(play.parameters).keys()
    for path, name in _alias_places(play.rule):
        if name not in asked:
            yield {"path": "/rule" + path, "message": f"the form has no property {name!r} for this open parameter"}
    for name in asked - rules.aliases(play.parsed_rule):
        path = "/parameters" + pointer(["properties", name])
        yield {"path": path, "message": f"nothing in the rule uses the parameter {name!r}"}


def _unfit_defaults(play: Play) -> Problems:
    given = form.defaults(play.parameters)
    values = {name: value for name, value in given.items() if name in rules.aliases(play.parsed_rule)}
    _, found = play._filled(values)  # noqa: SLF001  # of the same module
    return [play._blamed(one, "/parameters/properties", "/default") for one in found]  # noqa: SLF001  # as above


def _alias_places(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Give the JSON Pointer and the name of each open parameter in a rule."""
    if isinstance(node, Mapping):
        if node.keys() == {"alias"}:
            yield path, str(node["alias"])
            return
        for key, part in node.items():
            yield from _alias_places(part, path + pointer([key]))
    elif isinstance(node, list):
        for index, part in enumerate(node):
            yield from _alias_places(part, f"{path}/{index}")


def _refused(play: Play, problems: Problems) -> BadInput:
    return refused("play", play.code, problems)

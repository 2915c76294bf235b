"""Is this JSON a rule? Every problem of form is found, each with its path, before anything is built or run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any, TypedDict, cast

from tactics.rules.analysis import analyse
from tactics.rules.block import BlockDefinition, misfits
from tactics.rules.blocks import default_registry
from tactics.rules.problem import Problem, RuleError, pointer
from tactics.rules.registry import Registry
from tactics.rules.tree import MODES, Alias, Kind, Node, written
from tactics.rules.value import is_object, show

MAX_DEPTH = 64
MAX_NODES = 10_000
MAX_BYTES = 1024 * 1024
# Of one node's strange keys, and of a rule's unknown blocks that get a hint: who made more did not write them by hand.
MAX_TOLD = 100


class CheckAnswer(TypedDict):
    """What `check` answers; a problem is `{"path", "severity", "code", "message"}`."""

    ok: bool
    problems: list[dict[str, str]]


_FORMS = ("block", "not", "and", "or", "so", "tiers")


def check(rule: object, open_aliases: bool = False, registry: Registry | None = None) -> CheckAnswer:
    """Check a rule before it is saved: its form, and once that is right, what it says.

    Errors are what makes it no rule (form, kinds, types, units, limits, unknown blocks, unbound aliases) and conditions
    that can never hold; warnings are about what can hardly be meant. docs/reference/rules.md lists the codes.

    `rule` is JSON data or a built rule; `open_aliases` allows parameters that are bound later. Returns
    `{"ok", "problems": [{"path", "severity", "code", "message"}]}`; raises nothing.
    """
    registry = default_registry if registry is None else registry
    problems = problems_of(rule, open_aliases=open_aliases, registry=registry)
    if not problems:
        said = rule.to_json() if isinstance(rule, Node) else rule
        problems = analyse(cast("Mapping[str, Any]", said), registry)
    ok = all(problem.severity != "error" for problem in problems)
    return {"ok": ok, "problems": [problem.to_json() for problem in problems]}


def problems_of(
    rule: object, *, open_aliases: bool, registry: Registry | None = None, text: str | None = None
) -> list[Problem]:
    """What makes this no rule, which all who read rules refuse; empty when it is one. `text` is its JSON, where known."""
    if isinstance(rule, Node):
        try:
            text, rule = written(rule)
        except RuleError as error:
            return list(error.problems)
    if rule is None:
        return [Problem("", "null_rule", "there is no rule")]
    checker = _Checker(default_registry if registry is None else registry, open_aliases=open_aliases)
    checker.rule(rule, "", 1)
    if not checker.problems and _is_too_big(rule, text):
        checker.add("", "limit", f"the rule has more than {MAX_BYTES} bytes as JSON")
    return checker.problems


def _is_too_big(rule: object, text: str | None) -> bool:
    if text is None:
        text = json.dumps(rule, ensure_ascii=False, separators=(",", ":"), default=dict)
    return len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES


class _Checker:
    """Walks the JSON of one rule and collects what is wrong; stops where a limit is passed."""

    def __init__(self, registry: Registry, *, open_aliases: bool) -> None:
        self.problems: list[Problem] = []
        self._registry = registry
        self._open_aliases = open_aliases
        self._nodes = 0
        self._hints = 0

    def add(self, path: str, code: str, message: str) -> None:
        self.problems.append(Problem(path, code, message))

    def rule(self, node: object, path: str, depth: int) -> None:
        form = self._form(node, path, depth)
        if form == "so":
            self._so(node, path, depth)
        elif form == "tiers":
            self._tiers(node, path, depth)
        elif form is not None:
            self._condition(node, path, depth, form)

    def _form(self, node: object, path: str, depth: int) -> str | None:
        """Which form the node has; None after a problem that leaves nothing more to say about it."""
        if not self._enter(path, depth):
            return None
        if not is_object(node):
            self.add(path, "form", f"a block, not, and, or, so or tiers belongs here, not {show(node)}")
            return None
        if "block" in node and len(node) == 1 + ("params" in node):
            return "block"  # as most nodes are
        forms = [form for form in _FORMS if form in node]
        if len(forms) != 1:
            self.add(path, "form", "a node has exactly one of " + ", ".join(_FORMS))
            return None
        self._keys(node, path, forms[0], *(["params"] if forms == ["block"] else []))
        return forms[0]

    def _enter(self, path: str, depth: int) -> bool:
        self._nodes += 1
        if self._nodes == MAX_NODES + 1:
            self.add(path, "limit", f"the rule has more than {MAX_NODES} nodes")
        if depth > MAX_DEPTH:
            self.add(path, "limit", f"the rule is nested deeper than {MAX_DEPTH}")
        return self._nodes <= MAX_NODES and depth <= MAX_DEPTH

    def _keys(self, node: Mapping[object, object], path: str, *allowed: str) -> None:
        for key in [key for key in node if key not in allowed][:MAX_TOLD]:
            self.add(pointer(path, key), "form", f"{show(key)} does not belong here; known: {', '.join(allowed)}")

    def _condition(self, node: object, path: str, depth: int, form: str | None = None) -> None:
        form = form or self._form(node, path, depth)
        if form is None or not is_object(node):
            return
        if form == "block":
            self._block(node, path, depth, "condition")
        elif form == "not":
            self._condition(node["not"], pointer(path, "not"), depth + 1)
        elif form in ("and", "or"):
            self._list(node[form], pointer(path, form), depth, self._condition, "condition")
        else:
            self.add(path, "kind", f"a condition belongs here, not a {form}")

    def _list(self, nodes: object, path: str, depth: int, each: Callable[[object, str, int], None], what: str) -> None:
        if not isinstance(nodes, (list, tuple)) or not nodes:
            self.add(path, "form", f"a list of at least one {what} belongs here")
            return
        for index, node in enumerate(nodes):
            if self._nodes > MAX_NODES:
                return
            each(node, pointer(path, index), depth + 1)

    def _so(self, node: object, path: str, depth: int) -> None:
        body = node["so"] if is_object(node) else None
        path = pointer(path, "so")
        if not is_object(body):
            self.add(path, "form", "an object with `then`, and `when` or not, belongs here")
            return
        self._keys(body, path, "when", "then")
        if "when" in body:
            self._condition(body["when"], pointer(path, "when"), depth + 1)
        self._list(body.get("then"), pointer(path, "then"), depth, self._action, "action")

    def _action(self, node: object, path: str, depth: int) -> None:
        form = self._form(node, path, depth)
        if form == "block" and is_object(node):
            self._block(node, path, depth, "action")
        elif form is not None:
            self.add(path, "kind", f"an action belongs here, not `{form}`")

    def _tiers(self, node: object, path: str, depth: int) -> None:
        body = node["tiers"] if is_object(node) else None
        path = pointer(path, "tiers")
        if not is_object(body):
            self.add(path, "form", "an object with `mode` and `steps` belongs here")
            return
        self._keys(body, path, "mode", "steps")
        mode = body.get("mode", MODES[0])
        if mode not in MODES:
            self.add(pointer(path, "mode"), "form", f"mode is one of {', '.join(MODES)}, not {show(mode)}")
        self._list(body.get("steps"), pointer(path, "steps"), depth, self._step, "step")

    def _step(self, node: object, path: str, depth: int) -> None:
        form = self._form(node, path, depth)
        if form == "so":
            self._so(node, path, depth)
        elif form is not None:
            self.add(path, "kind", f"a step is a `so`, not `{form}`")

    def _block(self, node: Mapping[object, object], path: str, depth: int, kind: Kind) -> BlockDefinition | None:
        block_id, params = node["block"], node.get("params", {})
        definition = self._registry.get(block_id) if isinstance(block_id, str) else None
        if not is_object(params):
            self.add(pointer(path, "params"), "form", "an object with the parameters belongs here")
        elif not isinstance(block_id, str):
            self.add(pointer(path, "block"), "form", f"the id of a block belongs here, not {show(block_id)}")
        elif definition is None:
            self._hints += 1
            hint = self._registry.hint(block_id) if self._hints <= MAX_TOLD and len(block_id) <= MAX_TOLD else ""
            self.add(path, "unknown_block", f"there is no block {show(block_id)}{hint}")
        elif definition.kind != kind:
            article = {"action": "an action", "condition": "a condition", "resource": "a resource"}
            self.add(path, "kind", f"{block_id} is {article[definition.kind]}; {article[kind]} belongs here")
        else:
            self._params(definition, params, path, depth)
            return definition
        return None

    def _params(self, definition: BlockDefinition, params: Mapping[object, object], path: str, depth: int) -> None:
        values: dict[str, object] = {}
        resources: dict[str, BlockDefinition] = {}
        strange = [key for key in params if key not in definition.parameters][:MAX_TOLD]
        for key, value in params.items():
            if key not in definition.parameters and key not in strange:
                continue
            name = str(key)
            values[name] = value
            if not is_object(value):
                continue
            at = pointer(path, "params", key)
            # What a nested node is, `misfits` need not know: an alias stands for it.
            values[name] = Alias("")
            if "alias" in value:
                self._alias(value, at, depth + 1)
            elif "block" in value:
                found = self._form(value, at, depth + 1) and self._block(value, at, depth + 1, "resource")
                if found:
                    resources[name] = found
            else:
                values[name] = value
        for problem in misfits(definition, values):
            self.problems.append(Problem(path + problem.path, problem.code, problem.message))
        self._gives(definition, resources, path)

    def _alias(self, node: Mapping[object, object], path: str, depth: int) -> None:
        if not self._enter(path, depth):
            return
        self._keys(node, path, "alias")
        name = node["alias"]
        if not isinstance(name, str) or not name:
            self.add(pointer(path, "alias"), "form", "the name of an open parameter belongs here")
        elif not self._open_aliases:
            self.add(path, "unbound_alias", f"the open parameter {show(name)} has no value yet")

    def _gives(self, definition: BlockDefinition, resources: Mapping[str, BlockDefinition], path: str) -> None:
        """What the resources give has to be what the block takes, and count what its other amounts count."""
        for name, found in resources.items():
            parameter = definition.parameters.get(name)
            at = pointer(path, "params", name)
            if parameter is None:
                continue
            if found.gives not in parameter.takes:
                self.add(
                    at, "type", f"{found.id} gives a {found.gives}; {name!r} takes {', '.join(sorted(parameter.takes))}"
                )
            elif parameter.unit and found.unit and parameter.unit != found.unit:
                self.add(at, "unit", f"{found.id} counts {found.unit}; {name!r} counts {parameter.unit}")
        alike = [(name, resources[name]) for name in definition.alike if name in resources]
        for (one, left), (other, right) in combinations(alike, 2):
            if left.unit and right.unit and left.unit != right.unit:
                message = f"{one!r} counts {left.unit} and {other!r} counts {right.unit}: they do not compare"
                self.add(pointer(path, "params", other), "unit", message)

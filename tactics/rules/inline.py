"""A quick function's own loop, set into the function of a rule: what a call costs is a tenth of what it calls.

Only functions of `tactics.rules.quick` and `typed` are set in: assignments and a loop, with one `return` at the end.
They are taken apart when this module is loaded, as they are then: what changes on disk under a running process is never
looked at. Where their source is not at hand (an installation without it), or is not theirs any more, they are called.
"""

from __future__ import annotations

import ast
import builtins
import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from tactics.rules import quick, syntax, typed


@dataclass(frozen=True, slots=True)
class Template:
    """A function taken apart: parameters, statements before the last, the name it returns, and what names it uses."""

    parameters: tuple[str, ...]
    body: tuple[ast.stmt, ...]
    result: str
    local: frozenset[str]
    used: Mapping[str, Any]


def template_of(function: Callable[..., Any]) -> Template | None:
    """The function as a template; None where it cannot be one."""
    return _TEMPLATES.get(function)


def _templates(module: ModuleType) -> Mapping[Any, Template]:
    """The module's functions that can be set in; none where its source is not what was loaded."""
    try:
        parsed = ast.parse(inspect.getsource(module))
        again: dict[str, Any] = {}
        exec(compile(parsed, str(module.__file__), "exec"), {**vars(module)}, again)  # noqa: S102  # our own module's source
    except Exception:  # noqa: BLE001 -- whatever is wrong with the source, the functions can be called
        return {}
    found: dict[Any, Template] = {}
    for defined in parsed.body:
        loaded = getattr(module, defined.name, None) if isinstance(defined, ast.FunctionDef) else None
        if isinstance(defined, ast.FunctionDef) and isinstance(loaded, FunctionType):
            template = _taken_apart(loaded, defined)
            if template is not None and again[defined.name].__code__.co_code == loaded.__code__.co_code:
                found[loaded] = template
    return found


def _taken_apart(function: FunctionType, defined: ast.FunctionDef) -> Template | None:
    _, *body, last = defined.body
    if not isinstance(last, ast.Return) or not isinstance(last.value, ast.Name):
        return None
    names = [node for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name)]
    local = frozenset(node.id for node in names if isinstance(node.ctx, ast.Store))
    parameters = tuple(argument.arg for argument in defined.args.args)
    known = {**vars(builtins), **function.__globals__}
    used = {node.id: known[node.id] for node in names if node.id not in local and node.id not in parameters}
    return Template(parameters, tuple(body), last.value.id, local, used)


def set_in(template: Template, arguments: Sequence[ast.expr], result: str) -> list[ast.stmt]:
    """The template's statements, which leave what it returns in the local `result`.

    The first argument is the facts; a constant takes the parameter's place, anything else is kept in a local.
    """
    renamed = {local: f"{local}_{result}" for local in template.local} | {template.result: result}
    start: list[ast.stmt] = []
    replaced: dict[str, ast.expr] = {}
    for parameter, argument in zip(template.parameters, arguments, strict=True):
        if isinstance(argument, ast.Constant) or parameter == template.parameters[0]:
            replaced[parameter] = argument
        else:
            renamed[parameter] = f"{parameter}_{result}"
            start.append(syntax.Assign([syntax.Name(renamed[parameter], ast.Store())], argument))
    change = _Renaming(renamed, replaced)
    return [*start, *(change.visit(copy.deepcopy(statement)) for statement in template.body)]


class _Renaming(ast.NodeTransformer):
    def __init__(self, renamed: Mapping[str, str], replaced: Mapping[str, ast.expr]) -> None:
        self._renamed = renamed
        self._replaced = replaced

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self._replaced:
            return self._replaced[node.id]
        return syntax.Name(self._renamed.get(node.id, node.id), node.ctx)


_TEMPLATES: Mapping[Any, Template] = {**_templates(quick), **_templates(typed)}

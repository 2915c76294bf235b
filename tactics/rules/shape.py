"""What rules have in common that differ only in their constants: they share one compiled code.

Ten thousand activities are a few dozen plays with other numbers. The key of a shape says everything that the compiled
code depends on: blocks, which parameters are given and of what type, and which parts of the rule say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any, TypeAlias

from tactics.rules.tree import Block, Node, So, Tiers, children

# A global of the code: its name, the block that it comes from, the parameters there, and what is made of their values.
Drawn: TypeAlias = tuple[str, int, tuple[str, ...], Callable[..., Any] | None]


@dataclass(frozen=True, slots=True)
class Shape:
    """Compiled code, and what each rule has to give it: its constants, and verdicts of its exact evaluation by path."""

    code: CodeType
    names: dict[str, Any]
    drawn: tuple[Drawn, ...]
    exact: tuple[tuple[str, str], ...]

    def globals_of(self, blocks: Sequence[Block]) -> dict[str, Any]:
        """The globals for a rule of this shape that has these blocks."""
        names = dict(self.names)
        for name, index, parameters, make in self.drawn:
            params = blocks[index].params
            if make is None:
                names[name] = params[parameters[0]]
            else:
                names[name] = make(*[params.get(parameter) for parameter in parameters])
        return names


class Outline:
    """One rule as its shape sees it: `key`, its `blocks` in order, and a number for each part, equal where they say the same."""

    def __init__(self, rule: Node) -> None:
        self.blocks: list[Block] = []
        self.numbers: dict[int, int] = {}
        self.index: dict[int, int] = {}
        self._key: list[Hashable] = []
        self._seen: dict[Hashable, int] = {}
        self._visit(rule)
        self.key = tuple(self._key)

    def number(self, node: Node) -> int:
        """The number of a part."""
        return self.numbers[id(node)]

    def _visit(self, node: Node) -> int:
        said = self._block(node) if isinstance(node, Block) else self._joined(node)
        number = self.numbers[id(node)] = self._seen.setdefault(said, len(self._seen))
        self._key.append(number)
        return number

    def _joined(self, node: Node) -> Hashable:
        below = children(node)
        if isinstance(node, So):
            kind = "so" if node.when is None else "when"
        else:
            kind = node.mode if isinstance(node, Tiers) else type(node).__name__
        said = (kind, *map(self._visit, below))
        self._key.append((kind, len(below)))
        return said

    def _block(self, node: Block) -> Hashable:
        self.index[id(node)] = len(self.blocks)
        self.blocks.append(node)
        said: list[Any] = [node.block]
        form: list[Any] = [node.block]
        for name, value in node.params.items():
            kind = value.__class__
            if isinstance(value, Block):
                number = self._visit(value)
                said += (name, number)
                form += (name, Block, number)
            elif isinstance(value, tuple):
                said += (name, value, *(member.__class__ for member in value))
                form += (name, tuple, all(member.__class__ is str for member in value))
            else:
                said += (name, kind, value)
                # Of the truth values, which one it is makes other code.
                form += (name, kind, value) if kind is bool else (name, kind)
        self._key.append(tuple(form))
        return tuple(said)

"""Samples of call stacks: which part of the machinery each belongs to, and a small picture of them all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

PARTS = {
    "waiting for Postgres: commit": "#c0504d",
    "waiting for Postgres: statements": "#d98c5f",
    "psycopg and SQLAlchemy": "#e3b978",
    "Redis": "#8e6bb0",
    "Celery and kombu": "#7fae6b",
    "domain and rules": "#4f81bd",
    "engine: flows, steps, stores": "#86b3dd",
    "other": "#bbbbbb",
}
_COMMIT, _WAIT, _SQL, _REDIS, _CELERY, _DOMAIN, _ENGINE, _OTHER = PARTS
_BY_PREFIX = (
    ("psycopg", _SQL),
    ("sqlalchemy/", _SQL),
    ("redis/", _REDIS),
    ("hiredis/", _REDIS),
    ("celery/", _CELERY),
    ("kombu/", _CELERY),
    ("billiard/", _CELERY),
    ("vine/", _CELERY),
    ("tactics/domain/", _DOMAIN),
    ("tactics/rules/", _DOMAIN),
    ("tactics/", _ENGINE),
)
_FRAME = re.compile(r"^(?P<function>.*) \((?P<file>[^()]*?)(?::\d+)?\)$")
_WIDTH, _ROW, _CHAR, _SMALLEST = 1_200, 17, 6.6, 0.003

Stack = tuple[tuple[str, str], ...]
"""Frames as (function, file), the outermost first."""


@dataclass
class _Node:
    """A frame in the picture, with what it calls."""

    samples: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    calls: dict[tuple[str, str], _Node] = field(default_factory=dict)


def read(raw: str, below: str) -> Counter[Stack]:
    """Read py-spy's raw format.

    Args:
        raw: lines of frames, separated by semicolons, and a count.
        below: only what runs below this function counts, and the picture begins with it.
    """
    found: Counter[Stack] = Counter()
    for line in raw.splitlines():
        frames, _, count = line.rpartition(" ")
        stack = [_frame(one) for one in frames.split(";")]
        start = next((position for position, (function, _) in enumerate(stack) if _short(function) == below), None)
        if start is not None:
            found[tuple(stack[start:])] += int(count)
    return found


def _frame(text: str) -> tuple[str, str]:
    match = _FRAME.match(text)
    if match is None:
        return text.strip(), ""
    file = match["file"].rpartition("site-packages/")[2]
    if file.startswith("/"):  # a machine's folders say nothing
        _, ours, inner = file.rpartition("/tactics/")
        file = f"tactics/{inner}" if ours else Path(file).name
    return match["function"], file


def _short(function: str) -> str:
    """Give a function's name without its class."""
    return function.rpartition(".")[2]


def part_of(stack: Stack) -> str:
    """Name the part that a sample belongs to: what its innermost known frame is of."""
    function, file = stack[-1]
    if file.startswith("psycopg") and _short(function) == "wait":
        commits = any(_short(name) == "commit" and where.startswith("psycopg") for name, where in stack)
        return _COMMIT if commits else _WAIT
    for _, where in reversed(stack):
        for prefix, part in _BY_PREFIX:
            if where.startswith(prefix):
                return part
    return _OTHER


def shares(stacks: Counter[Stack]) -> dict[str, float]:
    """Give each part's share of all samples."""
    counted: Counter[str] = Counter()
    for stack, count in stacks.items():
        counted[part_of(stack)] += count
    return {part: counted[part] / stacks.total() for part in PARTS}


def svg(stacks: Counter[Stack], title: str, whole_ms: float) -> str:
    """Draw the stacks: callers above, callees below, as wide as their time; the colour is the part's.

    Args:
        stacks: the samples.
        title: the picture's heading.
        whole_ms: how long all of it takes, once.
    """
    root = _Node()
    for stack, count in stacks.items():
        node, part = root, part_of(stack)
        root.samples += count
        for frame in stack:
            node = node.calls.setdefault(frame, _Node())
            node.samples += count
            node.parts[part] += count
    top = 2 * _ROW + _ROW * len(PARTS)
    shapes = list(_shapes(root, 0.0, 0, root.samples, top, whole_ms))
    height = top + _ROW * (1 + max((depth for depth, _ in shapes), default=0)) + _ROW
    legend = [
        f'<rect x="8" y="{(2 + row) * _ROW - 12}" width="12" height="12" fill="{colour}"/>'
        f'<text x="26" y="{(2 + row) * _ROW - 2}">{escape(part)}: {share * whole_ms:.2f} ms</text>'
        for row, (part, colour, share) in enumerate(_legend(stacks))
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="monospace" font-size="11">',
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="8" y="{_ROW}" font-size="14">{escape(title)}</text>',
            *legend,
            *[shape for _, shape in shapes],
            "</svg>\n",
        ]
    )


def _legend(stacks: Counter[Stack]) -> Sequence[tuple[str, str, float]]:
    return [(part, PARTS[part], share) for part, share in shares(stacks).items()]


def _shapes(node: _Node, left: float, depth: int, whole: int, top: int, whole_ms: float) -> Iterable[tuple[int, str]]:
    """Give each frame's drawing with its depth; frames too narrow to see are left out."""
    for (function, file), child in sorted(node.calls.items(), key=lambda item: -item[1].samples):
        share = child.samples / whole
        if share < _SMALLEST:
            continue
        width, y = share * _WIDTH, top + depth * _ROW
        part, _ = child.parts.most_common(1)[0]
        letters = int(width / _CHAR) - 1
        name = function if len(function) <= letters else function[: letters - 1] + "…" if letters > 3 else ""
        text = f'<text x="{left + 3:.1f}" y="{y + 12}">{escape(name)}</text>' if name else ""
        hint = f"{function} ({file}): {share * whole_ms:.3f} ms, {share:.1%}"
        box = f'x="{left:.1f}" y="{y}" width="{max(width - 0.5, 0.5):.1f}" height="{_ROW - 1}" fill="{PARTS[part]}"'
        yield depth, f"<g><title>{escape(hint)}</title><rect {box}/>{text}</g>"
        yield from _shapes(child, left, depth + 1, whole, top, whole_ms)
        left += width

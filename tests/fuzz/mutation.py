"""Rules that were well-formed a moment ago: as data with parts exchanged, and as text with bytes exchanged."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tactics.rules import default_registry
from tests.rules.facts_at_random import WRONG_JSON, WRONG_PYTHON, some
from tests.rules.rules_at_random import open_rules, rules

Path = tuple[str | int, ...]

BLOCKS = sorted(definition.id for definition in default_registry)
KEYS = (
    "block",
    "params",
    "alias",
    "not",
    "and",
    "or",
    "so",
    "when",
    "then",
    "tiers",
    "mode",
    "steps",
    "amount",
    "value",
)
STRANGE_TEXTS = (
    "__import__('os').abort()",
    '"); raise SystemExit #',
    "{alias}",
    "{0.__class__}",
    "%s",
    "\\",
    "\n\r\0\u2028",
    "\ud800",
    "/~",
    "\uff2e\uff26\uff2b",
    "x" * 5000,
)
STRANGE = (
    *STRANGE_TEXTS,
    10**5000,
    -(10**5000),
    2**63,
    1e400,
    5e-324,
    -0.0,
)
SNIPPETS = (
    *(b'{"', b'":', b"[", b"]", b"{", b"}", b",", b'"', b"\\", b"\\ud800", b"\\u0000", b"null", b"true", b"[[[["),
    *(b"NaN", b"-Infinity", b"1e400", b"1" * 400, b"9" * 4301, b"1.0", b"-0", b"0x1", b"\xff", b"\xef\xbb\xbf", b"\0"),
    *(b'"so":', b'"tiers":', b'"not":', b'"alias":', b'"block":', b'{"alias":"a"}', b"/**/", b" " * 50),
)

ANYTHING = some(WRONG_JSON, WRONG_PYTHON, STRANGE, BLOCKS, KEYS) | st.integers() | st.floats() | st.text(max_size=4)


_SOUND = rules(5) | open_rules().map(lambda drawn: drawn[0])
_PUT_IN = some(SNIPPETS) | st.binary(min_size=1, max_size=4)
_NAMES = some(KEYS, STRANGE_TEXTS, (5, None, True))
_VALUES = some(BLOCKS) | st.sampled_from([{"alias": "a"}, True, 1, 1.0, "1", ["1"]])


@st.composite
def mutated_rules(draw: st.DrawFn) -> Any:
    """JSON data that was a rule, with one part or a few changed: often still a rule."""
    rule: Any = draw(_SOUND)
    for _ in range(draw(st.integers(1, 3))):
        rule = _changed(draw, rule)
    return rule


def _changed(draw: st.DrawFn, rule: Any) -> Any:  # noqa: PLR0911 -- one plain case after the other
    paths = list(_paths(rule))
    at = draw(st.sampled_from(paths))
    part = _at(rule, at)
    turn = draw(st.integers(0, 8))
    if turn <= 1:
        return _put(rule, at, draw(ANYTHING))
    if turn == 2:
        return _put(rule, at, copy.deepcopy(_at(rule, draw(st.sampled_from(paths)))))
    if turn == 3:
        return _put(
            rule, at, draw(st.sampled_from([[part], {"not": part}, {"and": [part]}, {"so": part}, (part, part)]))
        )
    if turn == 4:
        return _put(rule, at, draw(rules(2)))
    if isinstance(part, dict):
        return _put(rule, at, _other_keys(draw, part, turn))
    if isinstance(part, list):
        return _put(rule, at, part[: draw(st.integers(0, len(part)))] + part[draw(st.integers(0, len(part))) :])
    return _put(rule, at, draw(_VALUES))


def _other_keys(draw: st.DrawFn, part: dict[Any, Any], turn: int) -> dict[Any, Any]:
    name = draw(_NAMES)
    if turn == 5 or not part:
        return {**part, name: draw(ANYTHING)}
    old = draw(st.sampled_from(sorted(part, key=repr)))
    rest = {key: value for key, value in part.items() if key != old}
    if turn == 6:
        return rest
    if turn == 7 and "block" in part:
        return {**part, "block": draw(some(BLOCKS))}
    return {**rest, name: part[old]}


def _paths(node: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _paths(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _paths(value, (*path, index))


def _at(node: Any, path: Path) -> Any:
    for step in path:
        node = node[step]
    return node


def _put(node: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    changed: Any = list(node) if isinstance(node, list) else dict(node)
    changed[path[0]] = _put(node[path[0]], path[1:], value)
    return changed


@st.composite
def mutated_texts(draw: st.DrawFn) -> bytes:
    """JSON text that said a rule, with a few bytes taken out, put in, doubled or exchanged."""
    text = json.dumps(draw(rules(3)), ensure_ascii=draw(st.booleans())).encode()
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 20)))
        turn = draw(st.integers(0, 3))
        if turn == 0:
            text = text[:start] + text[end:]
        elif turn == 1:
            text = text[:start] + draw(_PUT_IN) + text[start:]
        elif turn == 2:
            text = text[:start] + text[start:end] * draw(st.integers(2, 40)) + text[end:]
        else:
            text = text[:start] + draw(_PUT_IN) + text[end:]
    return text

"""Reads the fenced blocks of the documentation, and the marks that say what is done with them.

A mark is an HTML comment on the line above a fence:

    <!-- file: tea.yaml -->       the block is that file, which later commands find
    <!-- background -->           the command runs until the document ends; it has to say that it is ready
    <!-- at once -->              the command does not wait until everything sent before has ended
    <!-- exit: 2 -->              the command ends with this code
    <!-- needs: addresses -->     from here on, the environment has what this exports, with the servers' real addresses
    <!-- not run: reason -->      nobody can run it here; the reason is for whoever reads the source
    <!-- rehearsed: step -->      a step of the runbook, which tests/runbook runs when what it is for has happened
    <!-- picture -->              text that no command prints

A `text` block below a `sh` block is what its commands print: `…` stands for anything, alone on a line for any lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS: Sequence[Path] = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MARKS = frozenset({"file", "background", "at once", "exit", "needs", "not run", "rehearsed", "picture"})
NOT_TYPED: frozenset[str | None] = frozenset({"not run", "needs", "rehearsed"})
"""The marks of commands that nobody types in the order of the page."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)$")
_MARK = re.compile(r"^ *<!-- (?P<name>[a-z ]+?)(?:: (?P<value>.+?))? -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it stands, what it says, and its mark."""

    path: Path
    line: int
    language: str
    text: str
    mark: str | None = None
    value: str | None = None

    @property
    def place(self) -> str:
        """Where to find it."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    """Read the blocks of a document, in order."""
    lines = path.read_text().splitlines()
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence is None:
            number += 1
            continue
        end = next(at for at in range(number + 1, len(lines)) if lines[at].strip() == "```")
        body = [line.removeprefix(fence["indent"]) for line in lines[number + 1 : end]]
        above = _MARK.match(lines[number - 1]) if number else None
        name, value = (above["name"], above["value"]) if above and above["name"] in MARKS else (None, None)
        yield Block(path, number + 1, fence["language"], "\n".join(body) + "\n", name, value)
        number = end + 1


def shows(printed: str, wanted: str) -> bool:
    """Tell whether what was printed is what a document shows; spaces, empty lines and frames do not matter."""
    parts = [_pattern(line) for line in _lines(wanted)]
    return re.fullmatch("".join(parts), "".join(f"{line}\n" for line in _lines(printed))) is not None


def _pattern(line: str) -> str:
    if line == "…":
        return r"(?:.*\n)*?"
    return ".*".join(re.escape(part) for part in line.split("…")) + r"\n"


def _lines(text: str) -> list[str]:
    found = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in found if line.strip("─ ")]

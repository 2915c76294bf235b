"""What is wrong with a rule, said once for people and once for machines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a rule.

    `path` is a JSON Pointer (RFC 6901) into the rule, `code` a word for machines, `message` a sentence for people.
    """

    path: str
    code: str
    message: str
    severity: Literal["error", "warning"] = "error"

    def to_json(self) -> dict[str, str]:
        """This problem as `check` prints it."""
        return asdict(self)


class RuleError(ValueError):
    """The rule, or the declaration of a block, is not well-formed.

    `problems` lists everything that is wrong, not only the first thing found.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.path or 'rule'}: {p.message}" for p in self.problems))

    @classmethod
    def of(cls, path: str, code: str, message: str) -> RuleError:
        """An error that has a single problem."""
        return cls([Problem(path, code, message)])


def pointer(path: str, *steps: object) -> str:
    """`path` with further steps appended, escaped as RFC 6901 asks."""
    for step in steps:
        text = step if isinstance(step, str) else _text(step)
        if "~" in text or "/" in text:
            text = text.replace("~", "~0").replace("/", "~1")
        path = f"{path}/{text}"
    return path


def _text(step: object) -> str:
    try:
        return str(step)
    except ValueError:  # an integer of more digits than Python writes
        return "…"

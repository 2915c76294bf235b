"""Wording strategies: which function finds the words, by tool type and language (C-21).

A wording is a function that says one thing in one language. Importing the module that declares it registers it::

    @wording("lottery", "en")
    def lottery(asset: Mapping[str, Any], ctx: TacticsInstanceContext) -> Expression:
        return Expression(title="You won", text=f"{money(asset['value_minor'], asset['currency'])} is yours.")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args

from tactics.domain.activity import BenefitKind, Expression
from tactics.errors import TacticsError

Subject = Literal["benefit", "pending", "spent", "item"]
"""What is worded: a benefit to be used, one that is still being settled, one that is used up; an item and its price."""

Wording = Callable[[Mapping[str, Any], Any], Expression]
"""Words for a mapping (the asset, or the item) in a context, which is that of the activity's template."""

ANY = "*"
"""Stands for every tool type that has no words of its own."""
STANDARD: frozenset[str] = frozenset(get_args(BenefitKind))
"""The tool types that come with Tactics; each is called like a kind of benefit."""
FALLBACK = "en"

_TAG = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")
_Declared = TypeVar("_Declared", bound=Wording)


class InvalidWording(TacticsError):
    """A wording is declared in a way that cannot work."""

    code = "invalid_wording"


class Wordings:
    """The wordings that a process knows."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[tuple[str, str, str], Wording] = {}

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """Go through what is known: (subject, tool type, language)."""
        return iter(sorted(self._known))

    def add(self, words: Wording, tool_type: str, language: str, of: Subject = "benefit") -> None:
        """Make a wording known. The same one again changes nothing.

        Args:
            words: the function.
            tool_type: whose words these are, or ANY.
            language: a BCP 47 tag; `zh` serves `zh-TW` where that has none of its own.
            of: what is worded.

        Raises:
            InvalidWording: another function has this place, or there is no such place.
        """
        tag = _normal(language)
        if not _TAG.fullmatch(tag):
            raise InvalidWording(f"{language!r} is not a language tag such as en or zh-TW")
        if of not in get_args(Subject):
            raise InvalidWording(f"nothing is worded as {of!r}: it is one of {', '.join(get_args(Subject))}")
        known = self._known.get((of, tool_type, tag))
        if known is not None and _place(known) != _place(words):
            raise InvalidWording(
                f"two wordings of {of!r} for tool type {tool_type!r} in {tag!r}: {_place(known)} and {_place(words)};"
                " give one of them another tool type or language"
            )
        self._known[of, tool_type, tag] = words

    def find(self, of: Subject, tool_types: Sequence[str], language: str) -> Wording | None:
        """Choose a wording: in the nearest language first, and there for the first tool type that has one.

        Args:
            of: what is worded.
            tool_types: the preferred one first.
            language: the caller's tag: tried whole, then shortened part by part, then English.
        """
        for tag in _nearest(language):
            for tool_type in tool_types:
                found = self._known.get((of, tool_type, tag))
                if found is not None:
                    return found
        return None


default_wordings = Wordings()


def wording(
    tool_type: str, language: str, of: Subject = "benefit", *, wordings: Wordings = default_wordings
) -> Callable[[_Declared], _Declared]:
    """Declare a function to be the words for a tool type in a language.

    It gets what is worded and the context, and returns an `Expression`. For `benefit`, `pending` and `spent` that is
    the answer's first asset (empty where there is none), for `item` an item with its prices, of which only `text` is
    shown.

    Args:
        tool_type: activities name it as `tool_type`; ANY is for all that have no words of their own.
        language: a BCP 47 tag.
        of: what is worded.
        wordings: where it is made known.

    Raises:
        InvalidWording: two functions declare the same.
    """

    def declare(words: _Declared) -> _Declared:
        wordings.add(words, tool_type, language, of)
        return words

    return declare


def _normal(language: str) -> str:
    return language.strip().lower().replace("_", "-")


def _nearest(language: str) -> Iterator[str]:
    """Give the tags to try. Source: the lookup of RFC 4647, section 3.4."""
    tag = _normal(language)
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]
    yield FALLBACK


def _place(words: Wording) -> str:
    """Say where a function is written: a module that is loaded twice declares the same."""
    code = getattr(words, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(words)

"""Rules that were asked about lately, kept ready to run: callers ask the same ones over and over."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

from tactics import rules
from tactics.rules import Rule, RuleError

# A rule that is ready takes some thirty times the room of its text.
MAX_TEXT = 2 * 1024 * 1024
_LONGEST = MAX_TEXT // 32


class KeptRules:
    """Rules by their JSON text, up to a size in all; the one that was not asked about longest goes first."""

    def __init__(self, max_text: int = MAX_TEXT) -> None:
        self._max_text = max_text
        self._rules: OrderedDict[str, Rule] = OrderedDict()
        self._text = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._rules)

    def find(self, rule: Any) -> Any:
        """The rule ready to run, kept from last time or from now on; what is no rule comes back as it is, for others to judge."""
        if not isinstance(rule, Mapping):
            return rule
        try:
            text = json.dumps(rule, separators=(",", ":"))
        except RecursionError:
            return rule
        with self._lock:
            found = self._rules.get(text)
            if found is not None:
                self._rules.move_to_end(text)
                return found
        try:
            made = rules.parse(rule)
        except RuleError:
            return rule
        self._keep(text, made)
        return made

    def _keep(self, text: str, rule: Rule) -> None:
        if len(text) > _LONGEST:
            return
        with self._lock:
            if text not in self._rules:
                self._text += len(text)
            self._rules[text] = rule
            while self._text > self._max_text:
                gone, _ = self._rules.popitem(last=False)
                self._text -= len(gone)

"""Behaviour rules that are set up one at a time, switched on and off."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from tactics.domain.activity import pointer
from tactics.errors import BadInput
from tactics.flows.reading import Around, agreed_rules, read_document, transaction
from tactics.runtime import Runtime
from tactics.store import behaviour_rules
from tactics.store.activities import Change


@dataclass(frozen=True, slots=True)
class SavedRule:
    """What saving a behaviour rule came to."""

    version: int
    change: Change
    enabled: bool


def save_rule(
    runtime: Runtime,
    rule_key: str,
    said: dict[str, Any],
    *,
    enabled: bool | None = None,
    around: Around = nullcontext,
) -> SavedRule:
    """Save a behaviour rule; the same again changes nothing.

    Args:
        runtime: the process's runtime.
        rule_key: the rule's name and the channel code of its events.
        said: `{rule, cooldown_s?}`, as below `behaviour_rules` of a document.
        enabled: whether user actions are checked against it; as it is when left out, and a new one is.
        around: surrounds it within its transaction.

    Raises:
        BadInput: with all `problems`, each with its `path` and a `message`.
        Conflict: an activity defines the rule differently.
    """
    with transaction(runtime, around) as conn:
        try:
            read = read_document(conn, {"behaviour_rules": {rule_key: said}}, "this request")
        except BadInput as error:
            above = pointer(("behaviour_rules", rule_key))
            problems = [{**one, "path": one["path"].removeprefix(above)} for one in error.fields["problems"]]
            lines = "; ".join(f"{one['path'] or '/'}: {one['message']}" for one in problems)
            raise BadInput(f"behaviour rule {rule_key!r}: {lines}", problems=problems) from None
        (rule,) = agreed_rules(conn, [read]).values()
        version, change = behaviour_rules.save(conn, rule_key, rule)
        if enabled is not None and behaviour_rules.set_enabled(conn, rule_key, enabled=enabled):
            change = "new" if change == "new" else "updated"
        found = behaviour_rules.find(conn, rule_key)
        return SavedRule(version, change, bool(found and found.enabled))

"""Which of a channel's many activities can a placement come to: the others are answered before any segment opens.

An index of the channel's activities is kept as long as they stay as they are. It leads from what a placement knows to
the activities whose rule holds; what a segment would find out first about all others is told without one. It never says
that an activity matches: that is for the segment. See docs/adr/0018-rule-sets-in-the-look-up.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple, cast

import structlog
from sqlalchemy import Connection

from tactics import rules
from tactics.celery_app import TacticsApp
from tactics.choosing import StoredChains, choose, template_of
from tactics.domain.activity import TacticsActivity
from tactics.domain.context import ItemContext, TacticsInstanceContext
from tactics.domain.plain import plain_problem
from tactics.errors import DatabaseDown, InvalidTemplate
from tactics.gathering import reads_user
from tactics.processors.check_event import NOT_YET, check_event
from tactics.processors.check_rule import check_rule, refusal
from tactics.processors.finish_execution import finish_execution
from tactics.processors.handle_item_promotion import handle_item_promotion
from tactics.processors.load_prepared import load_prepared
from tactics.run import Step
from tactics.runtime import Runtime
from tactics.store import instances

log = structlog.get_logger()

FEW = 8
"""With no more activities to be run than these, looking costs more than it saves."""
MOST_GENERATIONS = 32
"""So many times what changed is put beside what is known, before all is put together anew."""

_INDEXES = "placement_indexes"
_NOTE = "found out when the channel's activities were looked up; no step ran"
# Steps before the rule's that neither write nor show anything, and do not change what the rule sees; the last of them
# has nothing to do either where an activity has no items, because nothing prepares it.
_QUIET: tuple[tuple[Step, ...], ...] = ((), (check_event,), (check_event, load_prepared))
_QUIET_WITHOUT_ITEMS = (*_QUIET, (check_event, load_prepared, handle_item_promotion))

ContextOf = Callable[[type[TacticsInstanceContext], TacticsActivity], TacticsInstanceContext]


class _SetKey(NamedTuple):
    """What the facts of activities differ by, and the generation of the index in which they came."""

    kind: type[TacticsInstanceContext]
    timezone: str
    reads_user: bool
    generation: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a version of an activity on a channel.

    `waits`: without a preparation its chain ends at once. `seen_as`: in which set its rule is; None: only its segment
    can tell whether the rule holds.
    """

    version: int
    chain_id: int | None
    template_locks: bool
    waits: bool
    seen_as: _SetKey | None


@dataclass(frozen=True, slots=True)
class _RuleSet:
    """Rules that see the same facts. `example` is one of their activities."""

    rules: rules.RuleSet[str]
    example: TacticsActivity


@dataclass(frozen=True, slots=True)
class _Index:
    """A channel's activities, as of a revision of the chains; one without an entry always goes the full way.

    What changed is of a later generation than what it began with: sets are not made anew for each activity that is
    published. What is no longer there, or of an older version, stays in its set until then, and no entry leads to it.
    """

    chains: int
    versions: Mapping[str, int]
    entries: Mapping[str, Entry]
    sets: Mapping[_SetKey, _RuleSet]
    generation: int

    def knows(self, chains: int, candidates: Sequence[TacticsActivity]) -> bool:
        """Tell whether it is about these activities, in these versions; that it has others too does no harm."""
        known = self.versions.get
        return self.chains == chains and all(known(one.code) == one.version for one in candidates)


@dataclass(frozen=True, slots=True)
class Stop:
    """How an activity's chain would end for this placement: at which step, as what, and the same for people."""

    entry: Entry
    step: str
    outcome: str
    text: str

    @property
    def trace(self) -> list[dict[str, Any]]:
        """What the execution's trace says."""
        return [{"step": self.step, "outcome": f"stopped: {self.outcome}", "notes": [_NOTE]}]


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What was found out for one placement, before any of its segments."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    prepared: frozenset[str] = frozenset()
    facts: Mapping[_SetKey | None, dict[str, Any]] = field(default_factory=dict)
    matching: Mapping[_SetKey | None, frozenset[str]] = field(default_factory=dict)

    def stop(self, activity: TacticsActivity) -> Stop | None:
        """Tell how the activity's chain would end; None: its segment has to be opened."""
        entry = self.entries.get(activity.code)
        if entry is None:
            return None
        if entry.waits and activity.code not in self.prepared:
            return Stop(entry, check_event.name, *NOT_YET)
        if entry.seen_as not in self.facts or activity.code in self.matching[entry.seen_as]:
            return None
        refused = refusal(rules.calculate(activity.parsed_rule, self.facts[entry.seen_as]))
        return None if refused is None else Stop(entry, check_rule.name, *refused)


def look_up(
    app: TacticsApp,
    stored: StoredChains,
    channel: str,
    user_id: str,
    candidates: Sequence[TacticsActivity],
    context_of: ContextOf,
) -> LookedUp:
    """Find out which activities can come to something.

    Args:
        app: knows templates, and keeps the indexes.
        stored: the stored chains as of now.
        channel: the placement's channel code.
        user_id: who visits.
        candidates: the activities that are still to be run.
        context_of: makes the context that an activity's chain would begin with.

    Returns:
        What is known of each; nothing where there are few candidates: then each activity's own segment tells.
    """
    if len(candidates) <= FEW:
        return LookedUp()
    index = _index_of(app, stored, channel, candidates)
    with app.runtime.reading() as conn:
        waiting = any(entry.waits for entry in index.entries.values())
        prepared = instances.prepared_of(conn, user_id) if waiting else ()
        reading = any(key.reads_user for key in index.sets)
        user, known = _user(app.runtime, conn, user_id) if reading else (None, True)
    facts: dict[_SetKey | None, dict[str, Any]] = {}
    for key, one in index.sets.items():
        if known or not key.reads_user:
            ctx = context_of(key.kind, one.example)
            ctx.user = user if key.reads_user else None
            facts[key] = ctx.facts()
    matching: dict[_SetKey | None, frozenset[str]] = {
        key: frozenset(match.key for match in one.rules.matching(facts[key]))
        for key, one in index.sets.items()
        if key in facts
    }
    return LookedUp(index.entries, frozenset(prepared), facts, matching)


def _user(runtime: Runtime, conn: Connection, user_id: str) -> tuple[dict[str, Any] | None, bool]:
    """Give the user's attributes, and whether rules can be looked up by them.

    An outer system may fail, or say what cannot be stored: only activities that read it are to stumble over that.
    """
    try:
        user = runtime.gateways.users.attributes(conn, user_id)
    except DatabaseDown:
        raise
    except Exception as error:  # noqa: BLE001  # as in a segment, whatever it raises
        log.warning("not_looked_up", error=f"{type(error).__name__}: {error}")
        return None, False
    return user, plain_problem(user) is None


def _index_of(app: TacticsApp, stored: StoredChains, channel: str, candidates: Sequence[TacticsActivity]) -> _Index:
    """Give the channel's index; renewed when an activity or a chain is not as it was. One thread does that."""
    shared = app.runtime.shared
    kept = cast("dict[str, _Index]", shared.setdefault(_INDEXES, {}))
    found = kept.get(channel)
    if found is None or not found.knows(stored.revision, candidates):
        with cast("Lock", shared.setdefault(f"{_INDEXES}_renewed", Lock())):
            found = kept.get(channel)
            if found is None or not found.knows(stored.revision, candidates):
                found = kept[channel] = _renewed(app, stored, channel, candidates, found)
    return found


def _renewed(
    app: TacticsApp,
    stored: StoredChains,
    channel: str,
    candidates: Sequence[TacticsActivity],
    known: _Index | None,
) -> _Index:
    if known is None or known.chains != stored.revision or known.generation == MOST_GENERATIONS:
        known = _Index(stored.revision, {}, {}, {}, -1)
    generation = known.generation + 1
    changed = [one for one in candidates if known.versions.get(one.code) != one.version]
    entries = dict(known.entries)
    members: defaultdict[_SetKey, list[TacticsActivity]] = defaultdict(list)
    for activity in changed:
        entries.pop(activity.code, None)
        entry = _enter(app, stored, channel, activity, generation)
        if entry is not None:
            entries[activity.code] = entry
            if entry.seen_as is not None:
                members[entry.seen_as].append(activity)
    sets = {
        key: _RuleSet(rules.RuleSet((one.code, one.parsed_rule) for one in found), found[0])
        for key, found in members.items()
    }
    versions = {**known.versions, **{one.code: one.version for one in changed}}
    return _Index(stored.revision, versions, entries, {**known.sets, **sets}, generation)


def _enter(
    app: TacticsApp, stored: StoredChains, channel: str, activity: TacticsActivity, generation: int
) -> Entry | None:
    """Tell what can be known of an activity before its segment opens; None: nothing."""
    try:
        template = template_of(app, activity)
        chosen = choose(app.runtime, app, stored, template, "grant", channel)
    except InvalidTemplate:
        return None
    steps = chosen.steps
    if any(step.always and step is not finish_execution for step in steps):
        return None  # it wants to see every placement
    waits = steps[0] is check_event and bool(activity.channels.prepare)
    seen_as = _seen_as(activity, steps, template.context_type, generation)
    if not waits and seen_as is None:
        return None
    return Entry(activity.version, chosen.chain_id, template.lock, waits, seen_as)


def _seen_as(
    activity: TacticsActivity, steps: Sequence[Step], context: type[TacticsInstanceContext], generation: int
) -> _SetKey | None:
    """Name the set of an activity's rule; None where it may see what only its segment finds."""
    kind = _kind(activity, steps, context)
    if kind is None:
        return None
    try:
        rules.compile_rule(activity.parsed_rule)
        needs = activity.rule_needs
    except rules.RuleError:  # its segment says what is wrong
        return None
    if needs.behaviours or needs.items:
        return None
    return _SetKey(kind, activity.timezone, reads_user(needs), generation)


def _kind(
    activity: TacticsActivity, steps: Sequence[Step], context: type[TacticsInstanceContext]
) -> type[TacticsInstanceContext] | None:
    """Tell which context gives the rule's facts as they are before any step; None: a step may add to them, or show more."""
    if check_rule not in steps:
        return None
    before = tuple(steps[: steps.index(check_rule)])
    if context.facts is TacticsInstanceContext.facts and before in _QUIET:
        return TacticsInstanceContext
    if context.facts is ItemContext.facts and before in _QUIET_WITHOUT_ITEMS and not activity.channels.prepare:
        return ItemContext
    return None

"""Which chain an execution runs: the template's own, or a stored one that is edited at run time.

Stored for the channel code → in Python for the code → stored for all codes → the template's own. Processes keep what
they have read until the revision of the chains changes, so that choosing costs no statement. See
docs/adr/0014-stored-chains.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from tactics.checking import chain_problems
from tactics.domain.activity import Link, TacticsActivity
from tactics.domain.context import TacticsInstanceContext
from tactics.errors import InvalidTemplate
from tactics.run import Step, Template
from tactics.runtime import Runtime
from tactics.store import activities, chains, executions
from tactics.store.chains import UNDECIDED, StoredChain
from tactics.store.executions import ExecutionRow

Key = tuple[str, Link, str | None]
"""Template, link and channel code; None is every code that is not named."""


class Registry(Protocol):
    """What this process can run: the app."""

    @property
    def templates(self) -> Mapping[str, Template]:
        """Templates by their type."""
        ...

    @property
    def processors(self) -> Mapping[str, Step]:
        """Processors by their name, those of no template too."""
        ...


@dataclass(frozen=True)
class StoredChains:
    """The enabled stored chains, as of a revision."""

    revision: int
    by_key: Mapping[Key, StoredChain]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chain of an execution: its steps, and which version of a stored chain they are (None: the one in code)."""

    chain_id: int | None
    steps: Sequence[Step]


def stored_chains(runtime: Runtime, conn: Connection, revisions: Mapping[str, int]) -> StoredChains:
    """Give the enabled stored chains; read again only when their revision has changed.

    Args:
        runtime: keeps what was read.
        conn: where to read them.
        revisions: as `activities.revisions` has just given them.
    """
    revision = revisions.get("chains", 0)
    known = runtime.shared.get("stored_chains")
    if isinstance(known, StoredChains) and known.revision == revision:
        return known
    found = chains.enabled(conn) if revision else []
    by_key: dict[Key, StoredChain] = {
        (one.document.template_type, one.document.link, code): one for one in found for code in one.document.claims
    }
    for one in found:
        _versions(runtime)[one.id] = one
    runtime.shared["stored_chains"] = made = StoredChains(revision, by_key)
    return made


def choose_id(stored: StoredChains, template: Template, link: Link, channel_code: str) -> int | None:
    """Name the stored chain's version that a new execution runs; None is the chain in code. It may be unknown here."""
    found = _stored_for(stored, template, link, channel_code)
    return None if found is None else found.id


def choose(
    runtime: Runtime, registry: Registry, stored: StoredChains, template: Template, link: Link, channel_code: str
) -> Chosen:
    """Choose the chain of a new execution.

    Raises:
        InvalidTemplate: it is a stored chain that cannot run here, for example one with a step of a missing plugin.
    """
    found = _stored_for(stored, template, link, channel_code)
    if found is None:
        return Chosen(None, template.chain(link, channel_code))
    return Chosen(found.id, _steps(runtime, registry, found, template.context_type))


def _stored_for(stored: StoredChains, template: Template, link: Link, channel_code: str) -> StoredChain | None:
    if not stored.by_key:
        return None
    found = stored.by_key.get((template.template_type, link, channel_code))
    if found is None and template.override(link, channel_code) is None:
        found = stored.by_key.get((template.template_type, link, None))
    return found


def chain_of(runtime: Runtime, registry: Registry, row: ExecutionRow) -> Sequence[Step]:
    """Give the steps that an execution runs from its beginning to its end, whatever is edited meanwhile.

    Raises:
        InvalidTemplate: this process knows not its template, or not all of its chain's steps.
    """
    template = template_of(registry, runtime.activity(row.activity_code, row.activity_version))
    if row.chain_id is None:
        return template.chain(row.link, row.channel_code)  # type: ignore[arg-type]  # checked by the table
    if row.chain_id == UNDECIDED:
        raise InvalidTemplate(f"no process that knows template {template.template_type!r} has chosen its chain yet")
    return _steps(runtime, registry, _version(runtime, row.chain_id), template.context_type)


def decided(runtime: Runtime, registry: Registry, row: ExecutionRow) -> ExecutionRow:
    """Choose for an execution whose template was unknown where its event was routed; any other stays as it is.

    Raises:
        InvalidTemplate: this process does not know the template either.
    """
    if row.chain_id != UNDECIDED:
        return row
    template = template_of(registry, runtime.activity(row.activity_code, row.activity_version))
    with runtime.engine.begin() as conn:
        stored = stored_chains(runtime, conn, activities.revisions(conn))
        chosen = choose_id(stored, template, row.link, row.channel_code)  # type: ignore[arg-type]  # as above
        chains.decide(conn, row.user_id, row.id, chosen)
        return executions.find(conn, row.id) or row


def template_of(registry: Registry, activity: TacticsActivity) -> Template:
    """Give an activity's template.

    Raises:
        InvalidTemplate: this process knows none of this name.
    """
    found = registry.templates.get(activity.template_type)
    if found is None:
        name = activity.template_type
        raise InvalidTemplate(f"activity {activity.code!r} needs template {name!r}: is its plugin loaded here?")
    return found


def _versions(runtime: Runtime) -> dict[int, StoredChain]:
    found = runtime.shared.setdefault("chain_versions", {})
    assert isinstance(found, dict)  # noqa: S101  # ours alone
    return found


def _version(runtime: Runtime, chain_id: int) -> StoredChain:
    known = _versions(runtime)
    if chain_id not in known:
        with runtime.reading() as conn:
            found = chains.by_id(conn, chain_id)
        if found is None:
            raise InvalidTemplate(f"there is no version {chain_id} of any stored chain")
        known[chain_id] = found
    return known[chain_id]


def _steps(
    runtime: Runtime, registry: Registry, chain: StoredChain, context: type[TacticsInstanceContext]
) -> Sequence[Step]:
    """Give a stored chain's steps as this process knows them; what another one saved may not work here."""
    kept = runtime.shared.setdefault("chain_steps", {})
    assert isinstance(kept, dict)  # noqa: S101  # ours alone
    found: Sequence[Step] | None = kept.get(chain.id)
    if found is None:
        problems = chain_problems(chain.document.link, context, chain.document.steps, registry.processors)
        if problems:
            text = "; ".join(problem["message"] for problem in problems)
            raise InvalidTemplate(f"stored chain {chain.name!r}, version {chain.version}, cannot run here: {text}")
        found = kept[chain.id] = tuple(registry.processors[name] for name in chain.document.steps)
    return found

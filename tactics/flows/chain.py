"""Chains that operators store: checked whole when they are saved, all of an import or none of it.

Read top-down: read the documents → check each against what this process knows → save → refuse what is claimed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from tactics.celery_app import TacticsApp
from tactics.checking import chain_problems
from tactics.choosing import Registry, choose_id, stored_chains
from tactics.domain.activity import Link
from tactics.domain.chain import ChainDocument, parse_chain, refused
from tactics.errors import BadInput, Conflict, NotFound
from tactics.runtime import Runtime
from tactics.store import activities, chains

GIVING = "send_benefit"

Where = Callable[[int], str]
"""Says in people's terms which document it is, from its index."""


@dataclass(frozen=True, slots=True)
class SavedChain:
    """What became of a chain's document. `notes` say what the operator may not expect."""

    chain: str
    version: int
    change: activities.Change
    enabled: bool
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


def import_chains(app: TacticsApp, documents: Iterable[object], *, where: Where | None = None) -> list[SavedChain]:
    """Save chains; from the commit on, what begins runs them, in every process. A document that says nothing new changes nothing.

    Args:
        app: knows the templates and processors that chains are checked against, those of plugins too.
        documents: chains as mappings.
        where: names a document in errors, for example by its file; its number when left out.

    Returns:
        One for each document, in the order given.

    Raises:
        BadInput: with all `problems` of all documents, each with `where` it is, its `path` and a `message`.
        Conflict: two enabled chains are for the same template, link and channel code.
    """
    read = _checked(app, documents, where or (lambda index: f"document {index + 1}"))
    with _transaction(app.runtime) as conn:
        saved = [(document, *chains.save(conn, document)) for document in read]
        _refuse_twice(conn)
        now = {one.name: one.enabled for one in chains.listing(conn)}
        return [
            SavedChain(
                document.chain,
                version,
                change,
                now[document.chain],
                tuple(_notes(app, conn, document, enabled=now[document.chain])),
            )
            for document, version, change in saved
        ]


def enable_chain(app: TacticsApp, name: str) -> bool:
    """Let what begins run a chain again; tells whether that changed anything.

    Raises:
        NotFound: there is no such chain.
        BadInput: it cannot work any more: a step has gone, or needs something else.
        Conflict: another enabled chain is for the same template, link and channel code.
    """
    with _transaction(app.runtime) as conn:
        document = chains.find(conn, name).document
        problems = document_problems(app, document)
        if problems:
            raise refused(name, problems)
        changed = chains.set_enabled(conn, name, yes=True)
        _refuse_twice(conn)
        return changed


def disable_chain(runtime: Runtime, name: str) -> bool:
    """Let what begins run the template's own chain; what has begun ends as it began. Tells whether that changed anything.

    Raises:
        NotFound: there is no such chain.
    """
    with _transaction(runtime) as conn:
        return chains.set_enabled(conn, name, yes=False)


def chain_now(app: TacticsApp, template_type: str, link: Link, channel_code: str) -> tuple[str, ChainDocument]:
    """Tell which chain a placement or behaviour event would run now.

    Args:
        app: knows the templates.
        template_type: of the activity.
        link: which journey.
        channel_code: which the event comes with.

    Returns:
        Where it is from, in words; and the chain as it could be imported, under another name if it is in code.

    Raises:
        NotFound: no template of this type is known here.
    """
    template = app.templates.get(template_type)
    if template is None:
        raise NotFound(f"there is no template {template_type!r} here; there are {', '.join(sorted(app.templates))}")
    with app.runtime.engine.connect() as conn:
        stored = stored_chains(app.runtime, conn, activities.revisions(conn))
        chain_id = choose_id(stored, template, link, channel_code)
        found = None if chain_id is None else chains.by_id(conn, chain_id)
    if found is not None:
        return f"the stored chain {found.name}, version {found.version}", found.document
    only = template.override(link, channel_code) is not None
    document = ChainDocument(
        chain=f"my_{template_type}_{link}",
        template_type=template_type,
        link=link,
        channel_codes=(channel_code,) if only else None,
        steps=tuple(step.name for step in template.chain(link, channel_code)),
    )
    return "the template's own chain" + (f" for {channel_code} (in code)" if only else " (in code)"), document


def document_problems(registry: Registry, document: ChainDocument) -> list[dict[str, str]]:
    """Find everything that keeps a chain from working here.

    Args:
        registry: what this process can run.
        document: the chain.

    Returns:
        Problems, each with the `path` (a JSON Pointer into the document) and a `message`.
    """
    template = registry.templates.get(document.template_type)
    if template is None:
        known = ", ".join(sorted(registry.templates))
        message = f"there is no template {document.template_type!r} here (is its plugin loaded?); there are {known}"
        return [{"path": "/template_type", "message": message}]
    found = chain_problems(document.link, template.context_type, document.steps, registry.processors)
    return [{"path": "/steps" + one["path"], "message": one["message"]} for one in found]


@contextmanager
def _transaction(runtime: Runtime) -> Iterator[Connection]:
    with runtime.changing() as conn:
        activities.serialize(conn)
        yield conn


def _checked(registry: Registry, documents: Iterable[object], where: Where) -> list[ChainDocument]:
    read: list[ChainDocument] = []
    problems: list[dict[str, str]] = []
    lines: list[str] = []
    first_at: dict[str, str] = {}
    for index, document in enumerate(documents):
        place = where(index)
        try:
            one = parse_chain(document)
            if (first := first_at.setdefault(one.chain, place)) != place:
                raise refused(one.chain, [{"path": "/chain", "message": f"it is also in {first}"}])
            found = document_problems(registry, one)
            if found:
                raise refused(one.chain, found)
        except BadInput as error:
            problems += [{"where": place, **problem} for problem in error.fields["problems"]]
            lines.append(f"{place}: {error.message}")
            continue
        read.append(one)
    if lines:
        raise BadInput("\n".join(lines), problems=problems)
    return read


def _refuse_twice(conn: Connection) -> None:
    for one, other, codes in chains.claimed_twice(chains.enabled(conn)):
        on = "all channel codes" if codes == [None] else f"channel code {', '.join(map(repr, codes))}"
        raise Conflict(
            f"chains {one.name!r} and {other.name!r} are both for template {one.document.template_type!r}, "
            f"link {one.document.link}, {on}: disable one, or let it name other codes",
            chains=[one.name, other.name],
        )


def _notes(registry: Registry, conn: Connection, document: ChainDocument, *, enabled: bool) -> Iterator[str]:
    if not enabled:
        yield f"it is disabled: `tactics chain enable {document.chain}`"
    if document.link == "prepare" and not any(registry.processors[name].saves for name in document.steps):
        yield "no step of it saves prepared data: placements do not find users prepared by it"
    if document.link == "grant" and GIVING not in document.steps:
        yield f"without {GIVING} it gives a benefit only if a plugin's step does"
    for code in document.channel_codes or ():
        if not activities.channel_known(conn, document.link, code):
            yield f"no activity is bound to channel code {code!r} on this link"

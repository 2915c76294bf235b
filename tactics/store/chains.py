"""Stored chains: versions never change and are never deleted, for executions keep the one that they began with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tactics.domain.chain import ChainDocument
from tactics.errors import NotFound
from tactics.store.activities import Change, bump
from tactics.store.tables import execution, stored_chain, stored_chain_version

UNDECIDED = 0
"""The `chain_id` of an execution whose chain is chosen by whoever starts it; no version has this id."""


@dataclass(frozen=True, slots=True)
class StoredChain:
    """A version of a stored chain, with what its name stands for now."""

    id: int
    version: int
    document: ChainDocument
    created_at: datetime
    current_version: int
    enabled: bool

    @property
    def name(self) -> str:
        """What operators call it."""
        return self.document.chain


def _versions() -> Select[tuple[object, ...]]:
    version = stored_chain_version.c
    named = (version.id, version.name, version.version, version.created_at)
    said = (version.template_type, version.link, version.channel_codes, version.steps)
    current = (stored_chain.c.version.label("current_version"), stored_chain.c.enabled)
    return select(*named, *said, *current).join_from(stored_chain_version, stored_chain)


_CURRENT = (
    _versions()
    .where(stored_chain_version.c.version == stored_chain.c.version)
    .order_by(stored_chain_version.c.template_type, stored_chain_version.c.link, stored_chain_version.c.name)
)
_BY_ID = _versions().where(stored_chain_version.c.id == bindparam("id"))
_OF_NAME = (
    _versions().where(stored_chain_version.c.name == bindparam("name")).order_by(stored_chain_version.c.version.desc())
)


def _read(conn: Connection, query: Select[tuple[object, ...]], **params: object) -> list[StoredChain]:
    return [
        StoredChain(
            id=row.id,
            version=row.version,
            # What was checked when it was saved is not checked again.
            document=ChainDocument.model_construct(
                chain=row.name,
                template_type=row.template_type,
                link=row.link,
                channel_codes=None if row.channel_codes is None else tuple(row.channel_codes),
                steps=tuple(row.steps),
            ),
            created_at=row.created_at,
            current_version=row.current_version,
            enabled=row.enabled,
        )
        for row in conn.execute(query, params)
    ]


def listing(conn: Connection) -> list[StoredChain]:
    """Give the current version of every stored chain, by template, link and name."""
    return _read(conn, _CURRENT)


def enabled(conn: Connection) -> list[StoredChain]:
    """Give what new executions are to run."""
    return _read(conn, _CURRENT.where(stored_chain.c.enabled))


def by_id(conn: Connection, chain_id: int) -> StoredChain | None:
    """Give the version that an execution names."""
    return next(iter(_read(conn, _BY_ID, id=chain_id)), None)


def find(conn: Connection, name: str, version: int | None = None) -> StoredChain:
    """Give a version of a stored chain; its current one when none is named.

    Raises:
        NotFound: there is no such chain, or no such version.
    """
    found = _read(conn, _OF_NAME, name=name)
    if not found:
        raise NotFound(f"there is no stored chain {name!r}; `tactics chain list` shows those there are", chain=name)
    wanted = version or found[0].current_version
    for one in found:
        if one.version == wanted:
            return one
    raise NotFound(f"there is no version {version} of chain {name!r}", chain=name, version=version)


def save(conn: Connection, document: ChainDocument) -> tuple[int, Change]:
    """Save a stored chain; the same document again changes nothing. A new one is enabled, others stay as they are.

    Args:
        conn: an open transaction, after `activities.serialize`.
        document: a chain that can work.

    Returns:
        The version now, and whether that is new.
    """
    known = next(iter(_read(conn, _CURRENT.where(stored_chain.c.name == document.chain))), None)
    if known is not None and known.document == document:
        return known.version, "unchanged"
    version = known.version + 1 if known is not None else 1
    conn.execute(
        insert(stored_chain)
        .values(name=document.chain, version=version)
        .on_conflict_do_update(
            index_elements=[stored_chain.c.name], set_={"version": version, "updated_at": func.now()}
        )
    )
    conn.execute(
        insert(stored_chain_version).values(
            name=document.chain,
            version=version,
            template_type=document.template_type,
            link=document.link,
            channel_codes=None if document.channel_codes is None else list(document.channel_codes),
            steps=list(document.steps),
        )
    )
    bump(conn, "chains")
    return version, "new" if known is None else "updated"


def set_enabled(conn: Connection, name: str, *, yes: bool) -> bool:
    """Enable or disable a stored chain; tells whether that changed anything.

    Raises:
        NotFound: there is no such chain.
    """
    if find(conn, name).enabled == yes:
        return False
    conn.execute(update(stored_chain).where(stored_chain.c.name == name).values(enabled=yes, updated_at=func.now()))
    bump(conn, "chains")
    return True


def decide(conn: Connection, user_id: str, execution_id: object, chain_id: int | None) -> None:
    """Write which chain an execution runs that nobody could choose for before."""
    mine = (execution.c.user_id == user_id, execution.c.id == execution_id, execution.c.chain_id == UNDECIDED)
    conn.execute(update(execution).where(*mine).values(chain_id=chain_id))


def claimed_twice(chains: Sequence[StoredChain]) -> list[tuple[StoredChain, StoredChain, list[str | None]]]:
    """Give the pairs of chains that are for the same template, link and channel codes, with these codes."""
    return [
        (one, other, both)
        for position, one in enumerate(chains)
        for other in chains[position + 1 :]
        if (one.document.template_type, one.document.link) == (other.document.template_type, other.document.link)
        if (both := [code for code in one.document.claims if code in other.document.claims])
    ]

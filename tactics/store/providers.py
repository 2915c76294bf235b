"""Outside benefit systems: set up, found by their name, and who stands in the way of removing one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from tactics.domain.provider import Provider
from tactics.store.tables import OPEN_STATES, grant_record, outside_grant, provider

_COLUMNS = [column for column in provider.columns if column.name != "updated_at"]
_FIND = select(*_COLUMNS).where(provider.c.name == bindparam("name"))
_LISTING = select(*_COLUMNS).order_by(provider.c.name)
_ENABLED = select(provider.c.name, provider.c.enabled)
_LIVE = text(
    "SELECT code FROM activity JOIN activity_version ON activity_code = code AND activity_version.version = activity.version"
    " WHERE status = 'live' AND EXISTS (SELECT FROM jsonb_each(definition -> 'benefits') AS benefit"
    " WHERE benefit.value ->> 'provider' = :name) ORDER BY code"
)
_OPEN = (
    select(grant_record.c.id)
    .join(
        outside_grant,
        (outside_grant.c.user_id == grant_record.c.user_id) & (outside_grant.c.grant_id == grant_record.c.id),
    )
    .where(outside_grant.c.provider == bindparam("name"), grant_record.c.state.in_(OPEN_STATES))
    .order_by(outside_grant.c.created_at, grant_record.c.id)
    .limit(bindparam("most"))
)


def find(conn: Connection, name: str) -> Provider | None:
    """Give a provider, its secrets with it; None where there is none of this name."""
    row = conn.execute(_FIND, {"name": name}).mappings().one_or_none()
    return None if row is None else _provider(row)


def was_known(conn: Connection, name: str) -> bool:
    """Tell whether there is a provider of this name, or was one that grants were asked of."""
    if find(conn, name) is not None:
        return True
    asked = select(outside_grant.c.provider).where(outside_grant.c.provider == name).limit(1)
    return conn.execute(asked).one_or_none() is not None


def listing(conn: Connection, *, after: str = "", limit: int | None = None) -> list[Provider]:
    """Give the providers, by name.

    Args:
        conn: any connection.
        after: only those whose name comes after this one.
        limit: at most so many.
    """
    rows = conn.execute(_LISTING.where(provider.c.name > after).limit(limit)).mappings()
    return [_provider(row) for row in rows]


def enabled(conn: Connection, names: Collection[str]) -> dict[str, bool]:
    """Tell of these names which are providers', and whether each is enabled."""
    rows = conn.execute(_ENABLED.where(provider.c.name.in_(sorted(names))))
    return {row.name: row.enabled for row in rows}


def save(conn: Connection, said: Provider) -> None:
    """Write a provider as operators said it; the secrets that there are stay."""
    values = {name: value for name, value in asdict(said).items() if name != "signing_secrets"}
    changes = {name: value for name, value in values.items() if name != "name"}
    conn.execute(
        insert(provider)
        .values(**values, signing_secrets=[])
        .on_conflict_do_update(index_elements=[provider.c.name], set_={**changes, "updated_at": func.now()})
    )


def put_secret_first(conn: Connection, name: str, secret: str) -> None:
    """Give a provider a newer signing secret; of those before, the newest stays beside it."""
    both = func.array_prepend(secret, provider.c.signing_secrets[1:1])
    conn.execute(update(provider).where(provider.c.name == name).values(signing_secrets=both, updated_at=func.now()))


def remove(conn: Connection, name: str) -> bool:
    """Delete a provider; tells whether there was one."""
    return conn.execute(delete(provider).where(provider.c.name == name)).rowcount > 0


def live_activities(conn: Connection, name: str) -> list[str]:
    """Give the codes of the live activities with a benefit that a provider gives."""
    return list(conn.execute(_LIVE, {"name": name}).scalars())


def open_grants(conn: Connection, name: str, most: int) -> list[UUID]:
    """Give the grants, at most so many, that a provider has not settled yet, the oldest first."""
    return list(conn.execute(_OPEN, {"name": name, "most": most}).scalars())


def _provider(row: RowMapping) -> Provider:
    found: dict[str, Any] = dict(row)
    return Provider(**{**found, "signing_secrets": tuple(found["signing_secrets"])})

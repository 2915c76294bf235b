"""A provider's own list of grants beside our records: kept in a table of this connection alone, and compared in it.

A list of a million grants is so never in memory. Ids are taken apart once, here: our grants are found by their keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, text

from tactics.domain.provider import ListedGrant
from tactics.store.statement import Statement

Kind = Literal["missing_at_provider", "missing_here", "open_here", "doubled", "value"]

# By the first colon and the last: an activity's code and a count have none, a user's id may.
_LAY_OUT = text("""
    CREATE TEMPORARY TABLE listed_grant (
        idempotency_id text PRIMARY KEY, user_id text, activity_code text, will_send_count integer, status text NOT NULL,
        value_minor bigint, times integer NOT NULL
    )
""")
# Of what a list says twice, granted stands before pending, and pending before refused: as in the alphabet.
_ADD = Statement(r"""
    INSERT INTO listed_grant
    SELECT given.id, part[2], part[1], part[3]::integer, min(given.status), max(given.value_minor), count(*)
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS given (id, status, value_minor)
    LEFT JOIN LATERAL regexp_match(given.id, '^([^:]+):(.+):([1-9][0-9]{0,8})$') AS part ON true
    GROUP BY given.id, part
    ORDER BY given.id
    ON CONFLICT (idempotency_id) DO UPDATE
        SET times = listed_grant.times + excluded.times, status = least(listed_grant.status, excluded.status),
            value_minor = coalesce(listed_grant.value_minor, excluded.value_minor)
""")
_COMPARE = text("""
    WITH ours AS (
        SELECT listed.*, g.id AS grant_id, g.state, g.value_minor AS own_value_minor
        FROM listed_grant listed
        LEFT JOIN (
            grant_record g JOIN outside_grant o
                ON o.user_id = g.user_id AND o.grant_id = g.id AND o.provider = :provider
        ) ON g.user_id = listed.user_id AND g.activity_code = listed.activity_code
            AND g.will_send_count = listed.will_send_count
    )
    SELECT found.kind, ours.idempotency_id, ours.grant_id, ours.state, ours.status, ours.own_value_minor,
           ours.value_minor, ours.times
    FROM ours CROSS JOIN LATERAL (VALUES
        ('doubled', ours.times > 1),
        ('missing_here', ours.status = 'granted' AND (ours.state IS NULL OR ours.state = 'refused')),
        ('open_here', ours.status IN ('granted', 'refused') AND ours.state IN ('pending', 'unknown', 'parked')),
        ('missing_at_provider', ours.status = 'refused' AND ours.state = 'granted'),
        ('value', ours.status = 'granted' AND ours.state = 'granted' AND ours.value_minor <> ours.own_value_minor)
    ) AS found (kind, holds)
    WHERE found.holds
    UNION ALL
    SELECT 'missing_at_provider', g.idempotency_id, g.id, g.state, NULL, g.value_minor, NULL, 0
    FROM outside_grant o JOIN grant_record g ON g.user_id = o.user_id AND g.id = o.grant_id
    WHERE o.provider = :provider AND g.state = 'granted' AND g.settled_at < :asked_at
        AND coalesce(o.first_called_at, o.created_at) >= :begin AND coalesce(o.first_called_at, o.created_at) < :end
        AND g.user_id NOT LIKE :erased
        AND NOT EXISTS (
            SELECT FROM listed_grant listed
            WHERE listed.idempotency_id = g.idempotency_id
        )
""")
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """What a provider's list and our records do not agree on. `here` and `there` are states; None: it is not there.

    `times` is how often the list has the id.
    """

    kind: Kind
    idempotency_id: str
    grant_id: UUID | None
    here: str | None
    there: str | None
    value_here_minor: int | None
    value_there_minor: int | None
    times: int

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        found = {name: getattr(self, name) for name in Difference.__slots__}
        return {**found, "grant_id": self.grant_id and str(self.grant_id)}


def begin(conn: Connection) -> datetime:
    """Lay the table out; gives the database's time: what was granted by now has to be in a list that is asked for now."""
    conn.execute(text("DROP TABLE IF EXISTS listed_grant"))
    conn.execute(_LAY_OUT)
    asked_at: datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
    return asked_at


def add(conn: Connection, page: Sequence[ListedGrant]) -> None:
    """Keep a page of the list."""
    if page:
        _ADD.run(
            conn, [one.idempotency_id for one in page], [one.status for one in page], [one.value_minor for one in page]
        )


def compare(
    conn: Connection, provider: str, *, begin: datetime, end: datetime, asked_at: datetime, erased: str
) -> Iterator[Difference]:
    """Give what differs, as it is found.

    Args:
        conn: a transaction on the connection that has the list.
        provider: whose list it is.
        begin: grants that were first asked for from then on have to be in the list.
        end: and before then.
        asked_at: as `begin` gave it.
        erased: how the ids of erased users begin, whose grants the provider knows under another id.
    """
    conn.execute(text("ANALYZE listed_grant"))
    wanted = {"provider": provider, "begin": begin, "end": end, "asked_at": asked_at, "erased": f"{erased}%"}
    rows = conn.execute(_COMPARE, wanted, execution_options={"stream_results": True, "yield_per": _AT_ONCE})
    for row in rows:
        yield Difference(*row)


def end(conn: Connection) -> None:
    """Take the table away: connections are used again."""
    conn.execute(text("DROP TABLE IF EXISTS listed_grant"))

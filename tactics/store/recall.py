"""What goes together: items that the same users acted on, counted by user. See docs/adr/0013-recall.md.

`user_item.learnt` says what of it is counted: true is in `item_pair`, false is older than the user's latest WINDOW
items, null has not been looked at. Only the learner, one at a time, sets true or false; recording an action sets false
back to null.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, product
from typing import Any

from sqlalchemy import Connection, Row, text

from tactics.store.statement import Statement

WINDOW = 20
"""Of each user, so many items count, the latest, as many as preparation looks at: at most WINDOW² pairs a user."""
NEIGHBOURS = 20
"""Of each item, so many others are looked at when recalling, those with the most users in common."""
# Postgres looks for deadlocks after a second; the learner steps back before that, and whoever records actions goes on.
_PATIENCE = text("SET LOCAL lock_timeout = '200ms'")

Pairs = Counter[tuple[str, str]]
"""Item and other item → users; for changes also below zero."""

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('tactics.recall', 0))")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('tactics.recall', 0))")
_WAITING = text(
    "SELECT DISTINCT user_id FROM user_item WHERE learnt IS NULL AND user_id > :after ORDER BY 1 LIMIT :most"
)
_NEXT = text("SELECT DISTINCT user_id FROM user_item WHERE user_id > :after ORDER BY 1 LIMIT :most")
_REACHED = text("SELECT reached_user_id FROM recall_rebuild FOR UPDATE")
# What is counted of a user is among the latest WINDOW items and as many more as wait: an item falls behind only by what
# came or came again, and that waits. In a rebuild nothing that is stored is believed, so every item is read.
_SEEN = text(
    "SELECT users.user_id, one.item_id, one.last_at, one.learnt"
    " FROM unnest(CAST(:users AS text[])) AS users (user_id) CROSS JOIN LATERAL ("
    " (SELECT item_id, last_at, learnt FROM user_item WHERE user_id = users.user_id ORDER BY last_at DESC, item_id"
    " LIMIT CASE WHEN CAST(:everything AS boolean) THEN NULL ELSE CAST(:window AS bigint) + ("
    "SELECT count(*) FROM user_item WHERE user_id = users.user_id AND learnt IS NULL) END)"
    " UNION SELECT item_id, last_at, learnt FROM user_item WHERE user_id = users.user_id AND learnt IS NULL"
    ") AS one ORDER BY users.user_id, one.last_at DESC, one.item_id"
)
_COUNT = text(
    "MERGE INTO item_pair USING unnest(CAST(:items AS text[]), CAST(:others AS text[]), CAST(:users AS bigint[]))"
    " AS change (item_id, other_id, users)"
    " ON item_pair.item_id = change.item_id AND item_pair.other_id = change.other_id"
    " WHEN MATCHED AND item_pair.users + change.users = 0 THEN DELETE"
    " WHEN MATCHED THEN UPDATE SET users = item_pair.users + change.users"
    " WHEN NOT MATCHED THEN INSERT (item_id, other_id, users) VALUES (change.item_id, change.other_id, change.users)"
)
_FLAGS = (
    "unnest(CAST(:users AS text[]), CAST(:items AS text[]), CAST(:times AS timestamptz[]), CAST(:flags AS boolean[]))"
    " AS seen (user_id, item_id, last_at, learnt)"
)
# In the order in which recording actions takes them.
_LOCK_ROWS = text(
    f"SELECT FROM user_item JOIN {_FLAGS} USING (user_id, item_id)"  # words of ours
    ' ORDER BY user_item.user_id COLLATE "C", user_item.item_id COLLATE "C" FOR NO KEY UPDATE OF user_item'
)
# An item that is left out, and was acted on again since it was read, has to be looked at again.
_FLAG = text(
    "UPDATE user_item SET learnt = CASE WHEN seen.learnt OR user_item.last_at = seen.last_at THEN seen.learnt END"  # noqa: S608
    f" FROM {_FLAGS} WHERE user_item.user_id = seen.user_id AND user_item.item_id = seen.item_id"
)
_BEGIN_REBUILD = (text("TRUNCATE item_pair, recall_rebuild"), text("INSERT INTO recall_rebuild VALUES ('')"))
_GO_ON = text("UPDATE recall_rebuild SET reached_user_id = :reached")
_END_REBUILD = text("DELETE FROM recall_rebuild")
_RECALL = Statement(
    "WITH near AS (SELECT pair.other_id, sum(pair.users / sqrt(own.users)) AS weight"
    " FROM unnest(CAST($1 AS text[])) AS mine (item_id)"
    " CROSS JOIN LATERAL (SELECT users FROM item_pair WHERE item_id = mine.item_id AND other_id = mine.item_id"
    " OFFSET 0) AS own"
    " CROSS JOIN LATERAL (SELECT other_id, users FROM item_pair WHERE item_id = mine.item_id"
    " AND other_id <> mine.item_id ORDER BY users DESC, other_id DESC LIMIT $2) AS pair GROUP BY 1)"
    " SELECT near.other_id AS item_id, near.weight / sqrt(other.users) AS score"
    " FROM near CROSS JOIN LATERAL (SELECT users FROM item_pair WHERE item_id = near.other_id"
    " AND other_id = near.other_id OFFSET 0) AS other"
    " WHERE NOT EXISTS (SELECT FROM user_item WHERE user_id = $3 AND item_id = near.other_id)"
    " ORDER BY score DESC, near.other_id LIMIT $4"
)
_BESIDE = text(
    "SELECT pair.other_id AS item_id, item.title, pair.users, other.users AS of_users,"
    " pair.users / sqrt(own.users * other.users) AS score"
    " FROM item_pair AS pair JOIN item_pair AS own ON own.item_id = pair.item_id AND own.other_id = pair.item_id"
    " JOIN item_pair AS other ON other.item_id = pair.other_id AND other.other_id = pair.other_id"
    " LEFT JOIN item ON item.item_id = pair.other_id"
    " WHERE pair.item_id = :item AND pair.other_id <> :item"
    " ORDER BY pair.users DESC, pair.other_id DESC LIMIT :limit"
)
_STATE = text(
    "SELECT EXISTS (SELECT FROM recall_rebuild) AS rebuilding,"
    " EXISTS (SELECT FROM user_item WHERE learnt IS NULL) AS waiting,"
    " (SELECT users FROM item_pair WHERE item_id = :item AND other_id = :item) AS users"
)


def take_turn(conn: Connection) -> bool:
    """Become the one that learns until this transaction ends; False when somebody else is."""
    return bool(conn.execute(_TRY_LOCK).scalar_one())


def wait_for_turn(conn: Connection) -> None:
    """Become the one that learns until this transaction ends, after whoever is at it."""
    conn.execute(_LOCK)


def learn_waiting(conn: Connection, after: str, *, users: int, window: int = WINDOW) -> Sequence[str]:
    """Count what has come for some users since they were counted last.

    Args:
        conn: an open transaction that has its turn. All of it counts, or, taken back, nothing.
        after: only users after this one, in the order of ids.
        users: at most so many.
        window: of each user, so many items count, the latest.

    Returns:
        Who was counted, in order; none when nothing waits.

    Raises:
        OperationalError: somebody was recording actions of these users all the while; take the transaction back.
    """
    found = conn.execute(_WAITING, {"after": after, "most": users}).scalars().all()
    _count(conn, found, window, anew=False)
    return found


def begin_rebuild(conn: Connection) -> None:
    """Empty what was learnt, and let `learn_anew` count every user again; needs its turn."""
    for statement in _BEGIN_REBUILD:
        conn.execute(statement)


def learn_anew(conn: Connection, *, users: int, window: int = WINDOW) -> Sequence[str]:
    """Go on with a rebuild, if there is one: count some users as if nothing of them were counted.

    Whoever has the next turn goes on where this one ended, so a rebuild survives its process.

    Args:
        conn: as for `learn_waiting`.
        users: at most so many.
        window: of each user, so many items count, the latest.

    Returns:
        Who was counted; none when no rebuild runs any more.

    Raises:
        OperationalError: as `learn_waiting`.
    """
    reached = conn.execute(_REACHED).scalar_one_or_none()
    if reached is None:
        return ()
    found = conn.execute(_NEXT, {"after": reached, "most": users}).scalars().all()
    _count(conn, found, window, anew=True)
    conn.execute(_GO_ON if found else _END_REBUILD, {"reached": found[-1]} if found else {})
    return found


def _count(conn: Connection, user_ids: Sequence[str], window: int, *, anew: bool) -> None:
    if not user_ids:
        return
    seen: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in conn.execute(_SEEN, {"users": user_ids, "window": window, "everything": anew}):
        seen[row.user_id].append(row)
    changes: Pairs = Counter()
    flags = []
    for rows in seen.values():
        wanted = {row.item_id for row in rows[:window]}
        counted = set() if anew else {row.item_id for row in rows if row.learnt}
        changes.update(_pairs(wanted, wanted - counted))
        changes.subtract(_pairs(counted, counted - wanted))
        flags += [
            (row.user_id, row.item_id, row.last_at, row.item_id in wanted)
            for row in rows
            if row.learnt is not (row.item_id in wanted)
        ]
    _write_pairs(conn, changes)
    _write_flags(conn, flags)


def _pairs(items: set[str], some: set[str]) -> Iterator[tuple[str, str]]:
    """Give the pairs of `items` that have one of `some`, both ways round, and each of `some` with itself."""
    return chain(product(some, items), product(items - some, some))


def _write_pairs(conn: Connection, changes: Pairs) -> None:
    found = sorted((*pair, users) for pair, users in changes.items() if users)
    if found:
        items, others, users = zip(*found, strict=True)
        conn.execute(_COUNT, {"items": list(items), "others": list(others), "users": list(users)})


def _write_flags(conn: Connection, flags: Sequence[tuple[Any, ...]]) -> None:
    """Say what is counted now. It comes last, so that who records actions waits for a moment at most."""
    if not flags:
        return
    names = ("users", "items", "times", "flags")
    params = dict(zip(names, map(list, zip(*flags, strict=True)), strict=True))
    conn.execute(_PATIENCE)
    conn.execute(_LOCK_ROWS, params)
    conn.execute(_FLAG, params)


def candidates(conn: Connection, user_id: str, item_ids: Sequence[str], limit: int) -> Sequence[tuple[str, float]]:
    """Give what goes with some items and is new to a user: item ids with their score, the best first.

    The score adds up, over the items, how many users both have in relation to how many have either (their cosine).
    Of each item only the NEIGHBOURS nearest others are looked at, so the cost does not grow with how popular it is.
    """
    return _RECALL.all(conn, list(item_ids), NEIGHBOURS, user_id, limit)


def beside(conn: Connection, item_id: str, limit: int) -> Sequence[Row[Any]]:
    """Give what goes with one item, by how many users have both: `item_id title users of_users score`."""
    return conn.execute(_BESIDE, {"item": item_id, "limit": limit}).all()


def state(conn: Connection, item_id: str) -> Row[Any]:
    """Tell how far learning is: `rebuilding`, `waiting` (some actions are not counted), and the item's `users`."""
    return conn.execute(_STATE, {"item": item_id}).one()

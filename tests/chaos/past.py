"""What happened, read back from the histories: every change of a row in order, the rows as they are at the end, the answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
Key = tuple[Any, ...]
KEYS: Mapping[str, tuple[str, ...]] = {
    "benefit": ("activity_code", "code"),
    "stock_movement": ("id",),
    "limit_counter": ("activity_code", "scope", "period"),
    "user_action": ("user_id", "at", "event_source", "event_id"),
    "event": ("source", "id"),
    "instance": ("user_id", "activity_code"),
    "execution": ("id",),
    "grant_record": ("id",),
    "asset": ("id",),
    "outbox": ("id",),
    "outside_grant": ("grant_id",),
    "provider_attempt": ("grant_id", "number"),
    "webhook_delivery": ("outbox_id", "endpoint_id"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a row: `row` is what it became, or what was deleted; `before` what it was."""

    seq: int
    at: float
    tx: int
    table: str
    op: str
    row: Row
    before: Row | None


class Past:
    """The history of a run."""

    def __init__(
        self,
        clients: Iterable[Row],
        database: Iterable[Row],
        provider: Iterable[Row] | None = None,
        told: Iterable[Row] | None = None,
    ) -> None:
        """Read it.

        Args:
            clients: what clients and harness wrote.
            database: what the database wrote, in its order.
            provider: the outside provider's own log; None where there was none.
            told: what the receiver of webhooks wrote; None where there was none.
        """
        self.noted: dict[str, list[Row]] = defaultdict(list)
        for line in clients:
            self.noted[line["kind"]].append(line)
        self.changes: dict[str, list[Change]] = {name: [] for name in KEYS}
        self.now: dict[str, dict[Key, Row]] = {name: {} for name in KEYS}
        self.by_tx: dict[int, list[Change]] = defaultdict(list)
        for line in database:
            self._take(line)
        self.provider = None if provider is None else list(provider)
        self.told = None if told is None else {line["id"] for line in told}

    def _take(self, line: Row) -> None:
        table, row = line["table"], line["row"]
        key = tuple(row[name] for name in KEYS[table])
        held = self.now[table]
        change = Change(line["seq"], line["at"], line["tx"], table, line["op"], row, held.get(key))
        if change.op == "D":
            held.pop(key, None)
        else:
            held[key] = row
        self.changes[table].append(change)
        self.by_tx[change.tx].append(change)

    @property
    def activities(self) -> Sequence[Row]:
        """The activities' documents."""
        (setup,) = self.noted["setup"]
        found: Sequence[Row] = setup["activities"]
        return found

    def all(self, table: str) -> Iterable[Row]:
        """Give the rows of a table as they are at the end."""
        return self.now[table].values()

    def of_instances(self, table: str) -> Iterator[tuple[Key, list[Change]]]:
        """Give a table's changes by (user, activity), in order."""
        found: dict[Key, list[Change]] = defaultdict(list)
        for change in self.changes[table]:
            found[change.row["user_id"], change.row["activity_code"]].append(change)
        yield from found.items()

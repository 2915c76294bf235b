"""Everything that was accepted is there, ended, and did what it had to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.past import Past, Row

ACKNOWLEDGED = ("accepted", "duplicate")


def acknowledged(past: Past) -> set[tuple[str, str]]:
    """Give the events of which a producer was told that they are accepted."""
    return {(one["source"], one["id"]) for one in past.noted["event"] if one["said"] in ACKNOWLEDGED}


def events_missing(past: Past) -> Iterator[str]:
    """An event that a producer was told is accepted is not there."""
    for source, name in sorted(acknowledged(past) - past.now["event"].keys()):
        yield f"event {name} of {source} was acknowledged and is not there"


def actions_missing(past: Past) -> Iterator[str]:
    """An action is routed and has left no trace among the user's actions."""
    kept = {(row["event_source"], row["event_id"]) for row in past.all("user_action")}
    for row in past.all("event"):
        if row["type"] == "action" and row["routed_at"] is not None and (row["source"], row["id"]) not in kept:
            yield f"action {row['id']} of {row['source']} is routed and not recorded"


def executions_missing(past: Past) -> Iterator[str]:
    """A behaviour event is routed, and an activity that it prepares has no execution for it."""
    prepared = defaultdict(set)
    for document in past.activities:
        for code in document["channels"]["prepare"]:
            prepared[code].add(document["code"])
    found = defaultdict(set)
    for row in past.all("execution"):
        if row["link"] == "prepare":
            found[row["event_source"], row["event_id"]].add(row["activity_code"])
    for row in past.all("event"):
        if row["type"] == "behaviour" and row["routed_at"] is not None:
            for activity in sorted(prepared[row["channel"]] - found[row["source"], row["id"]]):
                yield f"behaviour {row['id']} of {row['source']} is routed and has no execution of {activity}"


def events_unended(past: Past) -> Iterator[str]:
    """An event is neither routed nor parked. Placements are never routed."""
    for row in past.all("event"):
        if row["type"] != "placement" and row["routed_at"] is None and row["parked_reason"] is None:
            yield f"event {row['id']} of {row['source']} has not ended after attempt {row['attempts']}"


def executions_unended(past: Past) -> Iterator[str]:
    """An execution has no end."""
    for row in past.all("execution"):
        if row["finished_at"] is None or row["outcome"] is None:
            yield f"execution {row['id']} ({row['link']}) has not ended after attempt {row['attempts']}: {row['reason']}"


def grants_unended(past: Past) -> Iterator[str]:
    """A grant is neither given, refused nor parked."""
    for row in past.all("grant_record"):
        if row["state"] not in {"granted", "refused", "parked"}:
            yield f"grant {row['idempotency_id']} is still {row['state']}"


def webhooks_missing(past: Past) -> Iterator[str]:
    """Whatever the outbox ever said, the receiver of webhooks was told, under its id."""
    if past.told is None:
        return
    for name, row in _notices(past).items():
        if name not in past.told:
            yield f"the receiver was never told of {row['topic']} {row['key']}"


def webhooks_untrue(past: Past) -> Iterator[str]:
    """The receiver of webhooks was told nothing that has been taken back, or never was."""
    for name in sorted((past.told or set()) - _notices(past).keys()):
        yield f"the receiver was told {name}, of which the outbox says nothing"


def webhooks_unended(past: Past) -> Iterator[str]:
    """A delivery is neither done nor parked."""
    for row in past.all("webhook_delivery"):
        if row["delivered_at"] is None and row["parked_reason"] is None:
            yield f"delivery {row['outbox_id']} has not ended after attempt {row['attempts']}: {row['last_status']}"


def _notices(past: Past) -> dict[str, Row]:
    return {f"msg_{change.row['id']}": change.row for change in past.changes["outbox"] if change.op == "I"}

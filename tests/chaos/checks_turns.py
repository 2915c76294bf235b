"""Whoever writes is whose turn it is: the current attempt, under the newest epoch."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.past import Change, Past

# Written about a segment that was taken back, or that found itself overtaken: it has no turn of its own.
_NO_TURN = ("superseded", "abandoned", "error", "parked")


def _commits(past: Past) -> Iterator[Change]:
    """Give the changes by which a segment commits: it notes itself at its execution."""
    for change in past.changes["execution"]:
        before = len(change.before["segments"]) if change.before else 0
        if change.op != "D" and len(change.row["segments"]) > before:
            yield change


def stale_attempts(past: Past) -> Iterator[str]:
    """Every segment ran for the attempt that was its execution's when it committed, and none after the end."""
    for change in _commits(past):
        row, ran = change.row, change.row["segments"][-1]
        if ran != row["attempts"]:
            yield f"execution {row['id']}: a segment of attempt {ran} committed, current was {row['attempts']}"
        if change.before is not None and change.before["finished_at"] is not None:
            yield f"execution {row['id']}: a segment committed after its end"


def stale_epochs(past: Past) -> Iterator[str]:
    """No segment writes under another epoch than its instance's."""
    epochs = {key: [(one.seq, one.row["epoch"]) for one in changes] for key, changes in past.of_instances("instance")}
    for change in _commits(past):
        row = change.row
        if row["epoch"] is None or row["outcome"] in _NO_TURN:
            continue
        known = epochs.get((row["user_id"], row["activity_code"]), [])
        position = bisect_left(known, (change.seq, 0))
        current = known[position - 1][1] if position else None
        if current != row["epoch"]:
            yield f"execution {row['id']} wrote under epoch {row['epoch']}, its instance was at {current}"


def shared_epochs(past: Past) -> Iterator[str]:
    """Each execution that wrote something has an epoch of its own."""
    found = defaultdict(set)
    for change in _commits(past):
        row = change.row
        if row["epoch"] is not None and row["outcome"] not in _NO_TURN:
            found[row["user_id"], row["activity_code"], row["epoch"]].add(row["id"])
    for (user, activity, epoch), executions in found.items():
        if len(executions) > 1:
            yield f"{len(executions)} executions of {activity} and {user} wrote under epoch {epoch}"


def epochs_going_back(past: Past) -> Iterator[str]:
    """An instance's epoch never goes back, nor the one under which it was prepared; and that is one it has had."""
    for change in past.changes["instance"]:
        row, before = change.row, change.before
        prepared = row["prepared_epoch"]
        if prepared is not None and prepared > row["epoch"]:
            yield f"{row['activity_code']} of {row['user_id']} was prepared under {prepared} at epoch {row['epoch']}"
        if before is None:
            continue
        if row["epoch"] < before["epoch"] or (prepared or 0) < (before["prepared_epoch"] or 0):
            yield f"{row['activity_code']} of {row['user_id']} went back to {row['epoch']}, prepared under {prepared}"

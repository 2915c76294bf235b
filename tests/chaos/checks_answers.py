"""What callers were told is true, stays true, and nothing happens for somebody who was told that nothing will."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.past import Past, Row

_OK, _GIVEN_UP = 200, 202
_REFUSED = (400, 401, 403, 404, 413, 415, 422)
_SHOWN = ("granted", "reused")
# Clients and the database's server have one clock here, but a statement begins before it is noted.
_SLACK_S = 0.05


def answers_not_true(past: Past) -> Iterator[str]:
    """The assets that a caller was shown exist, and are the user's, of that activity."""
    assets = {row["id"]: row for row in past.all("asset")}
    executions = past.now["execution"]
    for one in _answered(past):
        for part in one["answer"]["results"]:
            shown = [assets.get(asset["asset_id"]) for asset in part["assets"]]
            if part["outcome"] in _SHOWN and not shown:
                yield f"{one['key']} was told {part['outcome']} by {part['activity']} and shown nothing"
            owner = (one["user_id"], part["activity"])
            if any(row is None or (row["user_id"], row["activity_code"]) != owner for row in shown):
                yield f"{one['key']} was shown assets of {part['activity']} that are not {one['user_id']}'s"
            if (part["execution_id"],) not in executions:
                yield f"{one['key']} was told of execution {part['execution_id']}, which is not there"


def refusals(past: Past) -> Iterator[str]:
    """Nobody is refused what they asked for rightly, other than for a moment: a load that is refused proves nothing."""
    for one in past.noted["event"]:
        if one["said"].startswith(("refused", "rejected")):
            yield f"event {one['id']} was {one['said']}"
    for one in past.noted["placement"]:
        if one["status"] in _REFUSED:
            yield f"placement {one['key']} was answered {one['status']}: {one['answer']}"
    for one in past.noted["change"]:
        if one["status"] in _REFUSED:
            yield f"{one['change']} of asset {one['asset_id']} was answered {one['status']}"


def answers_changing(past: Past) -> Iterator[str]:
    """One key is never answered with two different grants, nor with nothing after a grant."""
    shown: dict[tuple[str, str], list[tuple[float, float, frozenset[str]]]] = defaultdict(list)
    for one in _answered(past):
        for part in one["answer"]["results"]:
            assets = frozenset(asset["asset_id"] for asset in part["assets"])
            shown[one["key"], part["activity"]].append((one["sent_at"], one["at"], assets))
        for part in one["answer"]["not_shown"]:
            shown[one["key"], part["activity"]].append((one["sent_at"], one["at"], frozenset()))
    for (key, activity), answers in shown.items():
        given = {assets for _, _, assets in answers if assets}
        if len(given) > 1:
            yield f"{key} was answered with {len(given)} different grants of {activity}"
        first = min((at for _, at, assets in answers if assets), default=None)
        if first is not None and any(not assets and sent > first for sent, _, assets in answers):
            yield f"{key} was shown assets of {activity}, and nothing when asked again"


def _answered(past: Past) -> Iterator[Row]:
    return (one for one in past.noted["placement"] if one["status"] == _OK)


def changes_missing(past: Past) -> Iterator[str]:
    """An asset that a caller was told is redeemed has been redeemed."""
    redeemed = {change.row["id"] for change in past.changes["asset"] if change.row["status"] == "redeemed"}
    for one in past.noted["change"]:
        if one["change"] == "redeem" and one["status"] == _OK and one["asset_id"] not in redeemed:
            yield f"asset {one['asset_id']} was never redeemed, as its owner was told"


def grants_for_abandoned(past: Past) -> Iterator[str]:
    """Nothing is granted for a placement that was given up.

    A segment writes its part of the answer to the placement's event, whose row gives the order: what is granted by a
    transaction after the giving up, or by one that never asked, is granted for nobody.
    """
    given_up: dict[tuple[str, str], int] = {}
    answered: dict[tuple[str, str, int], int] = {}
    for change in past.changes["event"]:
        key = (change.row["source"], change.row["id"])
        if change.row["type"] != "placement":
            continue
        if change.row["abandoned_at"] is not None:
            given_up.setdefault(key, change.seq)
        answered.setdefault((*key, change.tx), change.seq)
    told = {one["key"]: one["at"] for one in reversed(past.noted["placement"]) if one["status"] == _GIVEN_UP}
    for change in past.changes["grant_record"]:
        if change.op != "I":
            continue
        key = (change.row["event_source"], change.row["event_id"])
        late = key in given_up and answered.get((*key, change.tx), given_up[key] + 1) > given_up[key]
        if late or change.at > told.get(key[1], float("inf")) + _SLACK_S:
            yield f"grant {change.row['idempotency_id']} was made for {key[1]}, which had been given up"

"""Nobody gets anything twice, and nothing is given that is not there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tests.chaos.past import Change, Past, Row

LIVE = ("available", "claimed")
_BenefitKey = tuple[str, str]


def _ever_inserted(past: Past) -> Iterator[Row]:
    return (change.row for change in past.changes["grant_record"] if change.op == "I")


def counts_taken_twice(past: Past) -> Iterator[str]:
    """At most one grant for an activity, user and count."""
    taken = Counter((row["activity_code"], row["user_id"], row["will_send_count"]) for row in _ever_inserted(past))
    for (activity, user, count), number in taken.items():
        if number > 1:
            yield f"grant {count} of {activity} to {user} was made {number} times"


def executions_granting_twice(past: Past) -> Iterator[str]:
    """At most one grant for an execution."""
    for execution, number in Counter(row["execution_id"] for row in _ever_inserted(past)).items():
        if number > 1:
            yield f"execution {execution} made {number} grants"


def counts_with_gaps(past: Past) -> Iterator[str]:
    """The grants of an activity to a user are counted 1, 2, 3."""
    counts: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in past.all("grant_record"):
        counts[row["activity_code"], row["user_id"]].add(row["will_send_count"])
    for (activity, user), found in counts.items():
        if found != set(range(1, len(found) + 1)):
            yield f"the grants of {activity} to {user} are counted {sorted(found)}"


def _taken(row: Row | None) -> Counter[_BenefitKey]:
    """Give what a grant takes of each benefit's stock, given or reserved."""
    if row is None or row["state"] == "refused":
        return Counter()
    named = (line["benefit"] for line in row["lines"] if line.get("benefit") is not None)
    return Counter((row["activity_code"], name) for name in named)


def stock_below_zero(past: Past) -> Iterator[str]:
    """No benefit's stock was ever below zero."""
    for change in past.changes["benefit"]:
        if (change.row["remaining"] or 0) < 0:
            yield f"{change.row['remaining']} of {change.row['activity_code']}.{change.row['code']} remained"


def stock_not_conserved(past: Past) -> Iterator[str]:
    """Each transaction takes from the stock exactly what its grants take, so that it adds up at every moment."""
    for tx, changes in past.by_tx.items():
        balance: Counter[_BenefitKey] = Counter()
        for change in changes:
            _weigh(change, balance)
        for (activity, code), amount in balance.items():
            if amount and past.now["benefit"].get((activity, code), {}).get("remaining") is not None:
                yield f"transaction {tx}: the stock of {activity}.{code} and its grants differ by {amount}"


def _weigh(change: Change, balance: Counter[_BenefitKey]) -> None:
    row, before = change.row, change.before
    if change.table == "grant_record":
        balance.update(_taken(None if change.op == "D" else row))
        balance.subtract(_taken(before))
    elif change.table == "stock_movement" and change.op == "I":
        balance[row["activity_code"], row["benefit_code"]] -= row["delta"]
    elif change.table == "benefit":
        key = (row["activity_code"], row["code"])
        balance[key] += (row["remaining"] or 0) - (row["stock_initial"] or 0)
        if before is not None:
            balance[key] -= (before["remaining"] or 0) - (before["stock_initial"] or 0)


def stock_not_adding_up(past: Past) -> Iterator[str]:
    """At the end: initial + moved = remaining + reserved + granted; no more is given than there was."""
    taken: Counter[_BenefitKey] = Counter()
    for row in past.all("grant_record"):
        taken.update(_taken(row))
    moved: Counter[_BenefitKey] = Counter()
    for row in past.all("stock_movement"):
        moved[row["activity_code"], row["benefit_code"]] += row["delta"]
    for row in past.all("benefit"):
        key = (row["activity_code"], row["code"])
        if row["stock_initial"] is None:
            continue
        there = row["stock_initial"] + moved[key]
        if there != row["remaining"] + taken[key] or taken[key] > there:
            yield f"{there} of {'.'.join(key)} = {row['remaining']} remaining + {taken[key]} given or reserved does not hold"


def limits_passed(past: Past) -> Iterator[str]:
    """Neither a user nor the budget gets more than the activity allows."""
    given: Counter[tuple[str, str]] = Counter()
    spent: Counter[str] = Counter()
    for row in past.all("grant_record"):
        if row["state"] != "refused":
            given[row["activity_code"], row["user_id"]] += 1
            spent[row["activity_code"]] += row["value_minor"]
    limits: dict[str, dict[str, Any]] = {one["code"]: one.get("limits", {}) for one in past.activities}
    for (activity, user), count in given.items():
        most = limits[activity].get("per_user")
        if most is not None and count > most:
            yield f"{user} got {count} grants of {activity}, at most {most}"
    for activity, value in spent.items():
        most = limits[activity].get("budget_minor")
        if most is not None and value > most:
            yield f"{activity} gave {value} of its budget of {most}"


def usable_sets_side_by_side(past: Past) -> Iterator[str]:
    """At no moment has an instance usable assets of two grants, released redemptions excepted."""
    marked: dict[str, Change] = {}
    for change in past.changes["grant_record"]:
        if change.row["released"]:
            marked.setdefault(change.row["id"], change)
    for (user, activity), changes in past.of_instances("asset"):
        live: dict[str, set[str]] = defaultdict(set)
        for tx, together in groupby(changes, key=lambda one: one.tx):
            last = 0
            for change in together:
                row, last = change.row, change.seq
                usable = change.op != "D" and row["status"] in LIVE
                (live[row["grant_id"]].add if usable else live[row["grant_id"]].discard)(row["id"])
            held = [grant for grant, assets in live.items() if assets and not _released(marked.get(grant), last, tx)]
            if len(held) > 1:
                yield f"{user} held usable assets of {len(held)} grants of {activity}"
                break


def _released(mark: Change | None, seq: int, tx: int) -> bool:
    """Tell whether a grant was marked as released by then, or by the same transaction."""
    return mark is not None and (mark.seq < seq or mark.tx == tx)


def assets_not_fitting(past: Past) -> Iterator[str]:
    """A granted grant has one asset for each of its lines, any other has none; an asset has a grant."""
    held = Counter(row["grant_id"] for row in past.all("asset"))
    for row in past.all("grant_record"):
        wanted = len(row["lines"]) if row["state"] == "granted" else 0
        if held[row["id"]] != wanted:
            yield f"grant {row['idempotency_id']} ({row['state']}) has {held[row['id']]} assets for {wanted} lines"
    known = {row["id"] for row in past.all("grant_record")}
    for row in past.all("asset"):
        if row["grant_id"] not in known:
            yield f"asset {row['id']} belongs to no grant"


def notices_missing(past: Past) -> Iterator[str]:
    """The outbox tells of each grant, once."""
    told = Counter(row["key"] for row in past.all("outbox") if row["topic"] == "tactics.granted")
    for row in past.all("grant_record"):
        number = told[row["idempotency_id"]]
        if row["state"] == "granted" and number != 1:
            yield f"the outbox tells of grant {row['idempotency_id']} {number} times"


def provider_disagreeing(past: Past) -> Iterator[str]:
    """What the outside provider has given is what we say it has given: each once, nothing else, nothing less."""
    if past.provider is None:
        return
    outside = {
        (document["code"], name)
        for document in past.activities
        for name, benefit in document["benefits"].items()
        if benefit.get("provider", "local") != "local"
    }
    states = {row["idempotency_id"]: row["state"] for row in past.all("grant_record") if set(_named(row)) & outside}
    given = Counter(line["idempotency_id"] for line in past.provider if line["what"] == "effect")
    for line in past.provider:
        if line["what"] == "body_changed":
            yield f"the provider was asked for {line['idempotency_id']} with another body than before"
    for name, number in given.items():
        if number > 1:
            yield f"the provider gave {name} {number} times"
        if states.get(name) not in {"granted", "parked"}:
            yield f"the provider gave {name}, which is {states.get(name, 'unknown')} here"
    for name, state in states.items():
        if state == "granted" and not given[name]:
            yield f"{name} is granted here and was never given by the provider"


def _named(row: Row) -> Iterator[_BenefitKey]:
    return ((row["activity_code"], line["benefit"]) for line in row["lines"])

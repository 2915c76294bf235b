"""What an explanation comes to, in sentences for a person who has two minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tactics.domain.context import SHOWN
from tactics.store.held import PAUSED_ITSELF

Data = Mapping[str, Any]

_WORDS = {
    "granted": "the user got a new benefit",
    "reused": "the user held a usable benefit already and was shown it again",
    "replayed": "the grant had been made before; it was shown again, and nothing new was given",
    "pending": "a grant is still being settled",
    "prepared": "the user's items and prices were prepared for placements",
    "done": "it ran to its end",
    "not_prepared": "the user had not done what the activity waits for, so nothing was prepared",
    "not_matched": "the activity's rule did not hold",
    "unknown": "the activity's rule could not be decided, for it reads something that is not known",
    "sold_out": "the stock was used up",
    "limit": "a limit of the activity was reached",
    "holdout": "the user belongs to the control group, which gets nothing",
    "busy": "another execution of this user and activity was running",
    "outranked": "another activity came first",
    "superseded": "a newer execution of this user and activity began, so this one was closed",
    "abandoned": "the placement's deadline passed, so nothing was given",
    "parked": "it was given up after its last attempt",
    "error": "a step failed",
}


def in_words(outcome: str | None, reason: str | None = None) -> str:
    """Say what an outcome means; `reason` is the execution's."""
    if outcome == "parked" and (reason or "").startswith(PAUSED_ITSELF):
        return "it waits until the activity runs again"
    return "it has not ended yet" if outcome is None else _WORDS.get(outcome, f"it ended as {outcome}")


def visit_in_words(activity_code: str, event: Data, answer: Data, started: Data | None) -> str:
    """Say what a visit came to for one activity.

    Args:
        activity_code: the activity.
        event: the placement event's row.
        answer: activity code → its part of the answer.
        started: the execution's row, if there is one.
    """
    if started is not None:
        return in_words(started["outcome"], started["reason"])
    if activity_code in answer:
        return in_words(answer[activity_code].get("reason"))
    if event["abandoned_at"] is not None:
        return _WORDS["abandoned"]
    if activity_code not in (event["candidates"] or []):
        return "the activity was not live, or not in its schedule, at that moment"
    first = [code for code, part in answer.items() if part.get("outcome") in SHOWN]
    return f"another activity came first: {', '.join(first)}" if first else _WORDS["busy"]


def _when(time: str) -> str:
    return f"{time[:19]}Z"


def summary(data: Data) -> list[str]:
    """Give the answer: what happened, then what stands in the way, the nearest cause first."""
    return [*_outcome(data), *_activity(data), *_preparation(data), *_grants(data), *_waiting(data)]


def _outcome(data: Data) -> Iterator[str]:
    one = data["execution"]
    if one is None:
        yield from _no_execution(data)
        return
    reason = f" ({one['reason']})" if one["reason"] and one["outcome"] is not None else ""
    ended = one["outcome"] or "unfinished"
    kind = "placement" if one["link"] == "grant" else "preparation"
    yield f"The {kind} on {one['channel_code']} at {_when(one['business_at'])} is {ended}: {one['text']}{reason}."
    if one["outcome"] is None:
        last = f" The last attempt: {one['reason']}." if one["reason"] else ""
        due = (
            f"the next one is due at {_when(one['next_attempt_at'])}"
            if one["next_attempt_at"]
            else "no other is planned"
        )
        yield f"Attempt {one['attempts']} of {one['max_attempts']} is the current one, {due}.{last}"
        yield from _queued(one)
    elif one["outcome"] == "parked" and not str(one["reason"]).startswith(PAUSED_ITSELF):
        yield f"It was tried {one['attempts']} times; nothing tries it again."
    yield from _chain(one)


def _chain(one: Data) -> Iterator[str]:
    chain = one["chain"]
    if chain["in"] == "not chosen":
        yield "Which chain it runs is not chosen yet: no process that knows its template has started it."
    if chain["in"] != "stored":
        return
    now = "" if chain["enabled"] else ", which is disabled now"
    if chain["version"] != chain["current_version"]:
        now += f"; version {chain['current_version']} is the current one"
    kind = f"template {chain['template_type']}'s own {one['link']} chain"
    verb = "runs" if one["outcome"] is None else "ran"
    yield f"It {verb} the stored chain {chain['name']}, version {chain['version']}, instead of {kind}{now}."


def _queued(one: Data) -> Iterator[str]:
    if one["queue"] is not None:
        step, queue = one["step"], one["queue"]
        yield f"It waits at step {step} on queue {queue}, for a worker that serves it (`tactics worker --queues {queue}`)."


def _no_execution(data: Data) -> Iterator[str]:
    channels = ", ".join(data["activity"]["channels"]["grant"]) or "none"
    if data["visits"]:
        one = data["visits"][0]
        yield f"The user visited {one['channel']} at {_when(one['at'])}, and nothing ran for this activity: {one['text']}."
    else:
        yield f"The user has not visited a placement of this activity by then (its channels: {channels})."


def _activity(data: Data) -> Iterator[str]:
    one = data["activity"]
    if one["tripped_at"]:
        yield (
            f"The activity paused itself at {_when(one['tripped_at'])}: {one['tripped_reason']}. Placements get nothing; "
            f"what users do meanwhile is kept until `tactics activity resume {one['code']}`."
        )
    elif one["status"] != "live":
        yield f"The activity is {'a draft' if one['status'] == 'draft' else one['status']} now: nothing starts."
    if one["timing"] != "running":
        state = "had not begun" if one["timing"] == "not_begun" else "was over"
        span = f"{_when(one['schedule']['from'])} to {_when(one['schedule']['to'])}"
        yield f"At {_when(data['at'])} its schedule {state}: {span}."
    if one["held_out"]:
        yield f"The user belongs to the control group of {one['holdout_percent']} %: counted, never granted."
    if one["version"] != one["current_version"]:
        yield f"It ran under version {one['version']}; the current one is {one['current_version']}."


def _preparation(data: Data) -> Iterator[str]:
    keys, instance = data["activity"]["channels"]["prepare"], data["instance"]
    if not keys:
        yield "The activity waits for no behaviour: nothing needs to be prepared."
    elif not data["prepared_then"]:
        yield f"The user was not prepared: the activity waits for {' or '.join(keys)}."
    if keys and instance["prepared"]:
        by = instance["prepared_by"]
        yield f"The user is prepared, last at {_when(instance['prepared_at'])} by event {by['id']}."
    for one in data["behaviour_rules"]:
        yield from _rule(one)


def _rule(one: Data) -> Iterator[str]:
    key = one["rule_key"]
    for event in one["events"][:1]:
        yield f"{key} was satisfied at {_when(event['at'])}: {_after(event)}."
    if not one["stored"]:
        if not one["events"]:
            yield f"{key} is no behaviour rule here: it comes from outside, as an event that has not come."
        return
    if not one["enabled"]:
        yield f"{key} is switched off: no action is checked against it."
    if one["status"] == "matched":
        if not one["events"]:
            yield (
                f"{key} holds, but no action has made it so: it speaks when an action turns it from false to true, "
                "and only about actions that came in since it is known."
            )
        return
    reasons = "; ".join(str(reason["text"]) for reason in one["reasons"][:3])
    state = "does not hold" if one["status"] == "not_matched" else f"is {one['status']}"
    yield f"{key} {state}: {reasons or 'no reason known'}."
    if one["reads_event"]:
        yield f"{key} also reads what an action carries, which is known only when one comes in."


def _after(event: Data) -> str:
    if event["parked_reason"]:
        return f"its event was given up: {event['parked_reason']}"
    if event["routed_at"] is None:
        return "its event is not routed yet"
    started = event["execution"]
    if started is None:
        return "the activity was not live, or not in its schedule, at that moment"
    waits = f", waiting at step {started['step']} on queue {started['queue']}" if started["queue"] else ""
    words = in_words(started["outcome"], started["reason"])
    return f"{words} (preparation {started['id']}, attempt {started['attempts']}{waits})"


def _grants(data: Data) -> Iterator[str]:
    if not data["grants"]:
        yield "The user has no grant of this activity."
    for one in data["grants"]:
        held = ", ".join(f"{asset['kind']} {asset['status']}" for asset in one["assets"]) or "no assets"
        reason = f" ({one['reason']})" if one["reason"] else ""
        yield f"Grant {one['will_send_count']} of {_when(one['business_at'])} is {one['state']}{reason}: {held}."


def _waiting(data: Data) -> Iterator[str]:
    parked = [one for one in data["events_not_done"] if one["parked_reason"]]
    waiting = [one for one in data["events_not_done"] if not one["parked_reason"]]
    for one in parked[:3]:
        yield f"The user's {one['type']} event {one['id']} was given up: {one['parked_reason']}."
    if waiting:
        one = waiting[0]
        due = f"due at {_when(one['next_attempt_at'])}" if one["next_attempt_at"] else "not due at any time"
        yield f"Events of the user wait to be routed ({len(waiting)}), such as {one['id']}, attempt {one['attempts']}, {due}."

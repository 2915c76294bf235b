"""The checker finds nothing in a history that is right, and each thing that can be wrong with one: exactly that."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.chaos.checker import CHECKS, check

USER = "u1"
_SETUP = {
    "kind": "setup",
    "at": 0.0,
    "activities": [
        {
            "code": "camp",
            "channels": {"prepare": ["bought"], "grant": ["home"]},
            "benefits": {"c": {}},
            "limits": {"per_user": 2, "budget_minor": 1000},
        },
        {
            "code": "out",
            "channels": {"prepare": [], "grant": ["wallet"]},
            "benefits": {"w": {"provider": "wallet"}},
            "limits": {},
        },
    ],
}


class Story:
    """A history that is right until a test changes it: two grants, the first redeemed; one by a provider; one given up."""

    def __init__(self) -> None:
        """Tell it."""
        self.clients: list[dict[str, Any]] = [deepcopy(_SETUP)]
        self.database: list[dict[str, Any]] = []
        self.provider = [{"what": "effect", "idempotency_id": "out:u1:1"}]
        self.told: list[dict[str, Any]] = []
        self._seq, self.tx = 0, 0
        self.begin()
        self.wrote("benefit", "I", activity_code="camp", code="c", stock_initial=10, remaining=10)
        self.wrote("benefit", "I", activity_code="out", code="w", stock_initial=10, remaining=10)
        self.accepts_events()
        self.grants(1, "camp", key="v1", remaining=9)
        self.redeems("a-camp-1")
        self.grants(2, "camp", key="v2", remaining=8)
        self.grants(1, "out", key="v3", remaining=9)
        self.begin()
        self.placement_event("v4", abandoned_at="now")
        self.says("placement", key="v4", user_id=USER, sent_at=self._seq, status=202, answer={"execution_ids": []})

    def begin(self) -> None:
        """Begin a transaction."""
        self.tx += 1

    def wrote(self, table: str, op: str, **row: Any) -> None:
        """Let the database write a row."""
        self._seq += 1
        self.database.append(
            {"seq": self._seq, "at": float(self._seq), "tx": self.tx, "table": table, "op": op, "row": row}
        )

    def says(self, kind: str, **what: Any) -> None:
        """Let a client or the harness note something."""
        self.clients.append({"kind": kind, "at": float(self._seq), **what})

    def row(self, table: str, **wanted: Any) -> dict[str, Any]:
        """Give the row as it was last written."""
        return next(
            one["row"]
            for one in reversed(self.database)
            if one["table"] == table and all(one["row"][name] == value for name, value in wanted.items())
        )

    def forget(self, table: str, **wanted: Any) -> None:
        """Let it not have been written."""
        gone = self.row(table, **wanted)
        self.database = [one for one in self.database if one["row"] is not gone]

    def accepts_events(self) -> None:
        """Accept an action and a behaviour event, and route both."""
        for name, kind in (("e1", "action"), ("e2", "behaviour")):
            self.says("event", source="shop", id=name, said="accepted")
            self.begin()
            event = {
                "source": "shop",
                "id": name,
                "type": kind,
                "channel": "bought" if kind == "behaviour" else None,
                "abandoned_at": None,
                "parked_reason": None,
                "attempts": 1,
            }
            self.wrote("event", "I", **event, routed_at=None)
            self.begin()
            self.wrote("event", "U", **event, routed_at="then")
            if kind == "action":
                self.wrote("user_action", "I", user_id=USER, at="then", event_source="shop", event_id=name)
        self.execution("x0", "camp", "prepare", ("shop", "e2"), epoch=None, ended=False)
        self.begin()
        self.instance("camp", 1, prepared=1)
        self.execution("x0", "camp", "prepare", ("shop", "e2"), epoch=1, op="U", outcome="prepared")

    def execution(
        self,
        name: str,
        activity: str,
        link: str,
        event: tuple[str, str],
        *,
        epoch: int | None,
        op: str = "I",
        ended: bool = True,
        outcome: str = "granted",
    ) -> None:
        """Write an execution."""
        self.wrote(
            "execution",
            op,
            id=name,
            user_id=USER,
            activity_code=activity,
            link=link,
            event_source=event[0],
            event_id=event[1],
            attempts=1,
            epoch=epoch,
            segments=[1] if ended else [],
            finished_at="then" if ended else None,
            outcome=outcome if ended else None,
            reason=None,
        )

    def instance(self, activity: str, epoch: int, prepared: int | None = None) -> None:
        """Write an instance."""
        self.wrote("instance", "U", user_id=USER, activity_code=activity, epoch=epoch, prepared_epoch=prepared)

    def placement_event(self, key: str, abandoned_at: str | None = None) -> None:
        """Write a placement's event."""
        parts = {"source": "api", "id": key, "type": "placement", "channel": None, "routed_at": None}
        self.wrote("event", "U", **parts, abandoned_at=abandoned_at, parked_reason=None, attempts=1)

    def grants(self, count: int, activity: str, *, key: str, remaining: int) -> None:
        """Grant for a placement, and answer it."""
        benefit = "c" if activity == "camp" else "w"
        grant, asset, execution = f"g-{activity}-{count}", f"a-{activity}-{count}", f"x-{activity}-{count}"
        self.begin()
        epoch = count + 1
        self.instance(activity, epoch, prepared=1)
        self.wrote(
            "grant_record",
            "I",
            id=grant,
            user_id=USER,
            activity_code=activity,
            will_send_count=count,
            idempotency_id=f"{activity}:{USER}:{count}",
            execution_id=execution,
            event_source="api",
            event_id=key,
            state="granted",
            released=False,
            lines=[{"line": 0, "benefit": benefit}],
            value_minor=500,
        )
        self.asset(asset, grant, activity, "available", op="I")
        self.tells("tactics.granted", f"{activity}:{USER}:{count}")
        self.wrote("benefit", "U", activity_code=activity, code=benefit, stock_initial=10, remaining=remaining)
        self.execution(execution, activity, "grant", ("api", key), epoch=epoch)
        self.placement_event(key)
        part = {"activity": activity, "outcome": "granted", "execution_id": execution, "assets": [{"asset_id": asset}]}
        self.answers(key, [part])

    def tells(self, topic: str, key: str) -> None:
        """Write a notice, and deliver it to the receiver of webhooks."""
        number = self._seq
        self.wrote("outbox", "I", id=number, topic=topic, key=key)
        self.told.append({"id": f"msg_{number}"})
        delivery = {"attempts": 1, "delivered_at": "then", "parked_reason": None, "last_status": 204}
        self.wrote("webhook_delivery", "I", outbox_id=number, endpoint_id="here", **delivery)

    def answers(self, key: str, results: list[dict[str, Any]], not_shown: list[dict[str, Any]] | None = None) -> None:
        """Answer a placement."""
        answer = {"results": results, "not_shown": not_shown or []}
        self.says("placement", key=key, user_id=USER, sent_at=float(self._seq), status=200, answer=answer)

    def asset(self, name: str, grant: str, activity: str, status: str, op: str = "U") -> None:
        """Write an asset."""
        self.wrote("asset", op, id=name, user_id=USER, activity_code=activity, grant_id=grant, status=status)

    def redeems(self, name: str) -> None:
        """Redeem an asset, and say so."""
        held = self.row("asset", id=name)
        self.begin()
        self.asset(name, held["grant_id"], held["activity_code"], "redeemed")
        self.says("change", asset_id=name, change="redeem", status=200)

    def write_again(self, table: str, wanted: dict[str, Any], **changes: Any) -> None:
        """Write a row once more, with something changed."""
        self.wrote(table, "U", **{**self.row(table, **wanted), **changes})

    def found(self) -> set[str]:
        """Give the names of the checks that find something."""
        return {one.check for one in check(self.clients, self.database, self.provider, self.told)[0]}


def _acknowledged_but_gone(story: Story) -> None:
    story.says("event", source="shop", id="e9", said="duplicate")


def _action_without_trace(story: Story) -> None:
    story.forget("user_action", event_id="e1")


def _behaviour_without_execution(story: Story) -> None:
    story.database = [one for one in story.database if one["table"] != "execution" or one["row"]["link"] != "prepare"]


def _redeemed_only_in_words(story: Story) -> None:
    story.says("change", asset_id="a-camp-2", change="redeem", status=200)


def _granted_in_silence(story: Story) -> None:
    story.told.remove({"id": f"msg_{story.row('outbox', key='camp:u1:2')['id']}"})
    story.forget("outbox", key="camp:u1:2")


def _never_told(story: Story) -> None:
    story.told.pop()


def _told_of_nothing(story: Story) -> None:
    story.told.append({"id": "msg_999"})


def _never_delivered(story: Story) -> None:
    story.write_again("webhook_delivery", {}, delivered_at=None)


def _never_routed(story: Story) -> None:
    story.row("event", id="e1").update(routed_at=None)


def _never_finished(story: Story) -> None:
    story.row("execution", id="x-camp-2").update(finished_at=None)


def _never_settled(story: Story) -> None:
    story.row("grant_record", id="g-out-1").update(state="unknown")
    story.forget("asset", id="a-out-1")
    story.clients = [one for one in story.clients if one.get("key") != "v3"]
    story.provider.clear()


def _granted_twice(story: Story, **same: Any) -> None:
    """Grant once more, from the stock, with what `same` says taken from the first grant."""
    story.grants(3, "camp", key="v5", remaining=7)
    story.row("grant_record", id="g-camp-3").update(same)
    story.clients[0]["activities"][0]["limits"] = {}
    story.redeems("a-camp-2")
    story.database.insert(-10, story.database.pop())  # before the third was granted


def _same_count(story: Story) -> None:
    _granted_twice(story, will_send_count=2)


def _same_execution(story: Story) -> None:
    _granted_twice(story, execution_id="x-camp-2")


def _gap(story: Story) -> None:
    _granted_twice(story, will_send_count=4)


def _sold_what_was_not_there(story: Story) -> None:
    for one in story.database:
        if one["table"] == "benefit" and one["row"]["activity_code"] == "camp":
            one["row"].update(remaining=one["row"]["remaining"] - 9, stock_initial=1)
    story.begin()
    story.write_again("benefit", {"code": "c"}, stock_initial=10, remaining=8)


def _taken_later(story: Story) -> None:
    taken = next(one for one in story.database if one["table"] == "benefit" and one["row"]["remaining"] == 8)
    story.begin()
    taken["tx"] = story.tx


def _stock_refilled_by_nobody(story: Story) -> None:
    # Before anything that is watched: each transaction adds up, the end does not.
    for one in story.database:
        if one["table"] == "benefit" and one["row"]["activity_code"] == "camp":
            one["row"]["remaining"] += 1


def _once_too_often(story: Story) -> None:
    story.clients[0]["activities"][0]["limits"]["per_user"] = 1


def _more_than_the_budget(story: Story) -> None:
    story.clients[0]["activities"][0]["limits"]["budget_minor"] = 999


def _two_in_hand(story: Story) -> None:
    story.begin()
    story.asset("a-camp-1", "g-camp-1", "camp", "available")


def _asset_of_nobody(story: Story) -> None:
    story.begin()
    story.asset("a-x", "g-none", "camp", "redeemed", op="I")


def _granted_for_one_who_left(story: Story) -> None:
    story.begin()
    story.placement_event("v3", abandoned_at="now")
    moved = story.database.pop()
    story.database.insert(0, {**moved, "seq": 0, "tx": 0})


def _granted_after_the_202(story: Story) -> None:
    story.clients.insert(1, {**story.clients[-1], "key": "v2", "at": 1.0})


def _given_twice_outside(story: Story) -> None:
    story.provider *= 2


def _given_outside_alone(story: Story) -> None:
    story.provider.append({"what": "effect", "idempotency_id": "out:u2:1"})


def _never_given_outside(story: Story) -> None:
    story.provider.clear()


def _other_body(story: Story) -> None:
    story.provider.append({"what": "body_changed", "idempotency_id": "out:u1:1"})


def _stale_attempt(story: Story) -> None:
    story.row("execution", id="x-camp-2").update(attempts=2)


def _after_the_end(story: Story) -> None:
    story.begin()
    story.write_again("execution", {"id": "x-camp-2"}, segments=[1, 1])


def _stale_epoch(story: Story) -> None:
    story.row("execution", id="x-camp-2").update(epoch=0)


def _shared_epoch(story: Story) -> None:
    story.row("instance", activity_code="camp", epoch=3).update(epoch=2)
    story.row("execution", id="x-camp-2").update(epoch=2)


def _epoch_back(story: Story) -> None:
    story.begin()
    story.instance("camp", 2, prepared=1)


def _prepared_ahead(story: Story) -> None:
    story.begin()
    story.instance("camp", 3, prepared=4)


def _refused_rightful(story: Story) -> None:
    story.says("placement", key="v9", user_id=USER, sent_at=0.0, status=422, answer=None)


def _refused_event(story: Story) -> None:
    story.says("event", source="shop", id="e9", said="refused 401")


def _shown_what_is_not(story: Story) -> None:
    part = {"activity": "camp", "outcome": "reused", "execution_id": "x-camp-1", "assets": [{"asset_id": "none"}]}
    story.answers("v9", [part])


def _shown_execution_that_is_not(story: Story) -> None:
    part = {"activity": "camp", "outcome": "reused", "execution_id": "x9", "assets": [{"asset_id": "a-camp-1"}]}
    story.answers("v9", [part])


def _told_otherwise(story: Story) -> None:
    part = {"activity": "camp", "outcome": "granted", "execution_id": "x-camp-1", "assets": [{"asset_id": "a-camp-1"}]}
    story.answers("v2", [part])


def _taken_back_in_words(story: Story) -> None:
    story.begin()
    story.wrote("instance", "U", user_id="u2", activity_code="camp", epoch=1, prepared_epoch=None)
    story.answers("v1", [], [{"activity": "camp", "reason": "sold_out"}])


VIOLATIONS: list[tuple[str, Callable[[Story], None]]] = [
    ("event_missing", _acknowledged_but_gone),
    ("action_missing", _action_without_trace),
    ("execution_missing", _behaviour_without_execution),
    ("change_missing", _redeemed_only_in_words),
    ("notice_missing", _granted_in_silence),
    ("event_unended", _never_routed),
    ("execution_unended", _never_finished),
    ("grant_unended", _never_settled),
    ("grant_count", _same_count),
    ("grant_execution", _same_execution),
    ("count_gap", _gap),
    ("stock_negative", _sold_what_was_not_there),
    ("stock_moment", _taken_later),
    ("stock_sum", _stock_refilled_by_nobody),
    ("limits", _once_too_often),
    ("limits", _more_than_the_budget),
    ("usable_sets", _two_in_hand),
    ("grant_assets", _asset_of_nobody),
    ("abandoned_grant", _granted_for_one_who_left),
    ("abandoned_grant", _granted_after_the_202),
    ("provider", _given_twice_outside),
    ("provider", _given_outside_alone),
    ("provider", _never_given_outside),
    ("provider", _other_body),
    ("webhook_missing", _never_told),
    ("webhook_untrue", _told_of_nothing),
    ("webhook_unended", _never_delivered),
    ("attempt", _stale_attempt),
    ("attempt", _after_the_end),
    ("epoch", _stale_epoch),
    ("epoch_shared", _shared_epoch),
    ("epoch_back", _epoch_back),
    ("epoch_back", _prepared_ahead),
    ("refused", _refused_rightful),
    ("refused", _refused_event),
    ("answer", _shown_what_is_not),
    ("answer", _shown_execution_that_is_not),
    ("answer_changed", _told_otherwise),
    ("answer_changed", _taken_back_in_words),
]
# What cannot be so without the other.
_ALONG = {"stock_negative": {"stock_moment"}, "stock_sum": {"stock_moment"}}


def test_a_history_that_is_right_has_no_findings() -> None:
    """Nothing is found where nothing is wrong."""
    assert Story().found() == set()


@pytest.mark.parametrize(("name", "spoil"), VIOLATIONS, ids=[one.__name__.strip("_") for _, one in VIOLATIONS])
def test_each_violation_is_found_as_itself(name: str, spoil: Callable[[Story], None]) -> None:
    """A history with one thing wrong is found out by the check that is about it, and by no other."""
    story = Story()
    spoil(story)
    found = story.found()
    assert name in found
    assert found - {name} <= _ALONG.get(name, set())


def test_every_check_has_a_violation() -> None:
    """No check is there that nothing has shown to find anything."""
    assert {one.name for one in CHECKS} == {name for name, _ in VIOLATIONS}


def test_what_is_allowed_is_not_found() -> None:
    """A released redemption beside a newer grant, a parked grant that the provider has given, a parked event: all good."""
    story = Story()
    story.begin()
    story.asset("a-camp-1", "g-camp-1", "camp", "available")
    story.write_again("grant_record", {"id": "g-camp-1"}, released=True)
    story.row("event", id="e1").update(routed_at=None, parked_reason="as asked")
    story.forget("user_action", event_id="e1")
    story.row("grant_record", id="g-out-1").update(state="parked")
    story.forget("asset", id="a-out-1")
    story.clients = [one for one in story.clients if one.get("key") != "v3"]
    assert story.found() == set()

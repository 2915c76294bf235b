"""Activities in the store: versions, channels, status, revisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tactics.domain.activity import parse_activity
from tactics.errors import Conflict, NotFound
from tactics.runtime import Runtime
from tactics.store import activities
from tests.making import activity, bought, document

START = datetime(2017, 10, 30, tzinfo=UTC)
END = datetime(2018, 1, 1, tzinfo=UTC)


def test_saved_and_loaded_activity_says_the_same(runtime: Runtime) -> None:
    """What is loaded equals what was saved, behaviour rules, aliases and defaults included."""
    given = parse_activity(
        document(
            behaviour_rules={"bought": {**bought(3), "cooldown_s": 60}},
            expression={"en": "Five off", "zh": {"title": "减", "text": "立减"}},
            limits={"per_user": 3},
            lock=False,
            timezone="Asia/Shanghai",
        )
    )
    with runtime.engine.begin() as conn:
        saved = activities.save(conn, given)
        loaded = activities.load(conn, "camp18", saved.version)
    assert (saved.version, saved.change, saved.status) == (1, "new", "draft")
    assert loaded == given.model_copy(update={"version": 1})


def test_identical_document_makes_no_version(runtime: Runtime) -> None:
    """Saving what is stored already leaves version and revision alone."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity())
        before = activities.revisions(conn)
        again = activities.save(conn, activity())
        assert (again.version, again.change) == (1, "unchanged")
        assert activities.revisions(conn) == before == {"activities": 1}
        assert conn.execute(text("SELECT count(*) FROM activity_version")).scalar_one() == 1


def test_true_for_one_is_another_document(runtime: Runtime) -> None:
    """A rule's `true` instead of `1` is a new version, though Python calls the two equal."""

    def rule(to: object) -> dict[str, object]:
        value = {"block": "pbb.resource.user_attribute", "params": {"name": "vip"}}
        return {"block": "pbb.condition.equals", "params": {"value": value, "to": to}}

    with runtime.engine.begin() as conn:
        activities.save(conn, activity(rule=rule(1)))
        assert activities.save(conn, activity(rule=rule(True))).version == 2


def test_earlier_version_stays_readable(runtime: Runtime) -> None:
    """A new version adds to the earlier ones; one that never was is not found."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(priority=1))
        assert activities.save(conn, activity(priority=2)).change == "updated"
        assert [activities.load(conn, "camp18", version).priority for version in (1, 2)] == [1, 2]
        with pytest.raises(NotFound, match="no version 3"):
            activities.load(conn, "camp18", 3)


def test_by_channel_gives_live_ones_in_schedule_best_first(runtime: Runtime) -> None:
    """Drafts, paused ones, other links and other channels are left out; order is priority, then code."""
    with runtime.engine.begin() as conn:
        for code, priority in (("b", 5), ("a", 5), ("c", 9), ("d", 5), ("e", 5)):
            activities.save(conn, activity(code=code, priority=priority), publish=code != "d")
        activities.save(conn, activity(code="f", channels={"prepare": ["home_banner"]}), publish=True)
        activities.set_status(conn, "e", "paused")
        found = activities.by_channel(conn, "grant", "home_banner", START + timedelta(days=1))
        assert found == [("c", 1, None), ("a", 1, None), ("b", 1, None)]
        assert activities.by_channel(conn, "grant", "elsewhere", START) == []


@pytest.mark.parametrize(
    ("now", "runs"),
    [(START - timedelta(seconds=1), False), (START, True), (END - timedelta(seconds=1), True), (END, False)],
)
def test_schedule_includes_its_start_and_not_its_end(runtime: Runtime, now: datetime, runs: bool) -> None:
    """An activity runs from `from` to before `to`."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(), publish=True)
        assert bool(activities.by_channel(conn, "grant", "home_banner", now)) is runs


def test_new_version_replaces_the_channels(runtime: Runtime) -> None:
    """A channel that the new document drops no longer leads to the activity, and its new ones do."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(), publish=True)
        activities.save(conn, activity(channels={"grant": ["checkout", "checkout"]}))
        assert activities.by_channel(conn, "grant", "checkout", START) == [("camp18", 2, None)]
        assert not activities.channel_known(conn, "grant", "home_banner")
        assert activities.channel_known(conn, "grant", "checkout")
        assert not activities.channel_known(conn, "prepare", "checkout")


def test_import_keeps_the_status(runtime: Runtime) -> None:
    """A new version of a live or paused activity stays live or paused, unless it is published with it."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(), publish=True)
        assert activities.save(conn, activity(priority=1)).status == "live"
        activities.set_status(conn, "camp18", "paused")
        assert activities.save(conn, activity(priority=2)).status == "paused"
        assert activities.save(conn, activity(priority=2), publish=True).status == "live"
        assert activities.current(conn, "camp18").status == "live"


def test_status_changes_once(runtime: Runtime) -> None:
    """Publishing twice changes something once, and each change is a revision."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity())
        assert activities.set_status(conn, "camp18", "live")
        assert not activities.set_status(conn, "camp18", "live")
        assert activities.set_status(conn, "camp18", "paused")
        assert activities.revisions(conn) == {"activities": 3}


def test_draft_cannot_be_paused(runtime: Runtime) -> None:
    """Pausing a draft is refused, so that `draft` always means that nothing was ever granted."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity())
        with pytest.raises(Conflict, match="draft"):
            activities.set_status(conn, "camp18", "paused")
        with pytest.raises(NotFound, match="no activity 'other'"):
            activities.set_status(conn, "other", "live")


def test_listing_shows_channels_of_each_link(runtime: Runtime) -> None:
    """Every activity is listed by code, one without channels too."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(code="z", channels={}))
        activities.save(conn, activity(code="a", channels={"prepare": ["q", "p"], "grant": ["g"]}))
        rows = activities.listing(conn)
    assert [(row.code, row.prepare, row.grant) for row in rows] == [("a", ["p", "q"], ["g"]), ("z", [], [])]

"""Drafts, publishing and rolling back in the store: what is current, what is written, and what is refused."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tactics.errors import Conflict, NotFound
from tactics.runtime import Runtime
from tactics.store import activities, activity_versions, versions
from tactics.store.activity_versions import publish, roll_back, save_draft
from tactics.store.versions import ACTIVITY
from tests.making import activity, with_coupon


def _states(runtime: Runtime, code: str = "camp18") -> dict[int, str]:
    with runtime.engine.connect() as conn:
        current = activities.current(conn, code).version
        return {one.version: one.state(current) for one in versions.listing(conn, ACTIVITY, code)}


def test_draft_changes_nothing_that_runs(runtime: Runtime) -> None:
    """Version, channels, stock and revision stay what they were until the draft is published."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(), publish=True)
        before = activities.revisions(conn)
        more = {"c18": {"kind": "coupon", "stock": 20}, "new": {"kind": "points", "stock": 1}}
        saved = save_draft(conn, activity(channels={"grant": ["checkout"]}, benefits=more))
        assert (saved.version, saved.change, saved.status, saved.draft) == (2, "updated", "live", True)
        assert activities.revisions(conn) == before
        assert activities.current(conn, "camp18").version == 1
        assert not activities.channel_known(conn, "grant", "checkout")
        assert conn.execute(text("SELECT code, remaining FROM benefit")).all() == [("c18", 10)]
        assert publish(conn, "camp18").version == 2
        assert activities.revisions(conn)["activities"] == before["activities"] + 1
        assert activities.channel_known(conn, "grant", "checkout")
        assert conn.execute(text("SELECT code, remaining FROM benefit ORDER BY 1")).all() == [("c18", 20), ("new", 1)]
    assert _states(runtime) == {2: "current", 1: "earlier"}


def test_draft_that_says_nothing_new_is_none(runtime: Runtime) -> None:
    """What the newest version says already makes no draft, whether that is current or a draft; back again is one."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity())
        assert save_draft(conn, activity()).change == "unchanged"
        assert [save_draft(conn, activity(priority=1)).change for _ in range(2)] == ["updated", "unchanged"]
        back = save_draft(conn, activity())
        assert (back.version, back.draft) == (3, True)


def test_first_version_of_a_new_activity_is_current(runtime: Runtime) -> None:
    """A new activity saved as a draft is what a new activity is: in version 1, and a draft itself."""
    with runtime.engine.begin() as conn:
        saved = save_draft(conn, activity())
        assert (saved.version, saved.status, saved.draft) == (1, "draft", False)
    assert _states(runtime) == {1: "current"}


def test_import_passes_drafts_over_and_says_so(runtime: Runtime) -> None:
    """A version that becomes current leaves an older draft behind for good: it cannot be published any more."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(), publish=True)
        save_draft(conn, activity(priority=1))
        saved = activities.save(conn, activity(priority=2))
        assert saved.version == 3
        assert [note.split(":")[0] for note in saved.notes] == ["draft version 2 is passed over"]
        assert publish(conn, "camp18").change == "unchanged"
        with pytest.raises(Conflict, match="older than version 3"):
            publish(conn, "camp18", 2)
    assert _states(runtime) == {3: "current", 2: "passed over", 1: "earlier"}


def test_publish_takes_the_newest_draft_or_the_one_named(runtime: Runtime) -> None:
    """Two drafts: the newer one goes live unless the older is named, after which the newer one still is a draft."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(), publish=True)
        for priority in (1, 2):
            save_draft(conn, activity(priority=priority))
        assert publish(conn, "camp18", 2).version == 2
    assert _states(runtime) == {3: "draft", 2: "current", 1: "earlier"}
    with runtime.engine.begin() as conn:
        assert publish(conn, "camp18").version == 3
        assert publish(conn, "camp18").change == "unchanged"
        with pytest.raises(NotFound, match="no version 4"):
            publish(conn, "camp18", 4)


def test_paused_activity_with_a_draft_asks_which(runtime: Runtime) -> None:
    """Letting a paused activity go on never makes somebody's draft live by accident."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(), publish=True)
        save_draft(conn, activity(priority=1))
        activities.set_status(conn, "camp18", "paused")
        with pytest.raises(Conflict, match=r"--version 1` or `--version 2"):
            publish(conn, "camp18")
        assert publish(conn, "camp18", 1).version == 1
        assert activities.current(conn, "camp18").status == "live"


def test_rollback_is_a_new_version_that_says_the_same(runtime: Runtime) -> None:
    """The earlier content is current under a new number, the channels and stock are its own, the status stays."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(), publish=True)
        activities.save(
            conn, activity(channels={"grant": ["checkout"]}, benefits={"c18": {"kind": "coupon", "stock": 4}})
        )
        activities.set_status(conn, "camp18", "paused")
        before = activities.revisions(conn)["activities"]
        saved = roll_back(conn, "camp18")
        assert (saved.version, saved.change, saved.status) == (3, "updated", "paused")
        assert activities.revisions(conn)["activities"] == before + 1
        assert activities.definition(conn, "camp18", 3) == activities.definition(conn, "camp18", 1)
        assert activities.channel_known(conn, "grant", "home_banner")
        assert conn.execute(text("SELECT remaining FROM benefit")).scalar_one() == 10
        assert versions.listing(conn, ACTIVITY, "camp18")[0].restores == 1


def test_rolling_back_twice_goes_two_versions_back(runtime: Runtime) -> None:
    """Each rollback goes further back, never to and fro; at the first version there is nothing more."""
    with runtime.engine.begin() as conn:
        for priority in (1, 2, 3):
            activities.save(conn, activity(priority=priority))
        assert [roll_back(conn, "camp18").version for _ in range(2)] == [4, 5]
        assert activities.load(conn, "camp18", 4).priority == 2
        assert activities.load(conn, "camp18", 5).priority == 1
        with pytest.raises(Conflict, match="no version before"):
            roll_back(conn, "camp18")


def test_rollback_to_a_version_is_the_same_however_often(runtime: Runtime) -> None:
    """Two people who roll back to the same version make one new version; a draft is published, not rolled back to."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(priority=1))
        activities.save(conn, activity(priority=2))
        assert [roll_back(conn, "camp18", 1).change for _ in range(2)] == ["updated", "unchanged"]
        save_draft(conn, activity(priority=9))
        with pytest.raises(Conflict, match="version 4 is a draft"):
            roll_back(conn, "camp18", 4)
        with pytest.raises(NotFound):
            roll_back(conn, "camp18", 5)
        with pytest.raises(NotFound):
            roll_back(conn, "other")


def test_rollback_skips_what_never_was_current(runtime: Runtime) -> None:
    """A draft that was passed over is not what was there before; it can still be named."""
    with runtime.engine.begin() as conn:
        activities.save(conn, activity(priority=1))
        save_draft(conn, activity(priority=7))
        activities.save(conn, activity(priority=2))
        roll_back(conn, "camp18")
        assert activities.load(conn, "camp18", 4).priority == 1
        roll_back(conn, "camp18", 2)
        assert activities.load(conn, "camp18", 5).priority == 7


def test_rollback_keeps_as_much_stock_as_is_given(runtime: Runtime) -> None:
    """A stock that was smaller then than what is given now cannot come back: none is left, and that is said."""
    with runtime.engine.begin() as conn:
        activities.save(conn, with_coupon(stock=10), publish=True)
        activities.save(conn, with_coupon(stock=50))
        conn.execute(text("UPDATE benefit SET remaining = remaining - 30"))
        saved = roll_back(conn, "camp18")
        assert [note for note in saved.notes if "30 are given" in note]
        assert conn.execute(text("SELECT remaining FROM benefit")).scalar_one() == 0
        assert conn.execute(text("SELECT sum(delta) FROM stock_movement")).scalar_one() == 20
        with pytest.raises(Conflict, match="the least is 30"):
            activities.save(conn, with_coupon(stock=11))


def test_draft_whose_stock_cannot_be_is_refused_when_published(runtime: Runtime) -> None:
    """A draft is only judged against the stock when it becomes current, and then nothing of it is."""
    with runtime.engine.begin() as conn:
        activities.save(conn, with_coupon(stock=10), publish=True)
        conn.execute(text("UPDATE benefit SET remaining = 0"))
        save_draft(conn, with_coupon(stock=9))
    with pytest.raises(Conflict, match="the least is 10"), runtime.engine.begin() as conn:
        activity_versions.publish(conn, "camp18")
    assert _states(runtime) == {2: "draft", 1: "current"}

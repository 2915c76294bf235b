"""Learning as beat starts it: what is done in a run, by whom, and what a rebuild forgets."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tactics.celery_app import create_app
from tactics.config import Settings
from tactics.flows import recall as flow
from tactics.flows.recall import learn, rebuild, what_goes_with
from tactics.store import recall
from tests.driving import Drive, Maker, acted

PAIRS = "SELECT item_id, other_id, users FROM item_pair ORDER BY 1, 2"


def _act(drive: Drive, *user_ids: str) -> None:
    drive.happen(*[acted(user_id, item_id=item_id) for user_id in user_ids for item_id in ("1", "2")])


def test_the_task_learns_what_happened(drive: Drive) -> None:
    """One delivery of the task counts everybody who waits; another changes nothing."""
    _act(drive, "a", "b")
    for _ in range(2):
        assert drive.deliver("tactics.learn_recall") is None
        assert drive.rows(PAIRS) == [("1", "1", 2), ("1", "2", 2), ("2", "1", 2), ("2", "2", 2)]


def test_a_run_goes_through_all_in_batches(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the batches, a run ends with nobody waiting, also when it begins in the middle."""
    monkeypatch.setattr(flow, "BATCH", 2)
    _act(drive, *"abcde")
    assert learn(drive.runtime, at_most_s=60) == 5
    _act(drive, "f")
    drive.runtime.shared["recall_after"] = "g"
    drive.happen(acted("a", item_id="3"), acted("z", item_id="3"))
    assert learn(drive.runtime, at_most_s=60) == 3
    assert drive.value("SELECT count(*) FROM user_item WHERE learnt IS NULL") == 0
    assert drive.value("SELECT users FROM item_pair WHERE item_id = '3' AND other_id = '3'") == 2


def test_a_run_ends_in_time_and_the_next_goes_on_behind_it(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has no time left begins no batch; users take turns, so the first ones cannot keep the last waiting."""
    monkeypatch.setattr(flow, "BATCH", 1)
    _act(drive, *"abc")
    assert learn(drive.runtime, at_most_s=0) == 0
    assert flow._learn_batch(drive.runtime) == 1
    drive.happen(acted("a", item_id="3"))
    assert flow._learn_batch(drive.runtime) == 1
    waiting = [row[0] for row in drive.rows("SELECT DISTINCT user_id FROM user_item WHERE learnt IS NULL ORDER BY 1")]
    assert waiting == ["a", "c"]


def test_while_another_learns_nothing_is_done(drive: Drive) -> None:
    """Twins do not wait for each other: the one without its turn leaves at once."""
    _act(drive, "a")
    with drive.runtime.engine.begin() as conn:
        assert recall.take_turn(conn)
        assert learn(drive.runtime, at_most_s=60) == 0
    assert learn(drive.runtime, at_most_s=60) == 1


def test_users_in_use_are_learnt_later(drive: Drive) -> None:
    """Whose actions are being recorded meanwhile is left to a later run, without an error."""
    _act(drive, "a")
    with drive.runtime.engine.begin() as conn:
        conn.execute(text("SELECT FROM user_item FOR UPDATE"))
        assert learn(drive.runtime, at_most_s=60) == 0
    assert drive.rows(PAIRS) == []
    assert learn(drive.runtime, at_most_s=60) == 1


def test_rebuild_puts_right_what_is_wrong(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands in the table, a rebuild leaves what users did."""
    monkeypatch.setattr(flow, "BATCH", 2)
    _act(drive, *"abcde")
    learn(drive.runtime, at_most_s=60)
    wanted = drive.rows(PAIRS)
    drive.run("UPDATE item_pair SET users = users + 7 WHERE item_id = '1'")
    drive.run("UPDATE user_item SET learnt = (user_id > 'c')")
    drive.run("INSERT INTO item_pair VALUES ('gone', 'gone', 3)")
    assert rebuild(drive.runtime) == 5
    assert drive.rows(PAIRS) == wanted
    assert learn(drive.runtime, at_most_s=60) == 0


def test_a_rebuild_that_was_left_is_gone_on_with(drive: Drive) -> None:
    """What beat starts ends a rebuild whose process is gone."""
    _act(drive, *"abc")
    learn(drive.runtime, at_most_s=60)
    wanted = drive.rows(PAIRS)
    with drive.runtime.engine.begin() as conn:
        recall.wait_for_turn(conn)
        recall.begin_rebuild(conn)
    assert what_goes_with(drive.runtime, "1", 9)["rebuilding"]
    assert learn(drive.runtime, at_most_s=60) == 3
    assert drive.rows(PAIRS) == wanted
    assert not what_goes_with(drive.runtime, "1", 9)["rebuilding"]


def test_beat_starts_it_unless_a_service_recalls(settings: Settings) -> None:
    """The task is on beat's list, with its interval and the queue of operations; not where a service recalls."""
    entry = create_app(settings.model_copy(update={"learn_recall_every_s": 7.0})).conf.beat_schedule["learn_recall"]
    assert (entry["task"], entry["schedule"], entry["options"]["queue"]) == ("tactics.learn_recall", 7.0, "ops")
    served = create_app(settings.model_copy(update={"recall_url": "http://127.0.0.1:1"}))
    assert "learn_recall" not in served.conf.beat_schedule


def test_a_killed_learner_leaves_nothing(driven: Maker) -> None:
    """A learner whose connection is cut in the middle of a batch has counted nobody; the next run counts everybody."""
    drive = driven()
    _act(drive, *"abc")
    with drive.runtime.engine.connect() as conn:
        assert recall.take_turn(conn)
        assert recall.learn_waiting(conn, "", users=9) == ["a", "b", "c"]
        pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        drive.rows("SELECT pg_terminate_backend(:pid)", pid=pid)
        conn.invalidate()
    assert drive.rows(PAIRS) == []
    assert learn(drive.runtime, at_most_s=60) == 3
    assert drive.value("SELECT users FROM item_pair WHERE item_id = '1' AND other_id = '2'") == 3

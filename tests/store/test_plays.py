"""Plays in the store: versions, drafts, and which activities were made from them."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.domain.activity import parse_activity
from tactics.domain.filling import fill
from tactics.domain.play import Play, parse_play
from tactics.errors import Conflict, NotFound
from tactics.runtime import Runtime
from tactics.store import activities, plays, versions
from tactics.store.versions import PLAY
from tests.making import from_play, play_document

NAME = "spend_and_save"


def play(**changes: Any) -> Play:
    """Give a play."""
    return parse_play(play_document(**changes))


def test_saved_and_found_play_says_the_same(runtime: Runtime) -> None:
    """What is found equals what was saved; the same again is no new version."""
    with runtime.engine.begin() as conn:
        saved = plays.save(conn, play())
        assert (saved.version, saved.change, saved.current) == (1, "new", 1)
        assert plays.find(conn, NAME) == play().model_copy(update={"version": 1})
        assert plays.save(conn, play()).change == "unchanged"
        assert plays.save(conn, play(title="Other")).version == 2
        assert [plays.find(conn, NAME, number).title for number in (1, 2)] == ["Spend and save", "Other"]
        with pytest.raises(NotFound, match="no version 3"):
            plays.find(conn, NAME, 3)
        with pytest.raises(NotFound, match="no play 'other'"):
            plays.find(conn, "other")


def test_nothing_is_made_from_a_draft(runtime: Runtime) -> None:
    """A draft can be looked at; activities get the current version, and none while there is none."""
    with runtime.engine.begin() as conn:
        assert plays.save(conn, play(), draft=True).current is None
        assert plays.find(conn, NAME).version == 1
        with pytest.raises(Conflict, match="version 1 of play 'spend_and_save' is a draft"):
            plays.usable(conn, NAME)
        assert plays.publish(conn, NAME).current == 1
        assert plays.publish(conn, NAME).change == "unchanged"
        plays.save(conn, play(title="Draft"), draft=True)
        assert plays.usable(conn, NAME).version == 1
        with pytest.raises(Conflict, match=r"version 2 .* is a draft"):
            plays.usable(conn, NAME, 2)
        assert plays.save(conn, play(title="At once")).notes
        with pytest.raises(Conflict, match="older than version 3"):
            plays.publish(conn, NAME, 2)


def test_rollback_of_a_play_is_a_new_version(runtime: Runtime) -> None:
    """What was current before is current again under a new number; once there is nothing before, it is refused."""
    with runtime.engine.begin() as conn:
        plays.save(conn, play())
        plays.save(conn, play(title="Worse"))
        assert plays.roll_back(conn, NAME).current == 3
        assert plays.find(conn, NAME).title == "Spend and save"
        assert [one.restores for one in versions.listing(conn, PLAY, NAME)] == [1, None, None]
        with pytest.raises(Conflict, match="no version before"):
            plays.roll_back(conn, NAME)
        assert plays.roll_back(conn, NAME, 1).change == "unchanged"
        plays.save(conn, play(title="Draft"), draft=True)
        with pytest.raises(Conflict, match="is a draft"):
            plays.roll_back(conn, NAME, 4)


def test_document_may_name_its_version(runtime: Runtime) -> None:
    """Numbers from elsewhere are kept: an older one beside the current, never another content under a known number."""
    with runtime.engine.begin() as conn:
        assert plays.save(conn, play(version=5, title="Five")).current == 5
        assert plays.save(conn, play(version=3, title="Three")).current == 5
        assert plays.save(conn, play(version=3, title="Three")).change == "unchanged"
        with pytest.raises(Conflict, match=r"version 5 .* says something else"):
            plays.save(conn, play(version=5, title="Other"))
        assert plays.usable(conn, NAME, 3).title == "Three"
        assert plays.save(conn, play(title="Next")).version == 6
        plays.save(conn, play(version=7, title="Seven"), draft=True)
        assert plays.save(conn, play(version=7, title="Seven")).current == 7


def test_activities_are_listed_with_the_version_they_are_from(runtime: Runtime) -> None:
    """Only what an activity's current version was made from counts."""
    with runtime.engine.begin() as conn:
        plays.save(conn, play())
        old = plays.find(conn, NAME)
        plays.save(conn, play(title="Newer"))
        for code, source in (("a", old), ("b", plays.find(conn, NAME))):
            activities.save(conn, parse_activity(fill(from_play(code=code), source)))
        by_hand = {**fill(from_play(code="c"), old)}
        del by_hand["play"]
        activities.save(conn, parse_activity(by_hand))
        plays.save(conn, parse_play(play_document(code="tool", channels=None)), draft=True)
        assert plays.made_from(conn, NAME) == [("a", 1, "draft"), ("b", 2, "draft")]
        listed = [(row.code, row.version, row.title, row.is_tool, row.activities) for row in plays.listing(conn)]
    assert listed == [(NAME, 2, "Newer", False, 2), ("tool", None, "Spend and save", True, 0)]

"""Activities imported from plays: filled, kept as they are, and moved to another version only when asked."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.errors import BadInput, Conflict
from tactics.flows import activity as activity_flow
from tactics.flows import play as play_flow
from tactics.flows import setup
from tactics.runtime import Runtime
from tactics.store import activities
from tests.driving import Drive
from tests.making import document, from_play, play_document


def _stored(runtime: Runtime, code: str = "camp18") -> dict[str, Any]:
    with runtime.engine.connect() as conn:
        return activities.definition(conn, code, activities.current(conn, code).version)


def _raised_threshold() -> dict[str, Any]:
    """Give the play with a form that asks for more."""
    form = play_document()["parameters"]
    threshold = {**form["properties"]["threshold_minor"], "minimum": 400}
    return play_document(parameters={**form, "properties": {**form["properties"], "threshold_minor": threshold}})


def test_play_fills_an_activity_that_grants(drive: Drive) -> None:
    """An operator's form becomes an activity that runs: who spends enough at the checkout gets the coupon."""
    play_flow.import_plays(drive.runtime, [play_document(channels={"grant": ["home_banner"]})])
    drive.load(from_play())
    order = {"currency": "USD", "lines": [{"item_id": "7", "price_minor": 499}]}
    assert drive.outcome("ann", order=order) == "not_matched"
    order["lines"][0]["price_minor"] = 500  # type: ignore[index]  # the line above
    assert drive.outcome("ann", order=order) == "granted"


def test_stored_activity_keeps_what_it_was_made_from(runtime: Runtime) -> None:
    """The bound rule is stored with the play's code, version and parameters; a new version of the play touches neither."""
    play_flow.import_plays(runtime, [play_document()])
    setup.import_activities(runtime, [from_play()], publish=True)
    before = _stored(runtime)
    assert before["play"] == {
        "code": "spend_and_save",
        "version": 1,
        "parameters": {"threshold_minor": 500, "benefit": "c18"},
    }
    assert before["rule"]["so"]["when"]["params"]["amount_at"] == 500
    play_flow.import_plays(runtime, [play_document(limits={"per_user": 1}, title="Stricter")])
    assert _stored(runtime) == before


def test_same_file_changes_nothing_after_the_play_changed(runtime: Runtime) -> None:
    """A file without `play_version` means the version that the activity has; a new activity gets the newest."""
    play_flow.import_plays(runtime, [play_document()])
    setup.import_activities(runtime, [from_play()])
    play_flow.import_plays(runtime, [play_document(limits={"per_user": 1})])
    (again,) = setup.import_activities(runtime, [from_play()])
    assert again.change == "unchanged"
    assert "version 2 by now" in again.notes[0]
    setup.import_activities(runtime, [from_play(code="new")])
    assert [_stored(runtime, code)["limits"]["per_user"] for code in ("camp18", "new")] == [3, 1]
    (moved,) = setup.import_activities(runtime, [from_play(play_version=2)])
    assert (moved.change, moved.notes) == ("updated", ())
    assert _stored(runtime)["limits"]["per_user"] == 1


def test_draft_stays_with_the_version_of_the_newest_draft(runtime: Runtime) -> None:
    """Whoever moves a draft to another version of the play and edits on, edits on with that version."""
    play_flow.import_plays(runtime, [play_document()])
    setup.import_activities(runtime, [from_play()], publish=True)
    play_flow.import_plays(runtime, [play_document(limits={"per_user": 1})])
    setup.import_activities(runtime, [from_play(play_version=2)], draft=True)
    (again,) = setup.import_activities(runtime, [from_play()], draft=True)
    assert (again.change, again.draft) == ("unchanged", True)
    assert _stored(runtime)["play"]["version"] == 1


def test_values_are_checked_by_the_version_that_is_used(runtime: Runtime) -> None:
    """A form that asks for more refuses what an earlier version took, at the parameter, with the document's name."""
    play_flow.import_plays(runtime, [play_document()])
    play_flow.import_plays(runtime, [_raised_threshold()])
    with pytest.raises(BadInput) as raised:
        setup.import_activities(runtime, [document(), from_play(parameters={"threshold_minor": 300})])
    assert [(one["where"], one["path"]) for one in raised.value.fields["problems"]] == [
        ("document 2", "/parameters/threshold_minor")
    ]
    setup.import_activities(runtime, [from_play(parameters={"threshold_minor": 300}, play_version=1)])


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"play": "other"}, "/play"),
        ({"play_version": 9}, "/play_version"),
        ({"play_version": 2}, "/play_version"),
        ({"play": ["x"]}, "/play"),
        ({"parameters": {"threshold_minor": 500, "benefit": ""}}, "/parameters/benefit"),
        ({"priority": "1"}, "/priority"),
    ],
)
def test_what_no_activity_can_be_made_from_is_refused(runtime: Runtime, changes: dict[str, Any], path: str) -> None:
    """No such play or version, a draft of one, and whatever an activity cannot have, at its place; nothing is stored."""
    play_flow.import_plays(runtime, [play_document()])
    play_flow.import_plays(runtime, [play_document(title="Draft")], draft=True)
    with pytest.raises(BadInput) as raised:
        setup.import_activities(runtime, [from_play(**changes)])
    assert [one["path"] for one in raised.value.fields["problems"]] == [path]
    with runtime.engine.connect() as conn:
        assert activities.listing(conn) == []


def test_parameters_without_a_play_are_refused(runtime: Runtime) -> None:
    """Parameters fill a play's form: alone they mean nothing."""
    with pytest.raises(BadInput) as raised:
        setup.import_activities(runtime, [document(parameters={})])
    assert [one["path"] for one in raised.value.fields["problems"]] == ["/parameters"]


def test_exported_activities_and_plays_say_nothing_new(runtime: Runtime) -> None:
    """What is exported imports as unchanged, also where a play went on since; every version in use is among the plays."""
    play_flow.import_plays(runtime, [play_document()])
    setup.import_activities(runtime, [from_play(limits={"per_user": 2}), document(code="by_hand")], publish=True)
    play_flow.import_plays(runtime, [play_document(title="Newer", limits={})])
    plays = play_flow.export_plays(runtime)
    assert [one["version"] for one in plays] == [1, 2]
    assert {one.change for one in play_flow.import_plays(runtime, plays)} == {"unchanged"}
    exported = activity_flow.export(runtime)
    assert [one["code"] for one in exported] == ["by_hand", "camp18"]
    assert exported[1]["limits"] == {"per_user": 2}
    assert {one.change for one in setup.import_activities(runtime, exported)} == {"unchanged"}


def test_plays_of_one_import_are_all_saved_or_none(runtime: Runtime) -> None:
    """One play that cannot be keeps the others out, and each is named by its place."""
    with pytest.raises(BadInput) as raised:
        play_flow.import_plays(
            runtime, [play_document(), play_document(code="b", rule={}), play_document(), {"code": "\x00"}, "text"]
        )
    assert {one["where"] for one in raised.value.fields["problems"]} == {"document 2", "document 3", "document 4"}
    assert play_flow.export_plays(runtime) == []
    play_flow.import_plays(runtime, [play_document(version=1), play_document(code="c")])
    with pytest.raises(Conflict):
        play_flow.import_plays(runtime, [play_document(code="d"), play_document(version=1, title="Other")])
    assert [one["code"] for one in play_flow.export_plays(runtime)] == ["c", "spend_and_save"]

"""Saving chains: checked whole, all or none, versioned, and never two for the same."""

from __future__ import annotations

from typing import Any

import pytest

from tactics.errors import BadInput, Conflict, NotFound
from tactics.flows.chain import disable_chain, enable_chain, import_chains
from tactics.processors.finish_execution import finish_execution
from tactics.store import activities, chains
from tactics.template import TacticsTemplate
from tests.driving import Drive, Maker
from tests.making import document
from tests.plays import step_of

PREPARE = ["query_item", "save_prepared", "record_event", "finish_execution"]
GRANT = ["check_rule", "query_asset", "send_benefit", "build_result", "finish_execution"]


def chain(**changes: Any) -> dict[str, Any]:
    """Give a chain that is right but for what is changed; None takes a key away."""
    base = {"chain": "quick", "template_type": "full_link_v3", "link": "grant", "channel_codes": ["home_banner"]}
    return {key: value for key, value in {**base, "steps": GRANT, **changes}.items() if value is not None}


def _revision(drive: Drive) -> int:
    with drive.runtime.engine.connect() as conn:
        return activities.revisions(conn).get("chains", 0)


def _versions(drive: Drive) -> list[tuple[Any, ...]]:
    return drive.rows("SELECT name, version, array_to_string(steps, ' ') FROM stored_chain_version ORDER BY id")


def test_each_change_is_a_version_and_a_revision(drive: Drive) -> None:
    """A new document and a changed one give versions that stay; the same again gives nothing to read again."""
    drive.load(document())
    (new,) = import_chains(drive.app, [chain()])
    assert (new.change, new.version, new.enabled, new.notes) == ("new", 1, True, ())
    assert _revision(drive) == 1
    assert import_chains(drive.app, [chain()])[0].change == "unchanged"
    assert _revision(drive) == 1
    changed = import_chains(drive.app, [chain(steps=["check_event", *GRANT])])[0]
    assert (changed.change, changed.version) == ("updated", 2)
    assert import_chains(drive.app, [chain(channel_codes=None)])[0].version == 3
    assert _revision(drive) == 3
    once, then = " ".join(GRANT), " ".join(["check_event", *GRANT])
    assert _versions(drive) == [("quick", 1, once), ("quick", 2, then), ("quick", 3, once)]


def test_all_of_an_import_is_saved_or_none_and_every_problem_is_listed(drive: Drive) -> None:
    """One wrong document keeps the others out; what is wrong is told for each, with document, path and step."""
    wrong = [
        chain(),
        chain(chain="a", steps=["send_benefit", "check_rule", "sned_benefit", "finish_execution"]),
        chain(chain="b", template_type="full_link_v2", link="prepare", steps=PREPARE),
        chain(chain="c", template_type="full_link_v9"),
        chain(chain="d", steps=[*GRANT[:-1]]),
        chain(),
        chain(chain="e", link="both"),
        chain(chain="f", steps=[]),
        "no chain",
    ]
    with pytest.raises(BadInput) as raised:
        import_chains(drive.app, wrong, where=lambda index: f"file {index}")
    found = [(one["where"], one["path"]) for one in raised.value.fields["problems"]]
    assert found == [
        ("file 1", "/steps/0"),
        ("file 1", "/steps/2"),
        ("file 2", "/steps/0"),
        ("file 3", "/template_type"),
        ("file 4", "/steps"),
        ("file 5", "/chain"),
        ("file 6", "/link"),
        ("file 7", "/steps"),
    ]
    for text in (
        "file 1: chain 'a':\n  /steps/0: step 'send_benefit' must come after 'check_rule'",
        "there is no step 'sned_benefit' here",
        "'query_item' needs ItemContext, which TacticsInstanceContext is not",
        "there is no template 'full_link_v9' here (is its plugin loaded?); there are full_link_v2, full_link_v3",
        "it is also in file 0",
        "file 8: a chain is a mapping",
    ):
        assert text in raised.value.message
    assert _versions(drive) == []
    assert _revision(drive) == 0


def test_two_enabled_chains_are_never_for_the_same(drive: Drive) -> None:
    """Whoever comes second is refused, naming both; other codes, links, templates and disabled chains do not collide."""
    import_chains(drive.app, [chain(channel_codes=["a", "b"]), chain(chain="rest", channel_codes=None)])
    with pytest.raises(Conflict, match=r"chains 'quick' and 'second' are both .* channel code 'b': disable one"):
        import_chains(drive.app, [chain(chain="second", channel_codes=["b", "c"])])
    with pytest.raises(Conflict, match=r"chains 'rest' and 'second' are both .* all channel codes"):
        import_chains(drive.app, [chain(chain="second", channel_codes=None)])
    assert {name for name, _, _ in _versions(drive)} == {"quick", "rest"}
    others = [
        chain(chain="c", channel_codes=["c"]),
        chain(chain="v2", template_type="full_link_v2", channel_codes=["a"]),
        chain(chain="prepare", link="prepare", channel_codes=["a"], steps=PREPARE),
    ]
    import_chains(drive.app, others)
    # Codes change hands within one import.
    import_chains(drive.app, [chain(channel_codes=["c"]), chain(chain="c", channel_codes=["a", "b"])])
    disable_chain(drive.runtime, "quick")
    import_chains(drive.app, [chain(chain="second", channel_codes=["c"])])
    with pytest.raises(Conflict, match="'quick' and 'second'"):
        enable_chain(drive.app, "quick")
    with drive.runtime.engine.connect() as conn:
        assert not chains.find(conn, "quick").enabled


def test_a_disabled_chain_stays_disabled_until_it_is_enabled(drive: Drive) -> None:
    """A new version of it is saved and does not run; switching twice changes nothing."""
    drive.load(document())
    import_chains(drive.app, [chain()])
    assert disable_chain(drive.runtime, "quick") is True
    assert disable_chain(drive.runtime, "quick") is False
    (saved,) = import_chains(drive.app, [chain(steps=["check_event", *GRANT])])
    assert (saved.version, saved.enabled, saved.notes) == (
        2,
        False,
        ("it is disabled: `tactics chain enable quick`",),
    )
    with drive.runtime.engine.connect() as conn:
        assert chains.enabled(conn) == []
    assert enable_chain(drive.app, "quick") is True
    assert enable_chain(drive.app, "quick") is False
    with pytest.raises(NotFound, match="there is no stored chain 'nobody'; `tactics chain list`"):
        enable_chain(drive.app, "nobody")
    with pytest.raises(NotFound, match="there is no stored chain 'nobody'"):
        disable_chain(drive.runtime, "nobody")


def test_a_chain_is_enabled_only_where_it_can_still_work(driven: Maker) -> None:
    """What was saved beside a plugin is not enabled by a process that lacks it."""
    plugin = TacticsTemplate(
        "plugin", finish_execution.needs, (finish_execution,), (step_of("do_it"), finish_execution)
    )
    knows, lacks = driven(templates=[plugin]), driven()
    import_chains(knows.app, [chain(steps=["do_it", "finish_execution"])])
    disable_chain(lacks.runtime, "quick")
    with pytest.raises(BadInput, match="there is no step 'do_it' here") as raised:
        enable_chain(lacks.app, "quick")
    assert raised.value.fields["problems"][0]["path"] == "/steps/0"
    assert enable_chain(knows.app, "quick") is True


def test_notes_tell_what_may_not_be_meant(drive: Drive) -> None:
    """A code that no activity has, and a preparation that saves nothing, are pointed out and saved."""
    drive.load(document())
    said = [
        chain(channel_codes=["home_banner", "hoem_banner"]),
        chain(chain="p", link="prepare", channel_codes=["bought"], steps=["query_item", "finish_execution"]),
    ]
    said.append(chain(chain="none", channel_codes=None, steps=["check_rule", "finish_execution"]))
    one, other, none = import_chains(drive.app, said)
    assert none.notes == ("without send_benefit it gives a benefit only if a plugin's step does",)
    assert one.notes == ("no activity is bound to channel code 'hoem_banner' on this link",)
    assert other.notes == ("no step of it saves prepared data: placements do not find users prepared by it",)

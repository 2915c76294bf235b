"""Stored chains as rows."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tactics.domain.chain import ChainDocument, parse_chain
from tactics.errors import NotFound
from tactics.runtime import Runtime
from tactics.store import activities, chains


def _chain(name: str = "quick", **changes: Any) -> ChainDocument:
    base = {"chain": name, "template_type": "t", "link": "grant", "steps": ["do_it", "finish_execution"]}
    return parse_chain({**base, **changes})


def test_versions_stay_and_one_is_current(runtime: Runtime) -> None:
    """An earlier version is found by number and by id, as it was saved, whatever came after it."""
    first, second = _chain(channel_codes=["a"]), _chain(steps=["finish_execution"])
    with runtime.engine.begin() as conn:
        assert chains.save(conn, first) == (1, "new")
        assert chains.save(conn, second) == (2, "updated")
        assert chains.save(conn, second) == (2, "unchanged")
        assert chains.save(conn, first) == (3, "updated")
    with runtime.engine.connect() as conn:
        found = [chains.find(conn, "quick", version) for version in (1, 2, 3)]
        assert [one.document for one in found] == [first, second, first]
        assert {one.current_version for one in found} == {3}
        assert [chains.by_id(conn, one.id) for one in found] == found
        assert chains.find(conn, "quick") == found[2]
        assert chains.listing(conn) == chains.enabled(conn) == [found[2]]
        assert chains.UNDECIDED not in {one.id for one in found}
        assert chains.by_id(conn, chains.UNDECIDED) is None
        with pytest.raises(NotFound, match="there is no version 4 of chain 'quick'"):
            chains.find(conn, "quick", 4)
        with pytest.raises(NotFound, match="there is no stored chain 'slow'"):
            chains.find(conn, "slow")


def test_what_changes_nothing_gives_nothing_to_read_again(runtime: Runtime) -> None:
    """The revision moves with a version or a switch, and with nothing else."""
    seen = []
    with runtime.engine.begin() as conn:
        for act in (
            lambda: chains.save(conn, _chain()),
            lambda: chains.save(conn, _chain()),
            lambda: chains.set_enabled(conn, "quick", yes=True),
            lambda: chains.set_enabled(conn, "quick", yes=False),
            lambda: chains.set_enabled(conn, "quick", yes=False),
            lambda: chains.save(conn, _chain(channel_codes=["a"])),
        ):
            act()
            seen.append(activities.revisions(conn)["chains"])
        assert chains.enabled(conn) == []
    assert seen == [1, 1, 1, 2, 2, 3]


def test_a_version_in_use_cannot_be_deleted_with_its_name(runtime: Runtime) -> None:
    """The database keeps a chain's name while it has versions."""
    with runtime.engine.begin() as conn:
        chains.save(conn, _chain())
    with pytest.raises(IntegrityError), runtime.engine.begin() as conn:
        conn.execute(text("DELETE FROM stored_chain"))


def test_claimed_twice_compares_template_link_and_code(runtime: Runtime) -> None:
    """Two chains for the same code, or both for all codes, are found; for all codes and for one are not the same."""
    with runtime.engine.begin() as conn:
        chains.save(conn, _chain("all"))
        chains.save(conn, _chain("one", channel_codes=["a", "b"]))
        chains.save(conn, _chain("elsewhere", template_type="u"))
        chains.save(conn, _chain("before", link="prepare", channel_codes=["a"]))
        assert chains.claimed_twice(chains.listing(conn)) == []
        chains.save(conn, _chain("two", channel_codes=["b", "c"]))
        chains.save(conn, _chain("too", link="prepare"))
        chains.save(conn, _chain("three", link="prepare"))
        found = [(one.name, other.name, codes) for one, other, codes in chains.claimed_twice(chains.listing(conn))]
    assert sorted(found) == [("one", "two", ["b"]), ("three", "too", [None])]

"""Which chain an execution runs: stored for the code, in Python for the code, stored for all, the template's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from tactics.choosing import StoredChains, choose_id
from tactics.domain.activity import Link
from tactics.domain.chain import ChainDocument, parse_chain
from tactics.domain.context import TacticsInstanceContext
from tactics.processor import Processor
from tactics.processors.finish_execution import finish_execution
from tactics.processors.load_prepared import load_prepared
from tactics.processors.record_event import record_event
from tactics.processors.save_prepared import save_prepared
from tactics.store import chains
from tactics.store.chains import UNDECIDED, StoredChain
from tactics.template import TacticsTemplate
from tests.driving import Drive, Maker, satisfied
from tests.making import document
from tests.plays import step_of

CODES = ("home_banner", "special", "other")
SLOW = "slow"


def _saw(name: str, **options: Any) -> Processor[Any]:
    return step_of(name, lambda ctx, _run: ctx.notes.append(name), **options)


do_own, do_override, do_stored, do_other = (_saw(f"do_{name}") for name in ("own", "override", "stored", "other"))
do_far = _saw("do_far", queue=SLOW)

PREPARING = (save_prepared, record_event, finish_execution)
template = TacticsTemplate(
    "t",
    TacticsInstanceContext,
    prepare=(do_own, *PREPARING),
    grant=(do_own, finish_execution),
    overrides={("grant", frozenset({"special"})): (do_override, finish_execution)},
)
# A plugin's processors, known wherever it is loaded.
plugin = TacticsTemplate(
    "plugin",
    TacticsInstanceContext,
    prepare=(finish_execution,),
    grant=(load_prepared, do_stored, do_other, do_far, finish_execution),
)


def _drive(driven: Maker, *, templates: tuple[TacticsTemplate, ...] = (template, plugin)) -> Drive:
    drive = driven(templates=templates, queues=(SLOW,))
    drive.load(document(template_type="t", channels={"prepare": ["bought"], "grant": list(CODES)}))
    return drive


def _save(drive: Drive, *steps: str, name: str = "mine", link: Link = "grant", codes: list[str] | None = None) -> None:
    said: dict[str, Any] = {"chain": name, "template_type": "t", "link": link, "steps": [*steps, "finish_execution"]}
    with drive.runtime.engine.begin() as conn:
        chains.save(conn, parse_chain({**said, **({"channel_codes": codes} if codes else {})}))


def _switch(drive: Drive, *, on: bool, name: str = "mine") -> None:
    with drive.runtime.engine.begin() as conn:
        chains.set_enabled(conn, name, yes=on)


def _ran(drive: Drive, link: Link = "grant") -> list[str]:
    """Give the steps of the newest execution that leave a note."""
    trace = drive.value("SELECT trace FROM execution WHERE link = :link ORDER BY created_at DESC LIMIT 1", link=link)
    return [one["step"] for one in trace if one["step"].startswith("do_")]


def _visited(drive: Drive, channel: str = "home_banner") -> list[str]:
    drive.visit("1", channel)
    return _ran(drive)


def _stored(number: int, codes: list[str] | None) -> StoredChain:
    said = ChainDocument(
        chain=f"c{number}",
        template_type="t",
        link="grant",
        channel_codes=None if codes is None else tuple(codes),
        steps=("finish_execution",),
    )
    return StoredChain(number, 1, said, datetime.now(UTC), 1, enabled=True)


@given(
    named=st.dictionaries(st.sampled_from(CODES), st.integers(1, 3)),
    for_all=st.booleans(),
    overridden=st.sets(st.sampled_from(CODES), min_size=1),
    code=st.sampled_from([*CODES, "nobody_names_it"]),
    link=st.sampled_from(["grant", "prepare"]),
)
def test_the_more_specific_chain_comes_first_and_a_stored_one_before_one_in_code(
    named: dict[str, int], for_all: bool, overridden: set[str], code: str, link: Link
) -> None:
    """Stored for the code, then in Python for the code, then stored for all codes, then the template's own."""
    one = TacticsTemplate(
        "t",
        TacticsInstanceContext,
        prepare=(finish_execution,),
        grant=(do_own, finish_execution),
        overrides={("grant", frozenset(overridden)): (do_override, finish_execution)},
    )
    by_key = {("t", "grant", key): _stored(number, [key]) for key, number in named.items()}
    everything = {("t", "grant", None): _stored(9, None)} if for_all else {}
    found = choose_id(StoredChains(1, {**by_key, **everything}), one, link, code)  # type: ignore[dict-item]
    if link == "prepare":
        assert found is None
    elif code in named:
        assert found == named[code]
    elif code in overridden or not for_all:
        assert found is None
    else:
        assert found == 9


def test_a_placement_runs_what_was_saved_last_wherever_it_is_answered(driven: Maker) -> None:
    """Another process's change counts from the next placement on, on the codes that it is for; none needs a restart."""
    one, other = _drive(driven), _drive(driven)
    assert [_visited(other, code) for code in CODES] == [["do_own"], ["do_override"], ["do_own"]]
    _save(one, "do_stored")
    assert [_visited(other, code) for code in CODES] == [["do_stored"], ["do_override"], ["do_stored"]]
    _save(one, "do_other", name="special", codes=["special", "other"])
    assert [_visited(other, code) for code in CODES] == [["do_stored"], ["do_other"], ["do_other"]]
    _save(one, "do_other", "do_stored")
    assert _visited(other) == ["do_other", "do_stored"]
    _switch(one, on=False)
    _switch(one, on=False, name="special")
    assert [_visited(other, code) for code in CODES] == [["do_own"], ["do_override"], ["do_own"]]
    _switch(one, on=True)
    assert _visited(other) == ["do_other", "do_stored"]


def test_a_behaviour_runs_the_chain_of_the_moment_it_was_routed(driven: Maker) -> None:
    """An execution names the version that it runs; later ones run later versions."""
    drive = _drive(driven)
    drive.happen(satisfied("1"))
    assert _ran(drive, "prepare") == ["do_own"]
    for step in ("do_stored", "do_other"):
        _save(drive, step, "save_prepared", link="prepare", codes=["bought"])
        drive.happen(satisfied("1"))
        assert _ran(drive, "prepare") == [step]
    ids = [row[0] for row in drive.rows("SELECT id FROM stored_chain_version ORDER BY version")]
    assert drive.rows("SELECT chain_id FROM execution ORDER BY created_at") == [(None,), (ids[0],), (ids[1],)]


def test_an_execution_keeps_the_version_it_began_with(driven: Maker) -> None:
    """A chain that is edited or disabled while an execution waits elsewhere changes later executions only."""
    edits: tuple[Callable[[Drive], None], ...] = (
        lambda drive: _save(drive, "save_prepared", "do_other", link="prepare"),
        lambda drive: _switch(drive, on=False),
    )
    for number, edit in enumerate(edits):
        drive = _drive(driven)
        _save(drive, "save_prepared", "do_far", "do_stored", link="prepare")
        _switch(drive, on=True)
        drive.happen(satisfied(str(number)))
        assert _ran(drive, "prepare") == []
        edit(drive)
        other = _drive(driven)  # a process that has never seen the version before
        other.work()
        assert _ran(other, "prepare") == ["do_far", "do_stored"]
        assert other.value("SELECT outcome FROM execution ORDER BY created_at DESC LIMIT 1") == "prepared"


def test_an_execution_that_failed_before_its_first_step_ended_keeps_its_version_too(driven: Maker) -> None:
    """What the sweeper publishes again is the chain of the execution, not the one of the moment."""
    drive = _drive(driven)
    _save(drive, "save_prepared", "do_stored", link="prepare")
    _, refs = drive.accept(satisfied("1"))
    drive.app.settings = drive.app.settings.model_copy(update={"in_place": False})
    drive.route(*refs)
    drive.forget()  # and with it the message
    _save(drive, "save_prepared", "do_other", link="prepare")
    drive.settle()
    assert _ran(drive, "prepare") == ["do_stored"]


def test_a_step_that_is_not_known_here_leaves_the_execution_to_a_process_that_knows_it(driven: Maker) -> None:
    """Where a plugin is missing a placement answers error and a preparation waits; others go on."""
    knows, lacks = _drive(driven), _drive(driven, templates=(template,))
    _save(knows, "do_stored")
    _save(knows, "do_stored", "save_prepared", name="preparing", link="prepare")
    assert lacks.outcome("1") == "error"
    assert knows.visit("1").complete
    lacks.happen(satisfied("2"))
    assert lacks.rows("SELECT finished_at FROM execution WHERE link = 'prepare'") == [(None,)]
    lacks.sweep()
    lacks.work()
    (reason,) = lacks.rows("SELECT reason FROM execution WHERE link = 'prepare'")[0]
    assert "there is no step 'do_stored' here: is its plugin loaded?" in reason
    knows.settle()
    assert _ran(knows, "prepare") == ["do_stored"]


def test_whoever_knows_the_template_chooses_where_the_router_did_not(driven: Maker) -> None:
    """A process without the template cannot see its overrides: it leaves the choice, and the sweeper's process makes it."""
    knows, lacks = _drive(driven), _drive(driven, templates=(plugin,))
    _save(knows, "save_prepared", "do_stored", link="prepare")
    lacks.happen(satisfied("1"))
    assert lacks.rows("SELECT chain_id FROM execution") == [(UNDECIDED,)]
    lacks.sweep()
    assert "is its plugin loaded here?" in lacks.value("SELECT reason FROM execution")
    _switch(knows, on=False)
    knows.settle()
    assert _ran(knows, "prepare") == ["do_own"]
    assert knows.rows("SELECT chain_id, outcome FROM execution") == [(None, "prepared")]


def test_prepared_data_is_rebuilt_by_the_chain_that_prepares_the_code_now(driven: Maker) -> None:
    """What Redis lost is prepared again by the steps of the stored chain, up to the one that saves."""
    drive = _drive(driven)
    _save(drive, "load_prepared")
    drive.happen(satisfied("1"))
    _save(drive, "do_stored", "save_prepared", "do_other", name="preparing", link="prepare", codes=["bought"])
    drive.forget()
    drive.visit("1")
    trace = drive.value("SELECT trace FROM execution WHERE link = 'grant'")
    inner = [one["step"] for one in trace if ">" in one["step"]]
    assert inner == ["load_prepared > do_stored", "load_prepared > save_prepared"]


def test_choosing_costs_nothing_while_no_chain_changes(driven: Maker) -> None:
    """Stored chains are read once a revision, whatever is visited or routed in between."""
    drive = _drive(driven)
    _save(drive, "do_stored")
    reads: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if "stored_chain" in statement:
            reads.append(statement)

    event.listen(drive.runtime.engine, "before_cursor_execute", note)
    for number in range(3):
        drive.visit(str(number))
        drive.happen(satisfied(str(number)))
    assert len(reads) == 1

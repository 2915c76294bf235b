"""Journeys of grants that an outside benefit system gives: called, asked by id, refused, and settled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tactics.flows.sweep import sweep
from tests.chaos.journeys.book import Manner
from tests.chaos.journeys.journey import STOCK, Act, Journey, Scene, answered
from tests.making import document

# Each has an activity and a slot of its name: one that can be asked by id, one that cannot, one that is called once.
ASKED, DEAF, ONCE = "asked", "deaf", "once"

_PROVIDERS = """
INSERT INTO provider (name, url, look_up_url, signing_secrets, idempotent, remembers_s, timeout_ms, max_concurrency)
VALUES ('asked', 'https://a.example', 'https://a.example/{idempotency_id}', '{}', true, 86400, 5000, 8),
       ('deaf', 'https://d.example', NULL, '{}', true, 86400, 5000, 8),
       ('once', 'https://o.example', NULL, '{}', false, 86400, 5000, 8)
"""


def set_up(scene: Scene) -> None:
    """Make the benefit systems known."""
    scene.drive.run(_PROVIDERS)


def outside_activities() -> list[dict[str, Any]]:
    """Give an activity for each benefit system; its per-day limit and budget are far away, but counted."""
    return [
        document(
            code=name,
            channels={"prepare": [], "grant": [name]},
            benefits={"c18": {"kind": "coupon", "value_minor": 500, "stock": STOCK, "provider": name}},
            limits={"per_day": STOCK, "budget_minor": STOCK * 500},
        )
        for name in (ASKED, DEAF, ONCE)
    ]


def _with(manner: Manner) -> Act:
    def arrange(scene: Scene, _: str) -> None:
        scene.book.manner = manner

    return arrange


def _visit(slot: str) -> Act:
    def visit(scene: Scene, user_id: str) -> None:
        scene.visit(user_id, channel=slot)
        scene.drive.work()
        scene.make_due()
        sweep(scene.drive.app)
        scene.drive.work()

    return visit


def _given_once(slot: str) -> Any:
    def expect(scene: Scene, user_id: str) -> Iterable[str]:
        if (given := scene.book.given(user_id)) != 1:
            yield f"the benefit system gave {given} times"
        yield from answered(scene, user_id, activity=slot, channel=slot)

    return expect


def _refused(scene: Scene, user_id: str) -> Iterable[str]:
    states = {state for _, state, *_ in scene.grants(user_id)}
    if states != {"refused"}:
        yield f"grants are {states}"
    if scene.book.given(user_id):
        yield "the benefit system gave"
    held = scene.drive.rows("SELECT used FROM limit_counter WHERE activity_code = :code AND used <> 0", code=ASKED)
    if held:
        yield f"counters still hold {held}"


def _given_or_parked(scene: Scene, user_id: str) -> Iterable[str]:
    """Hold that a system that gives anew with each call was called at most once, and that people hear of what is not clear."""
    given, ((_, state, _, assets, _),) = scene.book.given(user_id), scene.grants(user_id)
    if given > 1:
        yield f"the benefit system gave {given} times"
    if (state, given, assets) not in {("granted", 1, 1), ("parked", 1, 0), ("parked", 0, 0)}:
        yield f"the grant is {state} with {assets} assets; given {given} times"


OUTSIDE: Sequence[Journey] = (
    Journey("outside call", _with("gives"), _visit(DEAF), _visit(DEAF), _given_once(DEAF)),
    Journey("outside call, repeated", _with("gives and says nothing"), _visit(DEAF), _visit(DEAF), _given_once(DEAF)),
    Journey("outside look-up", _with("gives and says nothing"), _visit(ASKED), _visit(ASKED), _given_once(ASKED)),
    Journey("outside pending", _with("gives later"), _visit(ASKED), _visit(ASKED), _given_once(ASKED)),
    Journey("outside lost call", _with("loses the first call"), _visit(ASKED), _visit(ASKED), _given_once(ASKED)),
    Journey("outside refusal", _with("refuses"), _visit(ASKED), _visit(ASKED), _refused),
    Journey("outside called once", _with("gives"), _visit(ONCE), _visit(ONCE), _given_or_parked),
)

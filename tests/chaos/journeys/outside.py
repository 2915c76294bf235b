"""Journeys of grants that an outside benefit system gives: called, asked by id, refused, and settled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from tactics import settling
from tactics.flows.grant_retry import retry_grant
from tactics.flows.settle import QUEUE
from tactics.flows.sweep import sweep
from tests.chaos.journeys.book import Manner
from tests.chaos.journeys.journey import STOCK, Act, Journey, Scene, answered, nothing
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


def _reserved(slot: str, manner: Manner) -> Act:
    """Leave a grant that is reserved; the message that it is to be settled is there."""

    def arrange(scene: Scene, user_id: str) -> None:
        scene.book.manner = manner
        assert [part["outcome"] for part in scene.visit(user_id, channel=slot).results] == ["pending"]

    return arrange


def _visit(slot: str) -> Act:
    def visit(scene: Scene, user_id: str) -> None:
        scene.visit(user_id, channel=slot)
        scene.work()

    return visit


def _settle(scene: Scene, _: str) -> None:
    """Ask, and once more when it is due again."""
    scene.work()
    scene.make_due()
    sweep(scene.drive.app)
    scene.work()


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


def _given_or_parked(scene: Scene, user_id: str) -> Iterable[str]:
    """Hold that a system that gives anew with each call was called at most once, and that people hear of what is not clear."""
    given, ((_, state, _, assets, _),) = scene.book.given(user_id), scene.grants(user_id)
    if given > 1:
        yield f"the benefit system gave {given} times"
    if (state, given, assets) not in {("granted", 1, 1), ("parked", 1, 0), ("parked", 0, 0)}:
        yield f"the grant is {state} with {assets} assets; given {given} times"


def _grant_of(scene: Scene, user_id: str) -> UUID:
    found: UUID = scene.drive.value(
        "SELECT id FROM grant_record WHERE user_id = :user ORDER BY created_at LIMIT 1", user=user_id
    )
    return found


def _park(scene: Scene, user_id: str) -> None:
    """Leave a reserved grant that was given to people before anybody called; its message is gone."""
    _reserved(ASKED, "gives")(scene, user_id)
    scene.drive.runtime.redis.delete(QUEUE)
    with scene.drive.runtime.engine.begin() as conn:
        held = settling.locked(conn, _grant_of(scene, user_id))
        assert held is not None
        settling.park(conn, held, "as the test wants it")


def _be_refused(scene: Scene, user_id: str) -> None:
    """Leave a grant that the benefit system refused, and would give by now."""
    _reserved(ASKED, "refuses")(scene, user_id)
    scene.work()
    scene.book.manner = "gives"


def _retry(scene: Scene, user_id: str) -> None:
    retry_grant(scene.drive.app, _grant_of(scene, user_id), reason="as the test wants it")
    scene.work()


def _granted_anew(scene: Scene, user_id: str) -> Iterable[str]:
    """Hold that the refused grant stays, and one new grant is there, however often it was asked for."""
    states = sorted(state for _, state, *_ in scene.grants(user_id))
    if states != ["granted", "refused"] or scene.book.given(user_id) != 1:
        yield f"grants are {states}; the benefit system gave {scene.book.given(user_id)} times"
    later = [part["outcome"] for part in scene.visit(user_id, channel=ASKED, key=None).results]
    if later != ["reused"]:
        yield f"the next visit is answered {later}"


OUTSIDE: Sequence[Journey] = (
    Journey("outside grant", _with("gives"), _visit(ASKED), _visit(ASKED), _given_once(ASKED)),
    Journey("repeated call", _reserved(DEAF, "gives and says nothing"), _settle, nothing, _given_once(DEAF)),
    Journey("look-up", _reserved(ASKED, "gives and says nothing"), _settle, nothing, _given_once(ASKED)),
    Journey("provider's pending", _reserved(ASKED, "gives later"), _settle, nothing, _given_once(ASKED)),
    Journey("lost call", _reserved(ASKED, "loses the first call"), _settle, nothing, _given_once(ASKED)),
    Journey("refusal", _reserved(ASKED, "refuses"), _settle, nothing, _refused),
    Journey("called once", _reserved(ONCE, "gives"), _settle, nothing, _given_or_parked),
    Journey("retry of a parked grant", _park, _retry, _retry, _given_once(ASKED)),
    Journey("retry of a refused grant", _be_refused, _retry, _retry, _granted_anew),
)

"""Journeys that need nobody else: events, placements, assets, sweeping, retries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from tactics.flows.retry import list_parked, retry_parked
from tactics.flows.sweep import sweep
from tactics.store.prepared import prepared_key
from tests.chaos.journeys.journey import STOCK, Act, Journey, Scene, answered, nothing, one_grant
from tests.driving import Working, acted, became, needs_vip, satisfied
from tests.making import bought, document

MAIN, BEST = "camp18", ("best_a", "best_b", "best_c")
BEST_SLOT = "checkout"

_ENDED = "SELECT link, outcome FROM execution WHERE user_id = :user ORDER BY link, created_at"


def activities() -> list[dict[str, Any]]:
    """Give the activities that all journeys share: one to prepare for, and three of which only the last one grants."""
    coupon = {"kind": "coupon", "value_minor": 500}
    best = {"channels": {"prepare": [], "grant": [BEST_SLOT]}}
    return [
        document(benefits={"c18": {**coupon, "stock": STOCK}}, behaviour_rules={"bought": bought(1)}),
        document(code=BEST[0], priority=3, rule=needs_vip(), **best),
        document(code=BEST[1], priority=2, benefits={"c18": {**coupon, "stock": 0}}, **best),
        document(code=BEST[2], priority=1, benefits={"c18": {**coupon, "stock": STOCK}}, **best),
    ]


def _work(scene: Scene, _: str) -> None:
    scene.work()


def _prepared(scene: Scene, user_id: str) -> None:
    scene.prepare(user_id)


def _granted(scene: Scene, user_id: str) -> None:
    scene.prepare(user_id)
    answer = scene.visit(user_id)
    assert [part["outcome"] for part in answer.results] == ["granted"]


def prepared_once(scene: Scene, user_id: str) -> Iterable[str]:
    """Hold that the user was prepared by one execution, and gets the one grant on his first visit, none on the next."""
    ended = scene.drive.rows(_ENDED, user=user_id)
    if ended != [("prepare", "prepared")]:
        yield f"executions ended {ended}"
    shown = [scene.drive.outcome(user_id) for _ in range(2)]
    if shown != ["granted", "reused"]:
        yield f"visits were answered {shown}"
    yield from one_grant(scene, user_id, activity=MAIN)


def _action(scene: Scene, user_id: str) -> None:
    scene.submit(acted(user_id, id=f"{user_id}-acted"))
    scene.work()


def _behaviour(scene: Scene, user_id: str) -> None:
    scene.submit(satisfied(user_id, id=f"{user_id}-satisfied"))
    scene.work()


def _behaviour_by_steps(scene: Scene, user_id: str) -> None:
    scene.step_by_step()
    _behaviour(scene, user_id)


def _ingest(scene: Scene, user_id: str) -> None:
    scene.drive.app.tasks["tactics.ingest_event"].delay(satisfied(user_id, id=f"{user_id}-ingested"))


def _visit(scene: Scene, user_id: str) -> None:
    scene.visit(user_id)


def _lose_prepared_data(scene: Scene, user_id: str) -> None:
    scene.prepare(user_id)
    assert scene.drive.runtime.redis.delete(prepared_key(MAIN, user_id))


def _visit_by_steps(scene: Scene, user_id: str) -> None:
    scene.step_by_step()
    with Working(scene.drive):
        scene.visit(user_id)


def _visit_best_only(scene: Scene, user_id: str) -> None:
    scene.visit(user_id, channel=BEST_SLOT, best_only=True)


def _best_once(scene: Scene, user_id: str) -> Iterable[str]:
    return answered(scene, user_id, activity=BEST[-1], channel=BEST_SLOT, best_only=True)


def _change_asset(status: str) -> Act:
    def change(scene: Scene, user_id: str) -> None:
        asset_id = scene.drive.value("SELECT id FROM asset WHERE user_id = :user", user=user_id)
        scene.submit(became(str(asset_id), status, id=f"{user_id}-{status}"))
        scene.work()

    return change


def _spent(scene: Scene, user_id: str) -> Iterable[str]:
    return one_grant(scene, user_id, activity=MAIN, status="redeemed")


def _lose_event(scene: Scene, user_id: str) -> None:
    """Leave an event that nobody heard of."""
    scene.drive.accept(satisfied(user_id, id=f"{user_id}-unheard"))
    scene.make_due()


def _lose_step(scene: Scene, user_id: str) -> None:
    """Leave an execution in the middle, whose next message is gone."""
    settings = scene.drive.app.settings
    scene.step_by_step()
    scene.drive.happen(satisfied(user_id, id=f"{user_id}-unheard"))
    scene.drive._work_one()
    scene.drive.app.settings = settings
    assert scene.drive.runtime.redis.delete("prepare")
    scene.make_due()


def _sweep(scene: Scene, _: str) -> None:
    sweep(scene.drive.app)
    scene.work()


def _visit_unsure(scene: Scene, user_id: str) -> None:
    """Leave an answer that was given while nobody knew the user's assets: it is to be looked at again."""
    scene.prepare(user_id)
    scene.drive.assets.failing = True
    scene.visit(user_id)
    scene.drive.assets.failing = False


def _reconcile(scene: Scene, _: str) -> None:
    sweep(scene.drive.app)


def _reconciled(scene: Scene, user_id: str) -> Iterable[str]:
    left = scene.drive.value(
        "SELECT count(*) FROM execution WHERE user_id = :user AND assets_unknown AND reconciled_at IS NULL",
        user=user_id,
    )
    if left:
        yield f"{left} answers were not looked at again"
    yield from one_grant(scene, user_id, activity=MAIN)


def _park(scene: Scene, user_id: str) -> None:
    """Leave a parked execution and a parked event."""
    scene.drive.accept(satisfied(user_id, id=f"{user_id}-parked"))
    scene.drive.run(
        "UPDATE event SET parked_reason = 'it was away', outcome = 'parked', next_attempt_at = NULL, attempts = 25"
        " WHERE id = :id",
        id=f"{user_id}-parked",
    )


def _retry_parked(scene: Scene, _: str) -> None:
    ids = [one["id"] for one in list_parked(scene.drive.app, 10)]
    retry_parked(scene.drive.app, ids)
    scene.work()


_answered = partial(answered, activity=MAIN)

EVENTS: Sequence[Journey] = (
    Journey("action", nothing, _action, _action, prepared_once),
    Journey("behaviour", nothing, _behaviour, _behaviour, prepared_once),
    Journey("behaviour, step by step", nothing, _behaviour_by_steps, _behaviour, prepared_once),
    Journey("ingest", _ingest, _work, nothing, prepared_once),
    Journey("asset", _granted, _change_asset("redeemed"), _change_asset("redeemed"), _spent),
)
PLACEMENTS: Sequence[Journey] = (
    Journey("placement", _prepared, _visit, nothing, _answered),
    Journey("placement that rebuilds", _lose_prepared_data, _visit, nothing, _answered),
    Journey("placement, step by step", _prepared, _visit_by_steps, nothing, _answered),
    Journey("placement of the best", nothing, _visit_best_only, nothing, _best_once),
)
WAITING: Sequence[Journey] = (
    Journey("sweep of events", _lose_event, _sweep, nothing, prepared_once),
    Journey("sweep of executions", _lose_step, _sweep, nothing, prepared_once),
    Journey("reconcile", _visit_unsure, _reconcile, nothing, _reconciled),
    Journey("parked retry", _park, _retry_parked, _retry_parked, prepared_once),
)

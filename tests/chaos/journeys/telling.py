"""The journey of a notice to a webhook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tactics.flows.sweep import sweep
from tests.chaos.journeys.journey import Journey, Scene, nothing, one_grant
from tests.chaos.journeys.local import MAIN

_ENDPOINT = """
INSERT INTO webhook_endpoint (id, url, topics, signing_secrets)
VALUES ('shop', 'https://shop.example/told', '{tactics.granted}', '{whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3}')
ON CONFLICT DO NOTHING
"""
_UNTOLD = "SELECT outbox_id FROM webhook_delivery WHERE delivered_at IS NULL"


def _grant(scene: Scene, user_id: str) -> None:
    scene.drive.run(_ENDPOINT)
    scene.prepare(user_id)
    scene.visit(user_id)


def _tell(scene: Scene, _: str) -> None:
    sweep(scene.drive.app)
    scene.work()


def _told(scene: Scene, user_id: str) -> Iterable[str]:
    """Hold that the receiver was told of the grant under one id, at least once, and that we know it."""
    ids = {line["id"] for line in scene.listener.heard() if f'"{user_id}"' in line["body"]}
    if len(ids) != 1:
        yield f"the grant was told under {len(ids)} ids"
    if untold := scene.drive.rows(_UNTOLD):
        yield f"deliveries are not done: {untold}"
    yield from one_grant(scene, user_id, activity=MAIN)


TELLING: Sequence[Journey] = (Journey("webhook", _grant, _tell, nothing, _told),)

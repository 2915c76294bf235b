"""Pressing retry in Flower: `async-apply` of the task that retries a grant, however often."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import Engine, text

from tactics.celery_app import TacticsApp
from tactics.domain.provider import Provider
from tactics.flows import setup
from tactics.flows.grant_abandon import abandon_grant
from tactics.flows.grant_retry import RETRY_TASK
from tactics.flows.placement import PlacementRequest, visit
from tactics.store import providers
from tests.http.giving import running
from tests.running import Up

GRANTS = text(
    "SELECT id, state FROM grant_record WHERE activity_code = 'tea' AND user_id = 'anew' ORDER BY will_send_count"
)


def _grants(engine: Engine) -> list[tuple[UUID, str]]:
    with engine.connect() as conn:
        return [(row.id, row.state) for row in conn.execute(GRANTS)]


def test_a_refused_grant_is_granted_anew_once(up: Up, app: TacticsApp, engine: Engine) -> None:
    """Applied three times and once for a grant that is not there, the task makes one new grant, and its argument is an id."""
    with engine.begin() as conn:
        providers.save(
            conn, Provider("nowhere", "https://nowhere.example/")
        )  # which no setting allows: nothing is sent
    coupon = {"kind": "coupon", "value_minor": 500, "stock": 9, "provider": "nowhere"}
    setup.import_activities(app.runtime, [running(benefits={"c18": coupon})], publish=True)
    visit(app, PlacementRequest("anew", "tea"))
    ((grant_id, state),) = _grants(engine)
    assert state == "pending"
    up.until(lambda: abandon_grant(app.runtime, grant_id, reason="test").done, "nobody asks, so it is abandoned")
    path = f"/api/task/async-apply/{RETRY_TASK}"
    for one in (grant_id, uuid4(), grant_id, grant_id):
        assert up.ask_flower(path, method="POST", body={"args": [str(one)]}).status == 200
    up.until(lambda: len(_grants(engine)) == 2, "it is granted anew")
    assert [state for _, state in _grants(engine)] == ["refused", "pending"]
    with engine.connect() as conn:
        retried = text("SELECT count(*) FROM execution WHERE event_source = 'tactics.retry' AND user_id = 'anew'")
        assert conn.execute(retried).scalar_one() == 1
        reasons = text("SELECT after ->> 'reason' FROM audit_log WHERE kind = 'grant' AND action = 'retried'")
        assert list(conn.execute(reasons).scalars()) == [f"by task {RETRY_TASK}"]

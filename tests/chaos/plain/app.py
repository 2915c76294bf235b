"""The plain chain: prepare → check → grant, on Celery, Redis, SQLAlchemy and Postgres."""

from __future__ import annotations

import os
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx
from celery import Celery, chain
from sqlalchemy import (
    Column,
    Engine,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

DATABASE, BROKER, PROVIDER = "PLAIN_DATABASE_URL", "PLAIN_BROKER_URL", "PLAIN_PROVIDER_URL"
VISIBILITY, TIME_LIMIT = "PLAIN_VISIBILITY_TIMEOUT_S", "PLAIN_TIME_LIMIT_S"
PROVIDER_TIMEOUT_S = 0.5
ACTIVITIES = {"home": ["stocked"], "cart": ["unlocked"], "popup": ["better", "lesser"], "wallet": ["outside"]}
PREPARED = frozenset({"home", "wallet"})
OUTSIDE = "outside"
VALUE_MINOR = 500

metadata = MetaData()
events = Table(
    "plain_event",
    metadata,
    Column("source", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False, index=True),
    Column("type", Text, nullable=False),
)
stock = Table(
    "plain_stock",
    metadata,
    Column("activity", Text, primary_key=True),
    Column("initial", Integer, nullable=False),
    Column("remaining", Integer, nullable=False),
)
grants = Table(
    "plain_grant",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("activity", Text, nullable=False),
    Column("user_id", Text, nullable=False, index=True),
    Column("task_id", Text, nullable=False),
    Column("state", Text, nullable=False),
)
# Two deliveries may look up at the same moment: the second one's insert fails, and its retry finds the first's.
Index("one_grant", grants.c.activity, grants.c.user_id, unique=True, postgresql_where=grants.c.state != "refused")
visits = Table("plain_visit", metadata, Column("key", Text, primary_key=True), Column("outcome", Text, nullable=False))

celery = Celery("plain")
celery.conf.update(
    broker_url=os.environ.get(BROKER, "redis://127.0.0.1:1/0"),
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=int(os.environ.get(TIME_LIMIT, "60")),
    task_publish_retry=True,
    task_publish_retry_policy={"max_retries": 3, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5},
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": int(os.environ.get(VISIBILITY, "3600")),
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
    },
)
# Every task may fail for a moment, and is tried again: 1, 2, 4 … s, at most 20, drawn anew each time.
_AGAIN: dict[str, Any] = {
    "autoretry_for": (Exception,),
    "retry_backoff": 1,
    "retry_backoff_max": 20,
    "retry_jitter": True,
    "max_retries": 10,
}


@cache
def engine() -> Engine:
    """Connect, once in each process, and only after it was forked."""
    arguments = {"connect_timeout": 3, "keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3}
    return create_engine(os.environ[DATABASE], pool_pre_ping=True, pool_size=4, connect_args=arguments)


@celery.task(**_AGAIN)  # type: ignore[untyped-decorator]
def record(event: dict[str, Any]) -> None:
    """Keep what a user did; the same again changes nothing."""
    row = {"source": event["source"], "id": event["id"], "user_id": event["data"]["user_id"], "type": event["type"]}
    with engine().begin() as conn:
        conn.execute(upsert(events).values(row).on_conflict_do_nothing())


@celery.task(**_AGAIN)  # type: ignore[untyped-decorator]
def prepare(visit: dict[str, Any]) -> dict[str, Any]:
    """Gather what the rule needs to know."""
    mine = select(func.count()).select_from(events).where(events.c.user_id == visit["user_id"])
    with engine().connect() as conn:
        return {**visit, "activities": ACTIVITIES[visit["channel"]], "events": conn.execute(mine).scalar_one()}


@celery.task(**_AGAIN)  # type: ignore[untyped-decorator]
def check(visit: dict[str, Any]) -> dict[str, Any]:
    """Decide whether the user is to get anything, so that most visits never come to the stock."""
    if visit["channel"] in PREPARED and not visit["events"]:
        return {**visit, "outcome": "not_prepared"}
    left = select(func.count()).where(stock.c.activity.in_(visit["activities"]), stock.c.remaining > 0)
    with engine().connect() as conn:
        return {**visit, "outcome": None if conn.execute(left).scalar_one() else "sold_out"}


@celery.task(bind=True, **_AGAIN)  # type: ignore[untyped-decorator]
def grant(self: Any, visit: dict[str, Any]) -> None:
    """Give the first activity's benefit that is to be had, and keep what came of the visit."""
    outcome = visit["outcome"]
    if outcome is None:
        for activity in visit["activities"]:
            outcome = give(activity, visit["user_id"], self.request.id)
            if outcome != "sold_out":
                break
    with engine().begin() as conn:
        conn.execute(upsert(visits).values(key=visit["key"], outcome=outcome).on_conflict_do_nothing())


def give(activity: str, user_id: str, task_id: str) -> str:
    """Give a benefit to a user who has none of this activity: reserve, commit, and only then call anybody."""
    with engine().begin() as conn:
        known = select(grants.c.task_id, grants.c.state).where(
            grants.c.activity == activity, grants.c.user_id == user_id, grants.c.state != "refused"
        )
        found = conn.execute(known).first()
        if found is None:
            taken = conn.execute(
                update(stock)
                .where(stock.c.activity == activity, stock.c.remaining > 0)
                .values(remaining=stock.c.remaining - 1)
                .returning(stock.c.remaining)
            ).first()
            if taken is None:
                return "sold_out"
            state = "pending" if activity == OUTSIDE else "granted"
            conn.execute(insert(grants).values(activity=activity, user_id=user_id, task_id=task_id, state=state))
        elif found.task_id != task_id or found.state == "granted":
            return "has_one"
    if activity != OUTSIDE:
        return "granted"
    state = call_provider(activity, user_id, task_id)
    with engine().begin() as conn:
        closed = update(grants).where(grants.c.task_id == task_id, grants.c.state == "pending").values(state=state)
        if conn.execute(closed.returning(grants.c.id)).first() is not None and state == "refused":
            conn.execute(update(stock).where(stock.c.activity == activity).values(remaining=stock.c.remaining + 1))
    return state


def call_provider(activity: str, user_id: str, task_id: str) -> str:
    """Let the benefit system give it. The task's id stays the same in every retry and redelivery.

    Raises:
        httpx.HTTPError: it may or may not have happened: the task is tried again.
    """
    body = {
        "idempotency_id": task_id,
        "grant_id": task_id,
        "activity": activity,
        "user_id": user_id,
        "will_send_count": 1,
        "lines": [{"line": 1, "kind": "coupon", "value_minor": VALUE_MINOR}],
    }
    answer = httpx.post(
        os.environ[PROVIDER], json=body, headers={"Idempotency-Key": task_id}, timeout=PROVIDER_TIMEOUT_S
    )
    if answer.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
        answer.raise_for_status()
    return "granted" if answer.json().get("status") == "granted" else "refused"


def chain_of(key: str, user_id: str, channel: str) -> Any:
    """Give the chain of a visit."""
    return chain(prepare.s({"key": key, "user_id": user_id, "channel": channel}), check.s(), grant.s())

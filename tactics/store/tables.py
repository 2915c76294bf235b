"""The tables. Growing ones are partitioned; every unique key of theirs contains the partition column.

Times are `timestamptz`, money is in minor units, ids of users, items and activities are text.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.schema import SchemaItem

HASH_PARTITIONS = 8
OPEN_STATES = ("pending", "unknown", "parked")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _time(name: str, *, null: bool = True, now: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=null, server_default=func.now() if now else None)


def _text(name: str, *, null: bool = False, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=null, server_default=default)


def _count(name: str, default: int = 0) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=str(default))


def _json(name: str, *, null: bool = True) -> Column[object]:
    return Column(name, JSONB(none_as_null=True), nullable=null)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


def _history() -> tuple[Column[Any], ...]:
    return (
        Column("current_at", DateTime(timezone=True), comment="null: never was"),
        Column("restores", Integer, comment="the earlier version that a rollback brought back as this one"),
    )


def _table(name: str, *items: SchemaItem, by: str | None = None) -> Table:
    return Table(name, metadata, *items, postgresql_partition_by=by)


# --- what operators set up ---------------------------------------------------------------------------------------

activity = _table(
    "activity",
    Column("code", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    _text("status"),
    _text("template_type"),
    Column("priority", Integer, nullable=False),
    _time("starts_at", null=False),
    _time("ends_at", null=False),
    _time("updated_at", null=False, now=True),
    Column("grants_removed_at", DateTime(timezone=True), comment="by retention; null: its grants are all there"),
    Column("tripped_at", DateTime(timezone=True), comment="when it paused itself; null: it did not, or runs again"),
    _text("tripped_reason", null=True),
    CheckConstraint(
        "(tripped_at IS NULL) = (tripped_reason IS NULL) AND (tripped_at IS NULL OR status = 'paused')", name="tripped"
    ),
    CheckConstraint("status IN ('draft', 'live', 'paused')", name="status"),
    CheckConstraint("starts_at < ends_at", name="schedule"),
    Index("ix_activity_tripped", "tripped_at", postgresql_where=text("tripped_at IS NOT NULL")),
)

activity_version = _table(
    "activity_version",
    _text("activity_code"),
    Column("version", Integer, nullable=False),
    _json("definition", null=False),
    _time("created_at", null=False, now=True),
    *_history(),
    PrimaryKeyConstraint("activity_code", "version"),
    ForeignKeyConstraint(["activity_code"], ["activity.code"]),
)

play = _table(
    "play",
    Column("code", Text, primary_key=True),
    Column("version", Integer, comment="null: a draft, of which nothing can be made yet"),
    _time("updated_at", null=False, now=True),
)

# Versions neither change nor go: activities name them.
play_version = _table(
    "play_version",
    _text("play_code"),
    Column("version", Integer, nullable=False),
    _json("definition", null=False),
    _time("created_at", null=False, now=True),
    *_history(),
    PrimaryKeyConstraint("play_code", "version"),
    ForeignKeyConstraint(["play_code"], ["play.code"]),
)

activity_channel = _table(
    "activity_channel",
    _text("link"),
    _text("channel_code"),
    _text("activity_code"),
    PrimaryKeyConstraint("link", "channel_code", "activity_code"),
    ForeignKeyConstraint(["activity_code"], ["activity.code"]),
    CheckConstraint("link IN ('prepare', 'grant')", name="link"),
    Index("ix_activity_channel_activity_code", "activity_code"),
)

behaviour_rule = _table(
    "behaviour_rule",
    Column("rule_key", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    _json("rule", null=False),
    _count("cooldown_s"),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    _time("updated_at", null=False, now=True),
    CheckConstraint("cooldown_s >= 0", name="cooldown"),
)

stored_chain = _table(
    "stored_chain",
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    _time("updated_at", null=False, now=True),
)

# Versions neither change nor go: executions name them by id.
stored_chain_version = _table(
    "stored_chain_version",
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("name"),
    Column("version", Integer, nullable=False),
    _text("template_type"),
    _text("link"),
    Column("channel_codes", ARRAY(Text), comment="null: all that no other stored chain names"),
    Column("steps", ARRAY(Text), nullable=False),
    _time("created_at", null=False, now=True),
    UniqueConstraint("name", "version"),
    ForeignKeyConstraint(["name"], ["stored_chain.name"]),
    CheckConstraint("link IN ('prepare', 'grant')", name="link"),
    CheckConstraint("cardinality(channel_codes) > 0", name="channel_codes"),
    CheckConstraint("cardinality(steps) > 0", name="steps"),
)

# One row per kind of set-up; bumped in the transaction that changes it, so that processes know when to read it again.
revision = _table("revision", Column("name", Text, primary_key=True), Column("value", BigInteger, nullable=False))

benefit = _table(
    "benefit",
    _text("activity_code"),
    _text("code"),
    Column("stock_initial", BigInteger, comment="null: unlimited"),
    Column("remaining", BigInteger),
    PrimaryKeyConstraint("activity_code", "code"),
    ForeignKeyConstraint(["activity_code"], ["activity.code"]),
    CheckConstraint("remaining >= 0", name="remaining"),
    CheckConstraint("(remaining IS NULL) = (stock_initial IS NULL)", name="stock"),
)

stock_movement = _table(
    "stock_movement",
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("activity_code"),
    _text("benefit_code"),
    Column("delta", BigInteger, nullable=False),
    _text("reason"),
    _time("created_at", null=False, now=True),
    Column("actor", Text, comment="null: a document caused it"),
    Column("movement_key", Text, comment="the id that the caller gave it"),
    UniqueConstraint("activity_code", "benefit_code", "movement_key", name="uq_stock_movement_key"),
    ForeignKeyConstraint(["activity_code", "benefit_code"], ["benefit.activity_code", "benefit.code"]),
    Index("ix_stock_movement_benefit", "activity_code", "benefit_code"),
)

benefit_code = _table(
    "benefit_code",
    _text("activity_code"),
    _text("benefit_code"),
    _text("code"),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("asset_id", Uuid),
    PrimaryKeyConstraint("activity_code", "benefit_code", "code"),
    ForeignKeyConstraint(["activity_code", "benefit_code"], ["benefit.activity_code", "benefit.code"]),
    Index(
        "ix_benefit_code_free", "activity_code", "benefit_code", "position", postgresql_where=text("asset_id IS NULL")
    ),
)

limit_counter = _table(
    "limit_counter",
    _text("activity_code"),
    _text("scope"),
    _text("period"),
    Column("used", BigInteger, nullable=False),
    PrimaryKeyConstraint("activity_code", "scope", "period"),
    ForeignKeyConstraint(["activity_code"], ["activity.code"]),
    CheckConstraint("scope IN ('day', 'budget', 'minute', 'minute_cost')", name="scope"),
    CheckConstraint("used >= 0", name="used"),
)

api_key = _table(
    "api_key",
    Column("id", Text, primary_key=True),
    _text("name"),
    Column(
        "secret_hash",
        Text,
        nullable=False,
        comment="SHA-256 of 256 random bits, as hex: nothing that a slow hash would protect",
    ),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("rate_per_s", Double),
    Column("burst", Integer),
    Column(
        "signing_secrets",
        ARRAY(Text),
        nullable=False,
        comment="newest first, two while they are exchanged; empty: requests are not signed",
    ),
    _time("created_at", null=False, now=True),
    _time("expires_at"),
    _time("revoked_at"),
    Column("last_used_at", DateTime(timezone=True), comment="true to a minute"),
    CheckConstraint("(rate_per_s IS NULL) = (burst IS NULL) AND rate_per_s > 0 AND burst >= 1", name="rate"),
    CheckConstraint("cardinality(scopes) > 0", name="scopes"),
    CheckConstraint("cardinality(signing_secrets) <= 2", name="signing_secrets"),
)

provider = _table(
    "provider",
    Column("name", Text, primary_key=True),
    _text("url"),
    Column("look_up_url", Text, comment="with {idempotency_id} in it; null: it cannot be asked"),
    _text("list_url", null=True),
    Column("signing_secrets", ARRAY(Text), nullable=False, comment="newest first, two while they are exchanged"),
    Column("idempotent", Boolean, nullable=False, server_default=text("true")),
    Column("remembers_s", Integer, nullable=False),
    Column("timeout_ms", Integer, nullable=False),
    Column("max_concurrency", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    _time("updated_at", null=False, now=True),
    CheckConstraint("cardinality(signing_secrets) <= 2", name="signing_secrets"),
    CheckConstraint("remembers_s > 0", name="remembers_s"),
    CheckConstraint("timeout_ms BETWEEN 1 AND 30000", name="timeout_ms"),
    CheckConstraint("max_concurrency > 0", name="max_concurrency"),
)

# --- users and items ---------------------------------------------------------------------------------------------

user_profile = _table(
    "user_profile",
    Column("user_id", Text, primary_key=True),
    _json("attributes", null=False),
    _time("updated_at", null=False, now=True),
)

item = _table(
    "item",
    Column("item_id", Text, primary_key=True),
    _text("category", null=True),
    _text("title"),
    Column("price_minor", BigInteger),
    _text("currency", null=True),
    _json("attributes", null=False),
    _time("updated_at", null=False, now=True),
    CheckConstraint("price_minor >= 0", name="price"),
)

item_set = _table(
    "item_set",
    _text("item_set"),
    _text("item_id"),
    PrimaryKeyConstraint("item_set", "item_id"),
    Index("ix_item_set_item_id", "item_id"),
)

user_item = _table(
    "user_item",
    _text("user_id"),
    _text("item_id"),
    _count("actions"),
    Column("quantity", BigInteger, nullable=False, server_default="0"),
    _flag("favourite"),
    _text("last_action"),
    _time("last_at", null=False),
    Column(
        "learnt", Boolean, comment="null: recall has to look at it; true: counted in item_pair; false: too old for it"
    ),
    PrimaryKeyConstraint("user_id", "item_id"),
    Index("ix_user_item_user_id_last_at", "user_id", "last_at"),
    Index("ix_user_item_to_learn", "user_id", postgresql_where=text("learnt IS NULL")),
)

# Users who acted on both; an item with itself is who acted on it. Both ways round, so that one index answers.
item_pair = _table(
    "item_pair",
    _text("item_id"),
    _text("other_id"),
    Column("users", BigInteger, nullable=False),
    PrimaryKeyConstraint("item_id", "other_id"),
    CheckConstraint("users > 0", name="users"),
    Index("ix_item_pair_item_id_users_other_id", "item_id", "users", "other_id"),
)

# A row while item_pair is learnt anew: up to which user.
recall_rebuild = _table(
    "recall_rebuild",
    _text("reached_user_id"),
    _time("started_at", null=False, now=True),
    PrimaryKeyConstraint("started_at"),
)

user_action = _table(
    "user_action",
    _text("user_id"),
    _time("at", null=False),
    _text("event_source"),
    _text("event_id"),
    _text("action"),
    _text("item_id", null=True),
    Column("quantity", BigInteger, nullable=False, server_default="1"),
    Column("amount_minor", BigInteger),
    _json("attributes"),
    PrimaryKeyConstraint("user_id", "at", "event_source", "event_id"),
    Index("ix_user_action_user_id_action_at", "user_id", "action", "at"),
    by="RANGE (at)",
)

# --- what happens ------------------------------------------------------------------------------------------------

event = _table(
    "event",
    _text("source"),
    _text("id"),
    _text("type"),
    _text("user_id"),
    _text("channel", null=True),
    _json("data", null=False),
    _text("body_hash"),
    _time("at", null=False),
    _time("received_at", null=False, now=True),
    _count("attempts", 1),
    _time("next_attempt_at"),
    _time("routed_at"),
    _time("consumed_at"),
    _time("abandoned_at"),
    _text("parked_reason", null=True),
    _text("outcome", null=True),
    _json("candidates"),
    _json("answer"),
    Column(
        "waits",
        Integer,
        nullable=False,
        server_default="0",
        comment="attempts that do not count: it waits for something",
    ),
    PrimaryKeyConstraint("source", "id"),
    CheckConstraint("type IN ('action', 'behaviour', 'placement', 'asset')", name="type"),
    Index("ix_event_next_attempt_at", "next_attempt_at", postgresql_where=text("next_attempt_at IS NOT NULL")),
    Index("ix_event_parked", "received_at", postgresql_where=text("parked_reason IS NOT NULL")),
    Index("ix_event_user_id_at", "user_id", "at"),
    by="HASH (source, id)",
)

instance = _table(
    "instance",
    _text("user_id"),
    _text("activity_code"),
    Column("epoch", BigInteger, nullable=False),
    Column("prepared_epoch", BigInteger),
    _text("prepared_source", null=True),
    _text("prepared_event_id", null=True),
    _time("prepared_at"),
    PrimaryKeyConstraint("user_id", "activity_code"),
    by="HASH (user_id)",
)

execution = _table(
    "execution",
    Column("id", Uuid, nullable=False),
    _text("user_id"),
    _text("activity_code"),
    Column("activity_version", Integer, nullable=False),
    _text("link"),
    _text("channel_code"),
    _text("event_source"),
    _text("event_id"),
    _flag("best_only"),
    _flag("locked"),
    _count("attempts", 1),
    _count("waits"),
    _time("next_attempt_at"),
    _text("step", null=True),
    Column("epoch", BigInteger),
    _text("outcome", null=True),
    _text("reason", null=True),
    _json("context"),
    _json("trace"),
    Column("segments", ARRAY(Integer), nullable=False, server_default="{}"),
    Column("segment_attempts", ARRAY(Integer), nullable=False, server_default="{}"),
    _flag("assets_unknown"),
    _time("reconciled_at"),
    _time("business_at", null=False),
    _time("created_at", null=False, now=True),
    _time("finished_at"),
    Column("chain_id", BigInteger, comment="null: the chain in code; 0: whoever starts it chooses"),
    PrimaryKeyConstraint("user_id", "id"),
    UniqueConstraint("user_id", "event_source", "event_id", "activity_code", name="uq_execution_event_instance"),
    CheckConstraint("link IN ('prepare', 'grant')", name="link"),
    Index("ix_execution_id", "id"),
    Index("ix_execution_next_attempt_at", "next_attempt_at", postgresql_where=text("next_attempt_at IS NOT NULL")),
    Index(
        "ix_execution_unreconciled",
        "finished_at",
        postgresql_where=text("assets_unknown AND reconciled_at IS NULL AND finished_at IS NOT NULL"),
    ),
    Index("ix_execution_instance", "user_id", "activity_code", "created_at"),
    Index("ix_execution_parked", "created_at", postgresql_where=text("outcome = 'parked'")),
    Index(
        "ix_execution_held",
        "activity_code",
        "created_at",
        postgresql_where=text("outcome = 'parked' AND reason LIKE 'the activity paused itself%'"),
    ),
    by="HASH (user_id)",
)

grant_record = _table(
    "grant_record",
    Column("id", Uuid, nullable=False),
    _text("user_id"),
    _text("activity_code"),
    Column("activity_version", Integer, nullable=False),
    Column("will_send_count", Integer, nullable=False),
    _text("idempotency_id"),
    Column("execution_id", Uuid, nullable=False),
    _text("event_source"),
    _text("event_id"),
    _flag("best_only"),
    _text("state"),
    _flag("usable"),
    _flag("released"),
    _json("lines", null=False),
    Column("value_minor", BigInteger, nullable=False),
    Column("day", Date, nullable=False),
    _text("reason", null=True),
    _flag("assets_unknown"),
    _time("business_at", null=False),
    _time("created_at", null=False, now=True),
    _time("settled_at"),
    PrimaryKeyConstraint("user_id", "id"),
    UniqueConstraint("user_id", "activity_code", "will_send_count", name="uq_grant_record_count"),
    UniqueConstraint("user_id", "execution_id", name="uq_grant_record_execution"),
    CheckConstraint("state IN ('granted', 'pending', 'unknown', 'parked', 'refused')", name="state"),
    CheckConstraint("will_send_count > 0", name="will_send_count"),
    Index("ix_grant_record_id", "id"),
    Index("ix_grant_record_activity_code", "activity_code", "created_at", "id"),
    Index("ix_grant_record_created_at", "created_at", "id"),
    Index("ix_grant_record_not_granted", "state", "created_at", "id", postgresql_where=text("state <> 'granted'")),
    Index(
        "uq_grant_record_best_only",
        "user_id",
        "event_source",
        "event_id",
        unique=True,
        postgresql_where=text("best_only AND state <> 'refused'"),
    ),
    Index(
        "uq_grant_record_open",
        "user_id",
        "activity_code",
        unique=True,
        postgresql_where=text("state IN ('pending', 'unknown', 'parked')"),
    ),
    Index(
        "uq_grant_record_usable",
        "user_id",
        "activity_code",
        unique=True,
        postgresql_where=text("usable AND NOT released"),
    ),
    by="HASH (user_id)",
)

asset = _table(
    "asset",
    Column("id", Uuid, nullable=False),
    _text("user_id"),
    _text("activity_code"),
    Column("grant_id", Uuid, nullable=False),
    Column("line", Integer, nullable=False),
    _text("benefit_code", null=True),
    _text("kind"),
    _text("status"),
    Column("value_minor", BigInteger, nullable=False),
    _text("currency"),
    _json("details", null=False),
    _time("valid_from", null=False),
    _time("valid_until", null=False),
    _time("status_at", null=False),
    _time("changed_at"),
    Column("reference", Text, comment="the order that redeemed it; null: none was named"),
    PrimaryKeyConstraint("user_id", "id"),
    UniqueConstraint("user_id", "grant_id", "line", name="uq_asset_grant_line"),
    ForeignKeyConstraint(["user_id", "grant_id"], ["grant_record.user_id", "grant_record.id"]),
    CheckConstraint("status IN ('available', 'claimed', 'redeemed', 'expired', 'revoked')", name="status"),
    Index("ix_asset_id", "id"),
    Index("ix_asset_instance", "user_id", "activity_code"),
    Index(
        "ix_asset_code",
        text("(details ->> 'code')"),
        "user_id",
        postgresql_where=text("(details ->> 'code') IS NOT NULL"),
    ),
    Index("ix_asset_due", "valid_until", postgresql_where=text("status IN ('available', 'claimed')")),
    by="HASH (user_id)",
)

# A grant that an outside benefit system gives: beside its record, what it takes to settle it.
outside_grant = _table(
    "outside_grant",
    _text("user_id"),
    Column("grant_id", Uuid, nullable=False),
    _text("provider"),
    Column("body", Text, nullable=False, comment="what the provider is sent, the same bytes each time"),
    Column(
        "drafts",
        JSONB(none_as_null=True),
        nullable=False,
        comment="the assets that it gives once the provider has granted",
    ),
    Column("asset_ids", ARRAY(Uuid), nullable=False),
    Column(
        "reserved",
        JSONB(none_as_null=True),
        nullable=False,
        comment="what its refusal gives back: stock, day, budget; null: was not counted",
    ),
    _count("attempts", 1),
    Column(
        "waits", Integer, nullable=False, server_default="0", comment="attempts that asked nobody, and do not count"
    ),
    _count("calls"),
    _time("first_called_at"),
    _time("next_attempt_at"),
    Column("reference", Text, comment="the provider's own name for it"),
    _time("created_at", null=False, now=True),
    PrimaryKeyConstraint("user_id", "grant_id"),
    ForeignKeyConstraint(["user_id", "grant_id"], ["grant_record.user_id", "grant_record.id"]),
    Index("ix_outside_grant_next_attempt_at", "next_attempt_at", postgresql_where=text("next_attempt_at IS NOT NULL")),
    Index("ix_outside_grant_asset_ids", "asset_ids", postgresql_using="gin"),
    by="HASH (user_id)",
)

provider_attempt = _table(
    "provider_attempt",
    _text("user_id"),
    Column("grant_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    _text("kind"),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    _time("finished_at"),
    Column("answer", Text, comment="null: it is under way, or whoever asked has died"),
    _text("text", null=True),
    Column("status_code", Integer),
    PrimaryKeyConstraint("user_id", "grant_id", "number"),
    ForeignKeyConstraint(["user_id", "grant_id"], ["outside_grant.user_id", "outside_grant.grant_id"]),
    CheckConstraint("kind IN ('call', 'look_up')", name="kind"),
    CheckConstraint("(answer IS NULL) = (finished_at IS NULL)", name="answer"),
    by="HASH (user_id)",
)

# Written with what it tells of; read by whoever publishes to other systems (polling or logical decoding).
outbox = _table(
    "outbox",
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("topic"),
    _text("key"),
    _json("payload", null=False),
    _time("created_at", null=False, now=True),
)

# Who is told of what the outbox gets.
webhook_endpoint = _table(
    "webhook_endpoint",
    Column("id", Text, primary_key=True),
    _text("url"),
    Column("topics", ARRAY(Text), nullable=False, comment="*: every topic"),
    Column("signing_secrets", ARRAY(Text), nullable=False, comment="newest first, two while they are exchanged"),
    _text("description", null=True),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("disabled_reason", Text, comment="null: an operator did it, or it is enabled"),
    Column(
        "failures", Integer, nullable=False, server_default="0", comment="deliveries that failed since one succeeded"
    ),
    Column(
        "resting_until",
        DateTime(timezone=True),
        comment="nothing is tried before; null: whenever something is due",
    ),
    _time("created_at", null=False, now=True),
    _time("updated_at", null=False, now=True),
    CheckConstraint("cardinality(topics) > 0", name="topics"),
    CheckConstraint("cardinality(signing_secrets) BETWEEN 1 AND 2", name="signing_secrets"),
    CheckConstraint("failures >= 0", name="failures"),
)

# A notice on its way to an endpoint. A trigger of the outbox inserts it (migrations/functions/0010_webhooks.sql); no key
# leads to the endpoint, for every grant would lock that one row.
webhook_delivery = _table(
    "webhook_delivery",
    Column("outbox_id", BigInteger, nullable=False),
    _text("endpoint_id"),
    _count("attempts"),
    Column(
        "claimed",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="somebody is at it, until next_attempt_at",
    ),
    Column("next_attempt_at", DateTime(timezone=True), server_default=func.clock_timestamp()),
    Column("try_until", DateTime(timezone=True), comment="what fails later is parked; null: not tried yet"),
    _time("delivered_at"),
    _text("parked_reason", null=True),
    Column("last_status", Integer, comment="of the answer; null: there was none"),
    _text("last_text", null=True),
    _time("last_attempt_at"),
    _time("created_at", null=False, now=True),
    PrimaryKeyConstraint("outbox_id", "endpoint_id"),
    ForeignKeyConstraint(["outbox_id"], ["outbox.id"], ondelete="CASCADE"),
    CheckConstraint(
        "(next_attempt_at IS NOT NULL)::int + (delivered_at IS NOT NULL)::int + (parked_reason IS NOT NULL)::int = 1",
        name="state",
    ),
    Index(
        "ix_webhook_delivery_due",
        "endpoint_id",
        "next_attempt_at",
        postgresql_where=text("next_attempt_at IS NOT NULL"),
    ),
    Index("ix_webhook_delivery_claimed", "endpoint_id", "next_attempt_at", postgresql_where=text("claimed")),
    Index(
        "ix_webhook_delivery_parked",
        "endpoint_id",
        "outbox_id",
        postgresql_where=text("parked_reason IS NOT NULL"),
    ),
    Index(
        "ix_webhook_delivery_waiting",
        "endpoint_id",
        "outbox_id",
        postgresql_where=text("next_attempt_at IS NOT NULL"),
    ),
    Index("ix_webhook_delivery_endpoint", "endpoint_id", "outbox_id"),
)

# Who changed what. Triggers write it (migrations/functions/0007_audit_log.sql), and refuse to change it.
audit_log = _table(
    "audit_log",
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    _text("actor"),
    _text("request_id", null=True),
    _text("action"),
    _text("kind"),
    Column("subject", Text, nullable=False, comment="which one of its kind; *: many at once"),
    _json("before"),
    _json("after"),
    PrimaryKeyConstraint("at", "id"),
    Index("ix_audit_log_kind_subject_at", "kind", "subject", "at"),
    by="RANGE (at)",
)

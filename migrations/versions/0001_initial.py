"""The first schema.

Growing tables are partitioned from the start: `user_action` by time, the others by hash. `user_action` begins with a
default partition; months are added by `tactics.store.partitions`.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

HASHED = ("event", "execution", "grant_record", "instance", "asset")
HASH_PARTITIONS = 8

SCHEMA = """
CREATE TABLE activity (
    code TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    template_type TEXT NOT NULL,
    priority INTEGER NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_activity PRIMARY KEY (code),
    CONSTRAINT ck_activity_status CHECK (status IN ('draft', 'live', 'paused')),
    CONSTRAINT ck_activity_schedule CHECK (starts_at < ends_at)
);

CREATE TABLE behaviour_rule (
    rule_key TEXT NOT NULL,
    version INTEGER NOT NULL,
    rule JSONB NOT NULL,
    cooldown_s INTEGER DEFAULT '0' NOT NULL,
    enabled BOOLEAN DEFAULT true NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_behaviour_rule PRIMARY KEY (rule_key),
    CONSTRAINT ck_behaviour_rule_cooldown CHECK (cooldown_s >= 0)
);

CREATE TABLE event (
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    user_id TEXT NOT NULL,
    channel TEXT,
    data JSONB NOT NULL,
    body_hash TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    attempts INTEGER DEFAULT '1' NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE,
    routed_at TIMESTAMP WITH TIME ZONE,
    consumed_at TIMESTAMP WITH TIME ZONE,
    abandoned_at TIMESTAMP WITH TIME ZONE,
    parked_reason TEXT,
    outcome TEXT,
    candidates JSONB,
    answer JSONB,
    CONSTRAINT pk_event PRIMARY KEY (source, id),
    CONSTRAINT ck_event_type CHECK (type IN ('action', 'behaviour', 'placement', 'asset'))
)
 PARTITION BY HASH (source, id);

CREATE INDEX ix_event_next_attempt_at ON event (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

CREATE INDEX ix_event_parked ON event (received_at) WHERE parked_reason IS NOT NULL;

CREATE INDEX ix_event_user_id_at ON event (user_id, at);

CREATE TABLE execution (
    id UUID NOT NULL,
    user_id TEXT NOT NULL,
    activity_code TEXT NOT NULL,
    activity_version INTEGER NOT NULL,
    link TEXT NOT NULL,
    channel_code TEXT NOT NULL,
    event_source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    best_only BOOLEAN DEFAULT false NOT NULL,
    locked BOOLEAN DEFAULT false NOT NULL,
    attempts INTEGER DEFAULT '1' NOT NULL,
    waits INTEGER DEFAULT '0' NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE,
    step TEXT,
    epoch BIGINT,
    outcome TEXT,
    reason TEXT,
    context JSONB,
    trace JSONB,
    segments INTEGER[] DEFAULT '{}' NOT NULL,
    segment_attempts INTEGER[] DEFAULT '{}' NOT NULL,
    assets_unknown BOOLEAN DEFAULT false NOT NULL,
    reconciled_at TIMESTAMP WITH TIME ZONE,
    business_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_execution PRIMARY KEY (user_id, id),
    CONSTRAINT uq_execution_event_instance UNIQUE (user_id, event_source, event_id, activity_code),
    CONSTRAINT ck_execution_link CHECK (link IN ('prepare', 'grant'))
)
 PARTITION BY HASH (user_id);

CREATE INDEX ix_execution_id ON execution (id);

CREATE INDEX ix_execution_instance ON execution (user_id, activity_code, created_at);

CREATE INDEX ix_execution_next_attempt_at ON execution (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

CREATE INDEX ix_execution_parked ON execution (created_at) WHERE outcome = 'parked';

CREATE INDEX ix_execution_unreconciled ON execution (finished_at) WHERE assets_unknown AND reconciled_at IS NULL AND finished_at IS NOT NULL;

CREATE TABLE grant_record (
    id UUID NOT NULL,
    user_id TEXT NOT NULL,
    activity_code TEXT NOT NULL,
    activity_version INTEGER NOT NULL,
    will_send_count INTEGER NOT NULL,
    idempotency_id TEXT NOT NULL,
    execution_id UUID NOT NULL,
    event_source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    best_only BOOLEAN DEFAULT false NOT NULL,
    state TEXT NOT NULL,
    usable BOOLEAN DEFAULT false NOT NULL,
    released BOOLEAN DEFAULT false NOT NULL,
    lines JSONB NOT NULL,
    value_minor BIGINT NOT NULL,
    day DATE NOT NULL,
    reason TEXT,
    assets_unknown BOOLEAN DEFAULT false NOT NULL,
    business_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    settled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_grant_record PRIMARY KEY (user_id, id),
    CONSTRAINT uq_grant_record_count UNIQUE (user_id, activity_code, will_send_count),
    CONSTRAINT uq_grant_record_execution UNIQUE (user_id, execution_id),
    CONSTRAINT ck_grant_record_state CHECK (state IN ('granted', 'pending', 'unknown', 'parked', 'refused')),
    CONSTRAINT ck_grant_record_will_send_count CHECK (will_send_count > 0)
)
 PARTITION BY HASH (user_id);

CREATE INDEX ix_grant_record_activity_code ON grant_record (activity_code);

CREATE INDEX ix_grant_record_id ON grant_record (id);

CREATE UNIQUE INDEX uq_grant_record_best_only ON grant_record (user_id, event_source, event_id) WHERE best_only AND state <> 'refused';

CREATE UNIQUE INDEX uq_grant_record_open ON grant_record (user_id, activity_code) WHERE state IN ('pending', 'unknown', 'parked');

CREATE UNIQUE INDEX uq_grant_record_usable ON grant_record (user_id, activity_code) WHERE usable AND NOT released;

CREATE TABLE instance (
    user_id TEXT NOT NULL,
    activity_code TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    prepared_epoch BIGINT,
    prepared_source TEXT,
    prepared_event_id TEXT,
    prepared_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_instance PRIMARY KEY (user_id, activity_code)
)
 PARTITION BY HASH (user_id);

CREATE TABLE item (
    item_id TEXT NOT NULL,
    category TEXT,
    title TEXT NOT NULL,
    price_minor BIGINT,
    currency TEXT,
    attributes JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_item PRIMARY KEY (item_id),
    CONSTRAINT ck_item_price CHECK (price_minor >= 0)
);

CREATE TABLE item_set (
    item_set TEXT NOT NULL,
    item_id TEXT NOT NULL,
    CONSTRAINT pk_item_set PRIMARY KEY (item_set, item_id)
);

CREATE INDEX ix_item_set_item_id ON item_set (item_id);

CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    payload JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_outbox PRIMARY KEY (id)
);

CREATE TABLE revision (
    name TEXT NOT NULL,
    value BIGINT NOT NULL,
    CONSTRAINT pk_revision PRIMARY KEY (name)
);

CREATE TABLE user_action (
    user_id TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    event_source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    action TEXT NOT NULL,
    item_id TEXT,
    quantity BIGINT DEFAULT '1' NOT NULL,
    amount_minor BIGINT,
    attributes JSONB,
    CONSTRAINT pk_user_action PRIMARY KEY (user_id, at, event_source, event_id)
)
 PARTITION BY RANGE (at);

CREATE INDEX ix_user_action_user_id_action_at ON user_action (user_id, action, at);

CREATE TABLE user_item (
    user_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    actions INTEGER DEFAULT '0' NOT NULL,
    quantity BIGINT DEFAULT '0' NOT NULL,
    favourite BOOLEAN DEFAULT false NOT NULL,
    last_action TEXT NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_user_item PRIMARY KEY (user_id, item_id)
);

CREATE INDEX ix_user_item_user_id_last_at ON user_item (user_id, last_at);

CREATE TABLE user_profile (
    user_id TEXT NOT NULL,
    attributes JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_user_profile PRIMARY KEY (user_id)
);

CREATE TABLE activity_channel (
    link TEXT NOT NULL,
    channel_code TEXT NOT NULL,
    activity_code TEXT NOT NULL,
    CONSTRAINT pk_activity_channel PRIMARY KEY (link, channel_code, activity_code),
    CONSTRAINT fk_activity_channel_activity FOREIGN KEY(activity_code) REFERENCES activity (code),
    CONSTRAINT ck_activity_channel_link CHECK (link IN ('prepare', 'grant'))
);

CREATE INDEX ix_activity_channel_activity_code ON activity_channel (activity_code);

CREATE TABLE activity_version (
    activity_code TEXT NOT NULL,
    version INTEGER NOT NULL,
    definition JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_activity_version PRIMARY KEY (activity_code, version),
    CONSTRAINT fk_activity_version_activity FOREIGN KEY(activity_code) REFERENCES activity (code)
);

CREATE TABLE asset (
    id UUID NOT NULL,
    user_id TEXT NOT NULL,
    activity_code TEXT NOT NULL,
    grant_id UUID NOT NULL,
    line INTEGER NOT NULL,
    benefit_code TEXT,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    value_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    details JSONB NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE NOT NULL,
    valid_until TIMESTAMP WITH TIME ZONE NOT NULL,
    status_at TIMESTAMP WITH TIME ZONE NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_asset PRIMARY KEY (user_id, id),
    CONSTRAINT uq_asset_grant_line UNIQUE (user_id, grant_id, line),
    CONSTRAINT fk_asset_grant_record FOREIGN KEY(user_id, grant_id) REFERENCES grant_record (user_id, id),
    CONSTRAINT ck_asset_status CHECK (status IN ('available', 'claimed', 'redeemed', 'expired', 'revoked'))
)
 PARTITION BY HASH (user_id);

CREATE INDEX ix_asset_id ON asset (id);

CREATE INDEX ix_asset_instance ON asset (user_id, activity_code);

CREATE TABLE benefit (
    activity_code TEXT NOT NULL,
    code TEXT NOT NULL,
    stock_initial BIGINT,
    remaining BIGINT,
    CONSTRAINT pk_benefit PRIMARY KEY (activity_code, code),
    CONSTRAINT fk_benefit_activity FOREIGN KEY(activity_code) REFERENCES activity (code),
    CONSTRAINT ck_benefit_remaining CHECK (remaining >= 0),
    CONSTRAINT ck_benefit_stock CHECK ((remaining IS NULL) = (stock_initial IS NULL))
);

COMMENT ON COLUMN benefit.stock_initial IS 'null: unlimited';

CREATE TABLE limit_counter (
    activity_code TEXT NOT NULL,
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    used BIGINT NOT NULL,
    CONSTRAINT pk_limit_counter PRIMARY KEY (activity_code, scope, period),
    CONSTRAINT fk_limit_counter_activity FOREIGN KEY(activity_code) REFERENCES activity (code),
    CONSTRAINT ck_limit_counter_scope CHECK (scope IN ('day', 'budget')),
    CONSTRAINT ck_limit_counter_used CHECK (used >= 0)
);

CREATE TABLE benefit_code (
    activity_code TEXT NOT NULL,
    benefit_code TEXT NOT NULL,
    code TEXT NOT NULL,
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    asset_id UUID,
    CONSTRAINT pk_benefit_code PRIMARY KEY (activity_code, benefit_code, code),
    CONSTRAINT fk_benefit_code_benefit FOREIGN KEY(activity_code, benefit_code) REFERENCES benefit (activity_code, code)
);

CREATE INDEX ix_benefit_code_free ON benefit_code (activity_code, benefit_code, position) WHERE asset_id IS NULL;

CREATE TABLE stock_movement (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    activity_code TEXT NOT NULL,
    benefit_code TEXT NOT NULL,
    delta BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_stock_movement PRIMARY KEY (id),
    CONSTRAINT fk_stock_movement_benefit FOREIGN KEY(activity_code, benefit_code) REFERENCES benefit (activity_code, code)
);

CREATE INDEX ix_stock_movement_benefit ON stock_movement (activity_code, benefit_code);
"""

TABLES = (
    "stock_movement",
    "benefit_code",
    "limit_counter",
    "benefit",
    "asset",
    "activity_version",
    "activity_channel",
    "user_profile",
    "user_item",
    "user_action",
    "revision",
    "outbox",
    "item_set",
    "item",
    "instance",
    "grant_record",
    "execution",
    "event",
    "behaviour_rule",
    "activity",
)


def upgrade() -> None:
    """Create every table and its partitions."""
    op.execute(SCHEMA)
    op.execute("CREATE TABLE user_action_pdefault PARTITION OF user_action DEFAULT")
    for table in HASHED:
        for remainder in range(HASH_PARTITIONS):
            op.execute(
                f"CREATE TABLE {table}_p{remainder} PARTITION OF {table} "
                f"FOR VALUES WITH (MODULUS {HASH_PARTITIONS}, REMAINDER {remainder})"
            )


def downgrade() -> None:
    """Drop everything."""
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")

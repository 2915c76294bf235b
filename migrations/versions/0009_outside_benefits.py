"""Outside benefit systems: who they are, what is being settled with them, and what they answered."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

HASH_PARTITIONS = 8
HASHED = ("outside_grant", "provider_attempt")
GRANT = "tactics_grant_benefit"
FUNCTIONS = Path(__file__).parents[1] / "functions"

# What the audit log tells of a provider, as 0007 does of other things: of its secrets, that they changed.
TOLD = (
    *("name", "url", "look_up_url", "list_url", "signing_secrets.md5", "idempotent", "remembers_s", "timeout_ms"),
    *("max_concurrency", "enabled"),
)

SCHEMA = """
CREATE TABLE provider (
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    look_up_url TEXT,
    list_url TEXT,
    signing_secrets TEXT[] NOT NULL,
    idempotent BOOLEAN DEFAULT true NOT NULL,
    remembers_s INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL,
    max_concurrency INTEGER NOT NULL,
    enabled BOOLEAN DEFAULT true NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_provider PRIMARY KEY (name),
    CONSTRAINT ck_provider_signing_secrets CHECK (cardinality(signing_secrets) <= 2),
    CONSTRAINT ck_provider_remembers_s CHECK (remembers_s > 0),
    CONSTRAINT ck_provider_timeout_ms CHECK (timeout_ms BETWEEN 1 AND 30000),
    CONSTRAINT ck_provider_max_concurrency CHECK (max_concurrency > 0)
);
COMMENT ON COLUMN provider.look_up_url IS 'with {idempotency_id} in it; null: it cannot be asked';
COMMENT ON COLUMN provider.signing_secrets IS 'newest first, two while they are exchanged';

CREATE TABLE outside_grant (
    user_id TEXT NOT NULL,
    grant_id UUID NOT NULL,
    provider TEXT NOT NULL,
    body TEXT NOT NULL,
    drafts JSONB NOT NULL,
    asset_ids UUID[] NOT NULL,
    reserved JSONB NOT NULL,
    attempts INTEGER DEFAULT '1' NOT NULL,
    waits INTEGER DEFAULT '0' NOT NULL,
    calls INTEGER DEFAULT '0' NOT NULL,
    first_called_at TIMESTAMP WITH TIME ZONE,
    next_attempt_at TIMESTAMP WITH TIME ZONE,
    reference TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_outside_grant PRIMARY KEY (user_id, grant_id),
    CONSTRAINT fk_outside_grant_grant_record FOREIGN KEY(user_id, grant_id) REFERENCES grant_record (user_id, id)
)
 PARTITION BY HASH (user_id);
COMMENT ON COLUMN outside_grant.body IS 'what the provider is sent, the same bytes each time';
COMMENT ON COLUMN outside_grant.drafts IS 'the assets that it gives once the provider has granted';
COMMENT ON COLUMN outside_grant.reserved IS 'what its refusal gives back: stock, day, budget; null: was not counted';
COMMENT ON COLUMN outside_grant.waits IS 'attempts that asked nobody, and do not count';
COMMENT ON COLUMN outside_grant.reference IS 'the provider''s own name for it';
CREATE INDEX ix_outside_grant_next_attempt_at ON outside_grant (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX ix_outside_grant_asset_ids ON outside_grant USING gin (asset_ids);

CREATE TABLE provider_attempt (
    user_id TEXT NOT NULL,
    grant_id UUID NOT NULL,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    answer TEXT,
    text TEXT,
    status_code INTEGER,
    CONSTRAINT pk_provider_attempt PRIMARY KEY (user_id, grant_id, number),
    CONSTRAINT fk_provider_attempt_outside_grant FOREIGN KEY(user_id, grant_id)
        REFERENCES outside_grant (user_id, grant_id),
    CONSTRAINT ck_provider_attempt_kind CHECK (kind IN ('call', 'look_up')),
    CONSTRAINT ck_provider_attempt_answer CHECK ((answer IS NULL) = (finished_at IS NULL))
)
 PARTITION BY HASH (user_id);
COMMENT ON COLUMN provider_attempt.answer IS 'null: it is under way, or whoever asked has died';

ALTER TABLE event ADD COLUMN waits INTEGER DEFAULT '0' NOT NULL;
COMMENT ON COLUMN event.waits IS 'attempts that do not count: it waits for something';

ALTER TABLE limit_counter DROP CONSTRAINT ck_limit_counter_scope;
ALTER TABLE limit_counter ADD CONSTRAINT ck_limit_counter_scope
    CHECK (scope IN ('day', 'budget', 'minute', 'minute_cost'));
"""


def upgrade() -> None:
    """Add the tables, and let the grant's function reserve; who calls it as it was goes on as before."""
    op.execute(SCHEMA)
    for table in HASHED:
        for number in range(HASH_PARTITIONS):
            op.execute(
                f"CREATE TABLE {table}_p{number} PARTITION OF {table}"
                f" FOR VALUES WITH (MODULUS {HASH_PARTITIONS}, REMAINDER {number})"
            )
    told = ", ".join(f"'{one}'" for one in ("provider", *TOLD))
    op.execute(
        "CREATE TRIGGER audit_log AFTER INSERT OR DELETE OR UPDATE ON provider"
        f" FOR EACH ROW EXECUTE FUNCTION tactics_log_row({told})"
    )
    op.execute(
        "CREATE TRIGGER audit_log_truncate AFTER TRUNCATE ON provider"
        " FOR EACH STATEMENT EXECUTE FUNCTION tactics_log_truncate('provider')"
    )
    op.execute(f"DROP FUNCTION {GRANT}")
    op.execute((FUNCTIONS / "0009_grant_benefit.sql").read_text())


def downgrade() -> None:
    """Drop all of it."""
    op.execute(f"DROP FUNCTION {GRANT}")
    before = (FUNCTIONS / "0004_grant_benefit.sql").read_text()
    op.execute(before[: before.index("-- Marks what is due as expired")])
    for table in ("provider_attempt", "outside_grant", "provider"):
        op.execute(f"DROP TABLE {table}")
    op.execute("ALTER TABLE event DROP COLUMN waits")
    op.execute("DELETE FROM limit_counter WHERE scope IN ('minute', 'minute_cost')")
    op.execute("ALTER TABLE limit_counter DROP CONSTRAINT ck_limit_counter_scope")
    op.execute("ALTER TABLE limit_counter ADD CONSTRAINT ck_limit_counter_scope CHECK (scope IN ('day', 'budget'))")

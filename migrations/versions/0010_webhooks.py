"""Webhooks: who is told what, and what is still to be told. Time that expires assets says so too, and is looked for."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FUNCTIONS = Path(__file__).parents[1] / "functions"
# Built beforehand where there are rows (tactics.store.migrate).
INDEXES = {"ix_asset_due": "asset (valid_until) WHERE status IN ('available', 'claimed')"}
TOLD = (
    "id",
    "url",
    "topics",
    "signing_secrets.md5",
    "enabled",
    "description",
    "disabled_reason",
)

SCHEMA = """
CREATE TABLE webhook_endpoint (
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    topics TEXT[] NOT NULL,
    signing_secrets TEXT[] NOT NULL,
    description TEXT,
    enabled BOOLEAN DEFAULT true NOT NULL,
    disabled_reason TEXT,
    failures INTEGER DEFAULT '0' NOT NULL,
    resting_until TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_webhook_endpoint PRIMARY KEY (id),
    CONSTRAINT ck_webhook_endpoint_topics CHECK (cardinality(topics) > 0),
    CONSTRAINT ck_webhook_endpoint_signing_secrets CHECK (cardinality(signing_secrets) BETWEEN 1 AND 2),
    CONSTRAINT ck_webhook_endpoint_failures CHECK (failures >= 0)
);
COMMENT ON COLUMN webhook_endpoint.topics IS '*: every topic';
COMMENT ON COLUMN webhook_endpoint.signing_secrets IS 'newest first, two while they are exchanged';
COMMENT ON COLUMN webhook_endpoint.disabled_reason IS 'null: an operator did it, or it is enabled';
COMMENT ON COLUMN webhook_endpoint.failures IS 'deliveries that failed since one succeeded';
COMMENT ON COLUMN webhook_endpoint.resting_until IS 'nothing is tried before; null: whenever something is due';

CREATE TABLE webhook_delivery (
    outbox_id BIGINT NOT NULL,
    endpoint_id TEXT NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    claimed BOOLEAN DEFAULT false NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp(),
    try_until TIMESTAMP WITH TIME ZONE,
    delivered_at TIMESTAMP WITH TIME ZONE,
    parked_reason TEXT,
    last_status INTEGER,
    last_text TEXT,
    last_attempt_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_webhook_delivery PRIMARY KEY (outbox_id, endpoint_id),
    CONSTRAINT fk_webhook_delivery_outbox FOREIGN KEY(outbox_id) REFERENCES outbox (id) ON DELETE CASCADE,
    CONSTRAINT ck_webhook_delivery_state CHECK (
        (next_attempt_at IS NOT NULL)::int + (delivered_at IS NOT NULL)::int + (parked_reason IS NOT NULL)::int = 1)
);
COMMENT ON COLUMN webhook_delivery.claimed IS 'somebody is at it, until next_attempt_at';
COMMENT ON COLUMN webhook_delivery.try_until IS 'what fails later is parked; null: not tried yet';
COMMENT ON COLUMN webhook_delivery.last_status IS 'of the answer; null: there was none';
CREATE INDEX ix_webhook_delivery_due ON webhook_delivery (endpoint_id, next_attempt_at)
    WHERE next_attempt_at IS NOT NULL;
CREATE INDEX ix_webhook_delivery_claimed ON webhook_delivery (endpoint_id, next_attempt_at) WHERE claimed;
CREATE INDEX ix_webhook_delivery_parked ON webhook_delivery (endpoint_id, outbox_id) WHERE parked_reason IS NOT NULL;
CREATE INDEX ix_webhook_delivery_waiting ON webhook_delivery (endpoint_id, outbox_id)
    WHERE next_attempt_at IS NOT NULL;
CREATE INDEX ix_webhook_delivery_endpoint ON webhook_delivery (endpoint_id, outbox_id);
"""


def upgrade() -> None:
    """Add the tables, what fills them, the log of who sets them up, and the index by which due assets are found."""
    op.execute(SCHEMA)
    op.execute((FUNCTIONS / "0010_webhooks.sql").read_text())
    told = ", ".join(f"'{one}'" for one in ("webhook_endpoint", *TOLD))
    op.execute(
        "CREATE TRIGGER audit_log AFTER INSERT OR DELETE OR UPDATE ON webhook_endpoint"
        f" FOR EACH ROW EXECUTE FUNCTION tactics_log_row({told})"
    )
    op.execute(
        "CREATE TRIGGER audit_log_truncate AFTER TRUNCATE ON webhook_endpoint"
        " FOR EACH STATEMENT EXECUTE FUNCTION tactics_log_truncate('webhook_endpoint')"
    )
    for name, on in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {on}")


def downgrade() -> None:
    """Drop all of it; what was not delivered never will be."""
    op.execute("DROP INDEX ix_asset_due")
    op.execute("DROP TRIGGER webhook_deliveries ON outbox")
    op.execute("DROP FUNCTION tactics_add_deliveries")
    before = (FUNCTIONS / "0004_grant_benefit.sql").read_text()
    start = before.index("CREATE FUNCTION tactics_expire_assets")
    expire = before[start : before.index("$$;", start) + len("$$;")]
    op.execute(expire.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
    op.execute("DROP TABLE webhook_delivery")
    op.execute("DROP TABLE webhook_endpoint")

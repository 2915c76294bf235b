"""Codes are found by an index, redemptions name the order, grants are listed by time; movements tell who made them."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# On tables that have rows already, each partition's part is built beforehand, while everybody goes on writing
# (tactics.store.migrate): CREATE INDEX then takes what is there.
INDEXES = {
    "ix_asset_code": "asset ((details ->> 'code'), user_id) WHERE (details ->> 'code') IS NOT NULL",
    "ix_grant_record_activity_code": "grant_record (activity_code, created_at, id)",
    "ix_grant_record_created_at": "grant_record (created_at, id)",
    "ix_grant_record_not_granted": "grant_record (state, created_at, id) WHERE state <> 'granted'",
}
SCHEMA = """
ALTER TABLE asset ADD COLUMN reference TEXT;
COMMENT ON COLUMN asset.reference IS 'the order that redeemed it; null: none was named';

ALTER TABLE stock_movement ADD COLUMN actor TEXT;
ALTER TABLE stock_movement ADD COLUMN movement_key TEXT;
COMMENT ON COLUMN stock_movement.actor IS 'null: a document caused it';
COMMENT ON COLUMN stock_movement.movement_key IS 'the id that the caller gave it';
ALTER TABLE stock_movement
    ADD CONSTRAINT uq_stock_movement_key UNIQUE (activity_code, benefit_code, movement_key);

DROP INDEX ix_grant_record_activity_code;
"""


def upgrade() -> None:
    """Add columns and indexes."""
    op.execute(SCHEMA)
    for name, on in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {on}")


def downgrade() -> None:
    """Drop them; which order redeemed an asset, and who moved stock, is forgotten."""
    op.execute("DROP INDEX ix_grant_record_not_granted, ix_grant_record_created_at, ix_grant_record_activity_code")
    op.execute("CREATE INDEX ix_grant_record_activity_code ON grant_record (activity_code)")
    op.execute("ALTER TABLE stock_movement DROP COLUMN movement_key, DROP COLUMN actor")
    op.execute("DROP INDEX ix_asset_code")
    op.execute("ALTER TABLE asset DROP COLUMN reference")

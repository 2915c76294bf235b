"""Recall: which items go together, counted from what users did with them.

`user_item.learnt` is null for every row that is there already, so the first runs of the learner take them in.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = """
ALTER TABLE user_item ADD COLUMN learnt BOOLEAN;

COMMENT ON COLUMN user_item.learnt IS 'null: recall has to look at it; true: counted in item_pair; false: too old for it';

CREATE INDEX ix_user_item_to_learn ON user_item (user_id) WHERE learnt IS NULL;

CREATE TABLE item_pair (
    item_id TEXT NOT NULL,
    other_id TEXT NOT NULL,
    users BIGINT NOT NULL,
    CONSTRAINT pk_item_pair PRIMARY KEY (item_id, other_id),
    CONSTRAINT ck_item_pair_users CHECK (users > 0)
);

CREATE INDEX ix_item_pair_item_id_users_other_id ON item_pair (item_id, users, other_id);

CREATE TABLE recall_rebuild (
    reached_user_id TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_recall_rebuild PRIMARY KEY (started_at)
);
"""


def upgrade() -> None:
    """Add what the learner keeps."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Forget what was learnt."""
    op.execute("DROP TABLE recall_rebuild")
    op.execute("DROP TABLE item_pair")
    op.execute("DROP INDEX ix_user_item_to_learn")
    op.execute("ALTER TABLE user_item DROP COLUMN learnt")

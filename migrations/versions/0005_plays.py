"""Plays with their versions; and of each version of an activity, when it became current and which one it restores.

Every version there was before became current when it was saved.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE play (
    code TEXT NOT NULL,
    version INTEGER,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_play PRIMARY KEY (code)
);
COMMENT ON COLUMN play.version IS 'null: a draft, of which nothing can be made yet';

CREATE TABLE play_version (
    play_code TEXT NOT NULL,
    version INTEGER NOT NULL,
    definition JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    current_at TIMESTAMP WITH TIME ZONE,
    restores INTEGER,
    CONSTRAINT pk_play_version PRIMARY KEY (play_code, version),
    CONSTRAINT fk_play_version_play FOREIGN KEY(play_code) REFERENCES play (code)
);
COMMENT ON COLUMN play_version.current_at IS 'null: never was';
COMMENT ON COLUMN play_version.restores IS 'the earlier version that a rollback brought back as this one';

ALTER TABLE activity_version ADD COLUMN current_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE activity_version ADD COLUMN restores INTEGER;
COMMENT ON COLUMN activity_version.current_at IS 'null: never was';
COMMENT ON COLUMN activity_version.restores IS 'the earlier version that a rollback brought back as this one';
UPDATE activity_version SET current_at = created_at;
"""


def upgrade() -> None:
    """Add both tables and both columns."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Drop them; drafts that never became current go too, for nothing would tell them apart any more."""
    op.execute("DELETE FROM activity_version WHERE current_at IS NULL")
    op.execute("ALTER TABLE activity_version DROP COLUMN restores, DROP COLUMN current_at")
    op.execute("DROP TABLE play_version")
    op.execute("DROP TABLE play")

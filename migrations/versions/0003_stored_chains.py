"""Stored chains: edited at run time, versioned; an execution keeps the version that it began with.

No foreign key leads from executions to versions: versions are never deleted, and the check would cost every placement.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE stored_chain (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    enabled BOOLEAN DEFAULT true NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_stored_chain PRIMARY KEY (name)
);

CREATE TABLE stored_chain_version (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    template_type TEXT NOT NULL,
    link TEXT NOT NULL,
    channel_codes TEXT[],
    steps TEXT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_stored_chain_version PRIMARY KEY (id),
    CONSTRAINT uq_stored_chain_version_name_version UNIQUE (name, version),
    CONSTRAINT fk_stored_chain_version_stored_chain FOREIGN KEY(name) REFERENCES stored_chain (name),
    CONSTRAINT ck_stored_chain_version_link CHECK (link IN ('prepare', 'grant')),
    CONSTRAINT ck_stored_chain_version_channel_codes CHECK (cardinality(channel_codes) > 0),
    CONSTRAINT ck_stored_chain_version_steps CHECK (cardinality(steps) > 0)
);

COMMENT ON COLUMN stored_chain_version.channel_codes IS 'null: all that no other stored chain names';
ALTER TABLE execution ADD COLUMN chain_id BIGINT;
COMMENT ON COLUMN execution.chain_id IS 'null: the chain in code; 0: whoever starts it chooses';
"""


def upgrade() -> None:
    """Add both tables, and the version that an execution runs."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Drop them; what runs a stored chain could not go on."""
    op.execute("ALTER TABLE execution DROP COLUMN chain_id")
    op.execute("DROP TABLE stored_chain_version")
    op.execute("DROP TABLE stored_chain")

"""API keys."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE api_key (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    scopes TEXT[] NOT NULL,
    rate_per_s DOUBLE PRECISION,
    burst INTEGER,
    signing_secrets TEXT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    last_used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_key PRIMARY KEY (id),
    CONSTRAINT ck_api_key_rate CHECK ((rate_per_s IS NULL) = (burst IS NULL) AND rate_per_s > 0 AND burst >= 1),
    CONSTRAINT ck_api_key_scopes CHECK (cardinality(scopes) > 0),
    CONSTRAINT ck_api_key_signing_secrets CHECK (cardinality(signing_secrets) <= 2)
);
COMMENT ON COLUMN api_key.secret_hash IS 'SHA-256 of 256 random bits, as hex: nothing that a slow hash would protect';
COMMENT ON COLUMN api_key.signing_secrets IS 'newest first, two while they are exchanged; empty: requests are not signed';
COMMENT ON COLUMN api_key.last_used_at IS 'true to a minute';
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Drop it: nobody has a key any more."""
    op.execute("DROP TABLE api_key")

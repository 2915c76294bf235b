"""The grant as one call of the database: docs/adr/0016-plain-statements-on-the-hot-path.md."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

FUNCTIONS = Path(__file__).parents[1] / "functions" / "0004_grant_benefit.sql"


def upgrade() -> None:
    """Create the functions."""
    op.execute(FUNCTIONS.read_text())


def downgrade() -> None:
    """Drop the functions."""
    for name in ("grant_benefit", "expire_assets", "take_codes", "notice_codes", "count_within"):
        op.execute(f"DROP FUNCTION tactics_{name}")

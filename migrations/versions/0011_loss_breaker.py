"""Activities that pause themselves: when and why one did, and the executions that wait for it."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Built beforehand where there are rows (tactics.store.migrate): CREATE INDEX then takes what is there.
INDEXES = {
    "ix_execution_held": "execution (activity_code, created_at)"
    " WHERE outcome = 'parked' AND reason LIKE 'the activity paused itself%'"
}
TOLD = ("code", "status", "version", "priority", "template_type", "starts_at", "ends_at", "grants_removed_at")

SCHEMA = """
ALTER TABLE activity ADD COLUMN tripped_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE activity ADD COLUMN tripped_reason TEXT;
ALTER TABLE activity ADD CONSTRAINT ck_activity_tripped CHECK (
    (tripped_at IS NULL) = (tripped_reason IS NULL) AND (tripped_at IS NULL OR status = 'paused'));
CREATE INDEX ix_activity_tripped ON activity (tripped_at) WHERE tripped_at IS NOT NULL;
COMMENT ON COLUMN activity.tripped_at IS 'when it paused itself; null: it did not, or runs again';
"""


def _tell(columns: tuple[str, ...]) -> None:
    """Let the audit log tell these columns of activities."""
    told = ", ".join(f"'{one}'" for one in ("activity", *columns))
    op.execute("DROP TRIGGER audit_log ON activity")
    op.execute(
        "CREATE TRIGGER audit_log AFTER INSERT OR DELETE OR UPDATE ON activity"
        f" FOR EACH ROW EXECUTE FUNCTION tactics_log_row({told})"
    )


def upgrade() -> None:
    """Add the columns, which the audit log tells too, and the index by which what waits is found."""
    op.execute(SCHEMA)
    _tell((*TOLD, "tripped_reason"))
    for name, on in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {on}")


def downgrade() -> None:
    """Drop them: what paused itself stays paused, and what waited for it stays parked, as after any other failure."""
    op.execute("DROP INDEX ix_execution_held")
    _tell(TOLD)
    op.execute("ALTER TABLE activity DROP COLUMN tripped_at, DROP COLUMN tripped_reason")

"""The audit log, written by triggers: whoever makes a change, `psql` too. And which activities' grants were removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE audit_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    actor TEXT NOT NULL,
    request_id TEXT,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    before JSONB,
    after JSONB,
    CONSTRAINT pk_audit_log PRIMARY KEY (at, id)
)
 PARTITION BY RANGE (at);
COMMENT ON COLUMN audit_log.subject IS 'which one of its kind; *: many at once';
CREATE INDEX ix_audit_log_kind_subject_at ON audit_log (kind, subject, at);
CREATE TABLE audit_log_pdefault PARTITION OF audit_log DEFAULT;

ALTER TABLE activity ADD COLUMN grants_removed_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN activity.grants_removed_at IS 'by retention; null: its grants are all there';
"""
FUNCTIONS = Path(__file__).parents[1] / "functions" / "0007_audit_log.sql"

# Kind of thing → what names one, and what is told of it before and after. Definitions are big: their hash tells that one
# was changed by hand, and versions tell the rest.
ROWS = {
    "activity": ("code", "status", "version", "priority", "template_type", "starts_at", "ends_at", "grants_removed_at"),
    "activity_version": ("activity_code", "version", "definition.limits", "definition.md5", "current_at", "restores"),
    "play": ("code", "version"),
    "play_version": ("play_code", "version", "definition.md5", "current_at", "restores"),
    "behaviour_rule": ("rule_key", "version", "rule", "cooldown_s", "enabled"),
    "stored_chain": ("name", "version", "enabled"),
    "stored_chain_version": ("name", "version", "template_type", "link", "channel_codes", "steps"),
    "benefit": ("activity_code/code", "stock_initial"),
    "stock_movement": ("activity_code/benefit_code", "delta", "reason"),
    "api_key": ("id", "name", "scopes", "rate_per_s", "burst", "signing_secrets.md5", "expires_at", "revoked_at"),
}
# Each statement is told of by how many rows it changed; what they say is no business of the log's.
STATEMENTS = ("user_profile", "item", "item_set")
TOLD = (*ROWS, "asset", *STATEMENTS)


def _of_rows(table: str, told: tuple[str, ...], events: str = "INSERT OR DELETE OR UPDATE", when: str = "") -> str:
    arguments = ", ".join(f"'{one}'" for one in (table, *told))
    return (
        f"CREATE TRIGGER audit_log AFTER {events} ON {table} FOR EACH ROW {when}"
        f" EXECUTE FUNCTION tactics_log_row({arguments})"
    )


def _of_statements(table: str, event: str, changed: str) -> str:
    return (
        f"CREATE TRIGGER audit_log_{event.lower()} AFTER {event} ON {table} REFERENCING {changed} TABLE AS changed"
        f" FOR EACH STATEMENT EXECUTE FUNCTION tactics_log_statement('{table}')"
    )


def _triggers() -> Iterator[str]:
    yield from (_of_rows(table, told) for table, told in ROWS.items() if table != "benefit")
    # What grants count down is no change that anybody makes: the trigger does not even see it.
    yield _of_rows("benefit", ROWS["benefit"], "INSERT OR DELETE OR UPDATE OF stock_initial")
    # A grant inserts assets, and time expires them: neither is anybody's change of a status.
    changed = "WHEN (OLD.status IS DISTINCT FROM NEW.status AND NEW.status <> 'expired')"
    yield _of_rows("asset", ("id", "status"), "UPDATE OF status", changed)
    for table in STATEMENTS:
        yield _of_statements(table, "INSERT", "NEW")
        yield _of_statements(table, "UPDATE", "NEW")
        yield _of_statements(table, "DELETE", "OLD")
    for table in TOLD:
        yield (
            f"CREATE TRIGGER audit_log_truncate AFTER TRUNCATE ON {table} FOR EACH STATEMENT"
            f" EXECUTE FUNCTION tactics_log_truncate('{table}')"
        )
    refused = "EXECUTE FUNCTION tactics_append_only()"
    yield f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW {refused}"
    # Those of statements are not handed down to partitions: new ones get theirs when they are made.
    for table in ("audit_log", "audit_log_pdefault"):
        yield f"CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refused}"


def upgrade() -> None:
    """Add the log, then what writes it and what keeps it as it is."""
    op.execute(SCHEMA)
    op.execute(FUNCTIONS.read_text())
    for trigger in _triggers():
        op.execute(trigger)


def downgrade() -> None:
    """Drop all of it; what was logged is gone."""
    for table in (*ROWS, "asset"):
        op.execute(f"DROP TRIGGER audit_log ON {table}")
    for table in STATEMENTS:
        for event in ("insert", "update", "delete"):
            op.execute(f"DROP TRIGGER audit_log_{event} ON {table}")
    for table in TOLD:
        op.execute(f"DROP TRIGGER audit_log_truncate ON {table}")
    op.execute("DROP TABLE audit_log")
    for name in ("log_row", "log_statement", "log_truncate", "append_only", "told", "actor"):
        op.execute(f"DROP FUNCTION tactics_{name}")
    op.execute("ALTER TABLE activity DROP COLUMN grants_removed_at")

"""Records, their images, and the ledger, which the database itself keeps append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SQLITE_GUARDS = (
    """CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)
POSTGRES_GUARDS = (
    """CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$""",
    """CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()""",
)


def upgrade() -> None:
    _create_records()
    _create_images()
    _create_ledger()
    guards = SQLITE_GUARDS if op.get_bind().dialect.name == "sqlite" else POSTGRES_GUARDS
    for statement in guards:
        op.execute(statement)


def _create_records() -> None:
    op.create_table(
        "records",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("size", sa.Text),
        sa.Column("aspect", sa.Text),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text),
        sa.Column("cost", sa.BigInteger, nullable=False),
        sa.Column("estimate", sa.JSON, nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("usage", sa.JSON, nullable=False),
        sa.Column("grounding", sa.JSON, nullable=False),
        sa.Column("timing", sa.JSON, nullable=False),
        sa.Column("texts", sa.JSON, nullable=False),
        sa.Column("turn", sa.JSON, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("finish_reason", sa.Text),
        sa.Column("model_version", sa.Text),
        sa.Column("response_id", sa.Text),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("parents", sa.JSON, nullable=False),
        sa.CheckConstraint("cost BETWEEN 0 AND 1000000000000", name="records_cost_range"),
    )
    op.create_index("records_by_time", "records", ["created", "id"])


def _create_images() -> None:
    op.create_table(
        "record_images",
        sa.Column("record_id", sa.Text, sa.ForeignKey("records.id"), primary_key=True),
        sa.Column("ordinal", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("width", sa.BigInteger, nullable=False),
        sa.Column("height", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("signature_key", sa.Text),
    )
    op.create_index("record_images_by_content", "record_images", ["sha256"])


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("entry_id", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, sa.ForeignKey("records.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("micro", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("size", sa.Text),
        sa.Column("price_version", sa.Text, nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("queries", sa.BigInteger, nullable=False),
        sa.CheckConstraint(
            "micro BETWEEN -1000000000000 AND 1000000000000 AND (kind <> 'settle' OR micro >= 0)",
            name="ledger_micro_range",
        ),
    )
    op.create_index("ledger_by_record", "ledger", ["record_id"])
    op.create_index("ledger_by_time", "ledger", ["at"])

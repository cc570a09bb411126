"""The journal of calls, idempotency keys, budgets and balances; ledger lines name call and scopes.

A line that sets money aside is written before there is a record, so the ledger names records
without a foreign key from here on. Older lines count against everything, their day and their
month in UTC, and the balances begin with their sums.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# the same expressions on both engines; `day` is the line's day in UTC
SCOPES = """'["day/' || day || '", "month/' || substr(day, 1, 7) || '", "total"]'"""
SCOPE_OF_EACH = ("'total'", "'day/' || day", "'month/' || substr(day, 1, 7)")
LEDGER = (
    "entry_id, record_id, kind, micro, at, model, size, price_version, simulated, detail, day, "
    "queries"
)
SUM = "SUM(CASE WHEN kind IN ({kinds}) THEN micro ELSE 0 END)"
SETTLED = SUM.format(kinds="'settle', 'adjust'")
RESERVED = SUM.format(kinds="'reserve', 'release'")
HELD = SUM.format(kinds="'hold', 'hold_release'")
SQLITE_GUARDS = (
    """CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _renew_ledger()
    else:
        _alter_ledger()
    _create_calls()
    _create_claims()
    _create_budgets()


def _renew_ledger() -> None:
    """SQLite drops no foreign key: the lines move to a new table of the same name."""
    op.create_table(
        "ledger_next",
        sa.Column("entry_id", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("micro", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("size", sa.Text),
        sa.Column("price_version", sa.Text, nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("queries", sa.BigInteger, nullable=False),
        sa.CheckConstraint(
            "micro BETWEEN -1000000000000 AND 1000000000000 AND (kind <> 'settle' OR micro >= 0)",
            name="ledger_micro_range",
        ),
    )
    op.execute(f"INSERT INTO ledger_next ({LEDGER}, scopes) SELECT {LEDGER}, {SCOPES} FROM ledger")  # noqa: S608
    op.drop_table("ledger")  # with its indices and its guards, which do not see this
    op.rename_table("ledger_next", "ledger")
    op.create_index("ledger_by_record", "ledger", ["record_id"])
    op.create_index("ledger_by_time", "ledger", ["at"])
    for statement in SQLITE_GUARDS:
        op.execute(statement)


def _alter_ledger() -> None:
    """Postgres: the guard steps aside within this transaction, which locks the table anyway."""
    op.drop_constraint("ledger_record_id_fkey", "ledger", type_="foreignkey")
    op.add_column("ledger", sa.Column("call_id", sa.Text))
    op.add_column("ledger", sa.Column("scopes", sa.JSON))
    op.execute("ALTER TABLE ledger DISABLE TRIGGER ledger_append_only")
    op.execute(f"UPDATE ledger SET scopes = ({SCOPES})::json")  # noqa: S608
    op.execute("ALTER TABLE ledger ENABLE TRIGGER ledger_append_only")
    op.alter_column("ledger", "scopes", nullable=False)


def _create_calls() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("library", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("upstream", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("twin", sa.Text, nullable=False),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("remote", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("trail", sa.JSON, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.CheckConstraint("reserved BETWEEN 0 AND 1000000000000", name="calls_reserved_range"),
    )
    op.create_index("calls_by_stage", "calls", ["stage", "begun"])
    op.create_index("calls_by_twin", "calls", ["twin"])
    op.create_index("calls_by_project", "calls", ["project", "changed"])
    op.create_index("calls_by_time", "calls", ["begun", "id"])
    op.create_index("calls_by_job", "calls", ["job"])


def _create_claims() -> None:
    op.create_table(
        "claims",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.JSON),
    )


def _create_budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("limit_micro", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("limit_micro BETWEEN 0 AND 1000000000000", name="budgets_limit_range"),
    )
    op.create_table(
        "balances",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("simulated", sa.Boolean, primary_key=True),
        sa.Column("settled", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
    )
    for scope in SCOPE_OF_EACH:
        op.execute(
            "INSERT INTO balances (scope, simulated, settled, reserved, held) "  # noqa: S608
            f"SELECT {scope}, simulated, {SETTLED}, {RESERVED}, {HELD} "
            "FROM ledger GROUP BY 1, 2"
        )

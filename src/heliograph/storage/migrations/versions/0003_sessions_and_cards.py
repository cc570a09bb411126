"""Records name their session and the record they change; cards are documents that people change."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("records", sa.Column("session", sa.Text))
    op.add_column("records", sa.Column("follows", sa.Text))
    # holds all that the list of sessions counts, and nothing of records without one
    op.create_index(
        "records_by_session",
        "records",
        ["session", "created", "id", "outcome", "cost"],
        sqlite_where=sa.text("session IS NOT NULL"),
        postgresql_where=sa.text("session IS NOT NULL"),
    )
    op.create_table(
        "cards",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version >= 1", name="cards_version_range"),
    )

"""Records name their owner and are listed in a narrow table; trash, users, keys and jobs.

The list of older records is made here, prompt by prompt, because neither engine folds the case of
all letters. Users and records are never deleted, so what names them may lean on that.
"""

import json
import re

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

AT_ONCE = 500  # rows read and written together
ESCAPED = re.compile("\x1a[0-9a-f]{4}")  # how unstorable characters were written
_records = sa.table(
    "records",
    sa.column("id", sa.Text),
    sa.column("created", sa.DateTime(timezone=True)),
    sa.column("outcome", sa.Text),
    sa.column("model", sa.Text),
    sa.column("size", sa.Text),
    sa.column("verdict", sa.Text),
    sa.column("simulated", sa.Boolean),
    sa.column("session", sa.Text),
    sa.column("prompt", sa.Text),
    sa.column("request", sa.JSON),
)
_listing = sa.table(
    "listing",
    sa.column("created", sa.DateTime(timezone=True)),
    sa.column("record_id", sa.Text),
    sa.column("outcome", sa.Text),
    sa.column("model", sa.Text),
    sa.column("size", sa.Text),
    sa.column("verdict", sa.Text),
    sa.column("simulated", sa.Boolean),
    sa.column("session", sa.Text),
    sa.column("tags", sa.Text),
    sa.column("words", sa.Text),
)


def upgrade() -> None:
    op.add_column("records", sa.Column("owner", sa.Text))
    # holds all that the list of one user's sessions counts
    op.create_index(
        "records_by_owner",
        "records",
        ["owner", "session", "created", "id", "outcome", "cost"],
        sqlite_where=sa.text("session IS NOT NULL"),
        postgresql_where=sa.text("session IS NOT NULL"),
    )
    _create_listing()
    _list_records()
    _create_accounts()
    _create_jobs()


def _create_listing() -> None:
    op.create_table(
        "listing",
        sa.Column("created", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("record_id", sa.Text, sa.ForeignKey("records.id"), primary_key=True),
        sa.Column("owner", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("size", sa.Text),
        sa.Column("verdict", sa.Text),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("session", sa.Text),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        # the rows lie in the order that they are listed in: a search reads them one by one,
        # and that takes half as long as through an index
        sqlite_with_rowid=False,
    )
    op.create_table(
        "trash",
        sa.Column("record_id", sa.Text, sa.ForeignKey("records.id"), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def _list_records() -> None:
    connection = op.get_bind()
    page = sa.select(_records).order_by(_records.c.id).limit(AT_ONCE)
    rows = connection.execute(page).mappings().all()
    while rows:
        connection.execute(sa.insert(_listing), [_listed(dict(row)) for row in rows])
        later = page.where(_records.c.id > rows[-1]["id"])
        rows = connection.execute(later).mappings().all()


def _listed(row: dict[str, object]) -> dict[str, object]:
    record_id, prompt, request = row.pop("id"), str(row.pop("prompt")), row.pop("request")
    tags = request.get("tags") if isinstance(request, dict) else None
    kept = {tag for tag in tags if isinstance(tag, str)} if isinstance(tags, list) else set()
    return row | {
        "record_id": record_id,
        "tags": "".join(f"\n{json.dumps(tag)}\n" for tag in sorted(kept)),
        "words": ESCAPED.sub("\ufffd", prompt).casefold(),
    }


def _create_accounts() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False, unique=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("per_minute", sa.BigInteger),
        sa.Column("at_once", sa.BigInteger),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.CheckConstraint("version >= 1", name="users_version_range"),
        sa.CheckConstraint("per_minute >= 0 AND at_once >= 0", name="users_limits_range"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True)),
        sa.Column("revoked", sa.DateTime(timezone=True)),
        sa.Column("last_used", sa.DateTime(timezone=True)),
        sa.Column("per_minute", sa.BigInteger),
        sa.Column("at_once", sa.BigInteger),
        sa.CheckConstraint("per_minute >= 0 AND at_once >= 0", name="api_keys_limits_range"),
    )
    op.create_index("api_keys_by_user", "api_keys", ["user_id"])
    op.create_table(
        "revisions",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("access", sa.Text),
        sa.Column("face", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("mark", sa.Text, nullable=False),
        sa.Column("pictures", sa.JSON, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("library", sa.Text, nullable=False),
        sa.Column("durable", sa.Boolean, nullable=False),
        sa.Column("request", sa.JSON),
        sa.Column("records", sa.JSON, nullable=False),
        sa.Column("sources", sa.JSON, nullable=False),
        sa.Column("cost", sa.BigInteger, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("key", sa.Text),
        sa.Column("key_expires", sa.DateTime(timezone=True)),
        sa.Column("webhook", sa.Text),
        sa.CheckConstraint("cost BETWEEN 0 AND 1000000000000", name="jobs_cost_range"),
    )
    op.create_index(
        "jobs_by_key",
        "jobs",
        ["user_id", "key"],
        unique=True,
        sqlite_where=sa.text("key IS NOT NULL"),
        postgresql_where=sa.text("key IS NOT NULL"),
    )
    op.create_index("jobs_by_time", "jobs", ["created", "id"])
    op.create_index("jobs_by_user", "jobs", ["user_id", "created", "id"])
    op.create_index("jobs_by_mark", "jobs", ["user_id", "mark", "created", "id"])
    op.create_index("jobs_by_state", "jobs", ["state", "library", "created", "id"])
    op.create_index("jobs_by_user_and_state", "jobs", ["user_id", "state"])

"""The tables as the code reads and writes them.

What the database itself enforces (keys, ranges, indices, append-only triggers) stands in
`migrations/`; a test compares both. Invariant: any text that Python can hold, and any time with
a zone, comes back as it went in, from SQLite and from Postgres alike.
"""

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    MetaData,
    Named,
    Table,
    Text,
    TypedColumns,
)
from sqlalchemy.types import TypeDecorator

from heliograph.storage.listing import UNSTORABLE

ESCAPED = re.compile("\x1a([0-9a-f]{4})")


class AnyText(TypeDecorator[str]):
    """Text, with the few characters that databases refuse written as U+001A and four digits."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        return UNSTORABLE.sub(lambda match: f"\x1a{ord(match[0]):04x}", value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        return ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone, kept in UTC; SQLite has no zones, so it is kept there without."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class RecordColumns(TypedColumns):
    """One paid call: the fields of `types.Record` but its images, name for name."""

    id: Named[str] = Column(AnyText, primary_key=True)
    created: Named[datetime] = Column(UtcTime)
    outcome: Named[str] = Column(Text)
    prompt: Named[str] = Column(AnyText)
    model: Named[str] = Column(AnyText)
    size: Named[str | None] = Column(AnyText)
    aspect: Named[str | None] = Column(AnyText)
    tier: Named[str] = Column(AnyText)
    verdict: Named[str | None] = Column(Text)
    cost: Named[int] = Column(BigInteger)
    estimate: Named[Any] = Column(JSON, nullable=False)
    simulated: Named[bool]
    upstream: Named[str] = Column(AnyText)
    request: Named[Any] = Column(JSON, nullable=False)
    usage: Named[Any] = Column(JSON, nullable=False)
    grounding: Named[Any] = Column(JSON, nullable=False)
    timing: Named[Any] = Column(JSON, nullable=False)
    texts: Named[Any] = Column(JSON, nullable=False)
    turn: Named[Any] = Column(JSON, nullable=False)
    warnings: Named[Any] = Column(JSON, nullable=False)
    finish_reason: Named[str | None] = Column(AnyText)
    model_version: Named[str | None] = Column(AnyText)
    response_id: Named[str | None] = Column(AnyText)
    attempts: Named[int] = Column(BigInteger)
    parents: Named[Any] = Column(JSON, nullable=False)
    session: Named[str | None] = Column(AnyText)
    follows: Named[str | None] = Column(AnyText)
    owner: Named[str | None] = Column(AnyText)


class ImageColumns(TypedColumns):
    """One kept image: the fields of `types.KeptImage`, its pixels as two numbers."""

    record_id: Named[str] = Column(AnyText, primary_key=True)
    ordinal: Named[int] = Column(primary_key=True)
    sha256: Named[str] = Column(AnyText)
    key: Named[str] = Column(AnyText)
    role: Named[str] = Column(Text)
    format: Named[str] = Column(AnyText)
    media_type: Named[str] = Column(AnyText)
    width: Named[int] = Column(BigInteger)
    height: Named[int] = Column(BigInteger)
    size: Named[int] = Column(BigInteger)
    verdict: Named[str] = Column(Text)
    signature_key: Named[str | None] = Column(AnyText)


class LedgerColumns(TypedColumns):
    """One ledger line, and two values derived from it, so that reports are plain SQL."""

    entry_id: Named[str] = Column(AnyText, primary_key=True)
    record_id: Named[str] = Column(AnyText)
    call_id: Named[str | None] = Column(AnyText)
    kind: Named[str] = Column(AnyText)
    micro: Named[int] = Column(BigInteger)
    at: Named[datetime] = Column(UtcTime)
    model: Named[str] = Column(AnyText)
    size: Named[str | None] = Column(AnyText)
    price_version: Named[str] = Column(AnyText)
    simulated: Named[bool]
    scopes: Named[Any] = Column(JSON, nullable=False)
    detail: Named[Any] = Column(JSON, nullable=False)
    day: Named[str] = Column(Text)  # of `at` in UTC: 2026-11-30
    queries: Named[int] = Column(BigInteger)  # of `detail`


class CallColumns(TypedColumns):
    """One call of the journal: the fields of `journal.CallEntry`, name for name."""

    id: Named[str] = Column(AnyText, primary_key=True)
    job: Named[str] = Column(AnyText)
    stage: Named[str] = Column(Text)
    owner: Named[str] = Column(AnyText)
    library: Named[str] = Column(AnyText)
    model: Named[str] = Column(AnyText)
    upstream: Named[str] = Column(AnyText)
    project: Named[str] = Column(AnyText)
    simulated: Named[bool]
    transport: Named[str] = Column(AnyText)
    reserved: Named[int] = Column(BigInteger)
    twin: Named[str] = Column(AnyText)
    begun: Named[datetime] = Column(UtcTime)
    changed: Named[datetime] = Column(UtcTime)
    attempts: Named[int] = Column(BigInteger)
    remote: Named[str | None] = Column(AnyText)
    note: Named[str | None] = Column(AnyText)
    scopes: Named[Any] = Column(JSON, nullable=False)
    trail: Named[Any] = Column(JSON, nullable=False)
    plan: Named[Any] = Column(JSON, nullable=False)


class ClaimColumns(TypedColumns):
    """One idempotency key: the fields of `journal.Claim`."""

    key: Named[str] = Column(AnyText, primary_key=True)
    fingerprint: Named[str] = Column(AnyText)
    job: Named[str] = Column(AnyText)
    state: Named[str] = Column(Text)
    expires: Named[datetime] = Column(UtcTime)
    error: Named[Any] = Column(JSON(none_as_null=True), nullable=True)


class BudgetColumns(TypedColumns):
    """One limit."""

    name: Named[str] = Column(AnyText, primary_key=True)
    limit_micro: Named[int] = Column(BigInteger)
    changed: Named[datetime] = Column(UtcTime)


class BalanceColumns(TypedColumns):
    """The running sums of one scope: the fields of `ledger.Balance`."""

    scope: Named[str] = Column(AnyText, primary_key=True)
    simulated: Named[bool] = Column(primary_key=True)
    settled: Named[int] = Column(BigInteger)
    reserved: Named[int] = Column(BigInteger)
    held: Named[int] = Column(BigInteger)


class CardColumns(TypedColumns):
    """One small document that people change: the fields of `ports.Card`."""

    kind: Named[str] = Column(AnyText, primary_key=True)
    name: Named[str] = Column(AnyText, primary_key=True)
    body: Named[Any] = Column(JSON, nullable=False)
    version: Named[int] = Column(BigInteger)
    changed: Named[datetime] = Column(UtcTime)


class ListingColumns(TypedColumns):
    """What is searched of a record, by time, in a table so narrow that all of it can be read."""

    created: Named[datetime] = Column(UtcTime, primary_key=True)
    record_id: Named[str] = Column(AnyText, primary_key=True)
    owner: Named[str | None] = Column(AnyText)
    outcome: Named[str] = Column(Text)
    model: Named[str] = Column(AnyText)
    size: Named[str | None] = Column(AnyText)
    verdict: Named[str | None] = Column(Text)
    simulated: Named[bool]
    session: Named[str | None] = Column(AnyText)
    tags: Named[str] = Column(Text)  # see `listing.tag_text`
    words: Named[str] = Column(Text)  # the prompt, see `listing.fold`


class TrashColumns(TypedColumns):
    """One record that somebody threw away."""

    record_id: Named[str] = Column(AnyText, primary_key=True)
    at: Named[datetime] = Column(UtcTime)


class UserColumns(TypedColumns):
    """One user: the fields of `accounts.User`, its limits as two numbers."""

    id: Named[str] = Column(AnyText, primary_key=True)
    name: Named[str] = Column(AnyText)
    name_key: Named[str] = Column(AnyText)  # see `account.name_key`
    role: Named[str] = Column(Text)
    created: Named[datetime] = Column(UtcTime)
    changed: Named[datetime] = Column(UtcTime)
    disabled: Named[bool]
    per_minute: Named[int | None] = Column(BigInteger)
    at_once: Named[int | None] = Column(BigInteger)
    version: Named[int] = Column(BigInteger)


class KeyColumns(TypedColumns):
    """One key: the fields of `accounts.ApiKey`; `user` is a word of Postgres's own."""

    id: Named[str] = Column(AnyText, primary_key=True)
    user_id: Named[str] = Column(AnyText)
    name: Named[str] = Column(AnyText)
    digest: Named[str] = Column(AnyText)
    scopes: Named[Any] = Column(JSON, nullable=False)
    created: Named[datetime] = Column(UtcTime)
    expires: Named[datetime | None] = Column(UtcTime)
    revoked: Named[datetime | None] = Column(UtcTime)
    last_used: Named[datetime | None] = Column(UtcTime)
    per_minute: Named[int | None] = Column(BigInteger)
    at_once: Named[int | None] = Column(BigInteger)


class RevisionColumns(TypedColumns):
    """How often something was changed, for processes that remember it."""

    subject: Named[str] = Column(Text, primary_key=True)
    number: Named[int] = Column(BigInteger)


class JobColumns(TypedColumns):
    """One job: the fields of `jobs.Job`; `user` is a word of Postgres's own."""

    id: Named[str] = Column(AnyText, primary_key=True)
    user_id: Named[str] = Column(AnyText)
    access: Named[str | None] = Column(AnyText)
    face: Named[str] = Column(AnyText)
    route: Named[str] = Column(AnyText)
    state: Named[str] = Column(Text)
    mark: Named[str] = Column(AnyText)
    pictures: Named[Any] = Column(JSON, nullable=False)
    prompt: Named[str] = Column(AnyText)
    created: Named[datetime] = Column(UtcTime)
    changed: Named[datetime] = Column(UtcTime)
    owner: Named[str] = Column(AnyText)
    library: Named[str] = Column(AnyText)
    durable: Named[bool]
    request: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    records: Named[Any] = Column(JSON, nullable=False)
    sources: Named[Any] = Column(JSON, nullable=False)
    cost: Named[int] = Column(BigInteger)
    error: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    key: Named[str | None] = Column(AnyText)
    key_expires: Named[datetime | None] = Column(UtcTime)
    webhook: Named[str | None] = Column(AnyText)


metadata = MetaData()
records = Table("records", metadata, RecordColumns)
record_images = Table("record_images", metadata, ImageColumns)
ledger = Table("ledger", metadata, LedgerColumns)
calls = Table("calls", metadata, CallColumns)
claims = Table("claims", metadata, ClaimColumns)
budgets = Table("budgets", metadata, BudgetColumns)
balances = Table("balances", metadata, BalanceColumns)
cards = Table("cards", metadata, CardColumns)
listing = Table("listing", metadata, ListingColumns)
trash = Table("trash", metadata, TrashColumns)
users = Table("users", metadata, UserColumns)
api_keys = Table("api_keys", metadata, KeyColumns)
revisions = Table("revisions", metadata, RevisionColumns)
jobs = Table("jobs", metadata, JobColumns)

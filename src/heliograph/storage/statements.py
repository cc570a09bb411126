"""The statements that write, built once for each engine, and what is always written together.

Invariant: insert-or-fail decides who was first, never a read before it; balances change only with
a line that is really new, and rows of several scopes are touched in one order, so that no two
writers wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Executable,
    FromClause,
    Select,
    Table,
    Update,
    bindparam,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import sqlite

from heliograph.storage.entry import deltas, differs
from heliograph.storage.row import (
    image_rows,
    line_from_row,
    line_row,
    listing_row,
    record_from_rows,
    record_row,
)
from heliograph.storage.tables import (
    AnyText,
    UtcTime,
    api_keys,
    balances,
    budgets,
    calls,
    cards,
    claims,
    jobs,
    ledger,
    listing,
    record_images,
    records,
    revisions,
    trash,
    users,
)
from heliograph.types import LedgerLine, Record

# what a step of a call changes; everything else stays as it began
STEP = ("stage", "owner", "project", "changed", "attempts", "remote", "note", "trail")


@dataclass(frozen=True, kw_only=True)
class Statements:
    """Each takes its parameters by column name, unless said otherwise."""

    add_record: Executable
    add_line: Executable
    add_call: Executable
    add_card: Executable
    add_trash: Executable
    add_user: Executable
    add_key: Executable
    add_job: Executable
    next_revision: Executable  # `number` is 1, the first one and the step
    claim_key: Executable  # new, or in the place of one that expired before `now`
    set_claim: Executable  # new, or in the place of one of the same job
    set_budget: Executable
    add_to_balance: Executable
    reserve: Executable  # `ask` in `scope`, only while `limit` is kept


@lru_cache
def statements(dialect: str) -> Statements:
    """The statements in the words of "sqlite" or "postgresql"."""
    into = _inserter(dialect)
    claim, budget, balance = into(claims), into(budgets), into(balances)
    revision = into(revisions)
    new_claim = {c.name: claim.excluded[c.name] for c in claims.c if not c.primary_key}
    new_limit = {name: budget.excluded[name] for name in ("limit_micro", "changed")}
    accounts = ("settled", "reserved", "held")
    return Statements(
        add_record=_insert_new(into, records),
        add_line=_insert_new(into, ledger),
        add_call=_insert_new(into, calls),
        add_card=_insert_new(into, cards),
        add_trash=_insert_new(into, trash),
        add_user=_insert_free(into(users)),
        add_key=_insert_free(into(api_keys)),
        add_job=_insert_free(into(jobs)),
        next_revision=revision.on_conflict_do_update(
            index_elements=[revisions.c.subject],
            set_={"number": revisions.c.number + revision.excluded.number},
        ),
        claim_key=_counted(
            claim.on_conflict_do_update(
                index_elements=[claims.c.key],
                set_=new_claim,
                where=claims.c.expires <= bindparam("now", type_=UtcTime),
            )
        ),
        set_claim=claim.on_conflict_do_update(
            index_elements=[claims.c.key],
            set_=new_claim,
            where=claims.c.job == claim.excluded.job,
        ),
        set_budget=budget.on_conflict_do_update(index_elements=[budgets.c.name], set_=new_limit),
        add_to_balance=balance.on_conflict_do_update(
            index_elements=[balances.c.scope, balances.c.simulated],
            set_={name: balances.c[name] + balance.excluded[name] for name in accounts},
        ),
        reserve=_reserve(into),
    )


def add_job_unless(dialect: str, row: Mapping[str, Any], found: FromClause) -> Executable:
    """Inserts a job as `Statements.add_job` does, but only while `found` has no row."""
    values = [literal(row[c.name], c.type) for c in jobs.c]
    chosen = select(*values).where(~select(found).exists())
    insertion = _inserter(dialect)(jobs).from_select([c.name for c in jobs.c], chosen)
    return _insert_free(insertion)


def _inserter(dialect: str) -> Any:
    if dialect == "sqlite":
        return sqlite.insert
    from sqlalchemy.dialects import postgresql  # a tenth of the start-up, for few

    return postgresql.insert


def _insert_new(into: Any, table: Table[Any]) -> Executable:
    return _counted(into(table).on_conflict_do_nothing(index_elements=list(table.primary_key)))


def _insert_free(insertion: Any) -> Executable:
    """Whatever is unique about the row: when it is taken, nothing is written."""
    return _counted(insertion.on_conflict_do_nothing())


def _counted(statement: Any) -> Executable:
    """The statement, telling afterwards how many rows it wrote; an INSERT would not by itself."""
    counted: Executable = statement.execution_options(preserve_rowcount=True)
    return counted


def _reserve(into: Any) -> Executable:
    """One conditional upsert: neither the first row of a scope nor a later one passes `limit`."""
    ask = bindparam("ask", type_=BigInteger)
    limit = bindparam("limit", type_=BigInteger)
    nothing = literal(0, BigInteger)
    row = select(
        bindparam("scope", type_=AnyText),
        bindparam("simulated", type_=Boolean),
        nothing,
        ask,
        nothing,
    ).where(ask <= limit)
    wanted = into(balances).from_select([c.name for c in balances.c], row)
    taken = balances.c.settled + balances.c.reserved + balances.c.held
    return _counted(
        wanted.on_conflict_do_update(
            index_elements=[balances.c.scope, balances.c.simulated],
            set_={"reserved": balances.c.reserved + wanted.excluded.reserved},
            where=taken + ask <= limit,
        )
    )


_mine = (
    update(calls)
    .where(calls.c.id == bindparam("the_id"))
    .where(calls.c.owner == bindparam("old_owner"))
    .where(calls.c.stage == bindparam("old_stage"))
)
MOVE: Update = _mine.values({name: bindparam(name) for name in STEP})
REPLACE: Update = _mine.values({c.name: bindparam(c.name) for c in calls.c if not c.primary_key})
ADD_IMAGES = insert(record_images)
ADD_LISTING = insert(listing)
LIMITS = select(budgets.c.name, budgets.c.limit_micro)


def keep_record(connection: Connection, record: Record) -> None:
    """Write a record with its images, and list it.

    Raises:
        StorageError: its id is kept already, with other content.
    """
    add = statements(connection.dialect.name).add_record
    if connection.execute(add, record_row(record)).rowcount == 1:
        connection.execute(ADD_LISTING, listing_row(record))
        images = image_rows(record)
        if images:
            connection.execute(ADD_IMAGES, images)
        return
    same_id = select(records).where(records.c.id == record.id)
    if load_records(connection, same_id) != (record,):
        raise differs("record", record.id)


def keep_lines(connection: Connection, lines: Sequence[LedgerLine]) -> None:
    """Write lines that are not there yet, and what they change in the balances.

    Raises:
        StorageError: an id is kept already, with other content.
    """
    fresh = [line for line in sorted(lines, key=_by_id) if add_line(connection, line)]
    rows = [
        {"scope": scope, "simulated": simulated, **accounts}
        for (scope, simulated), accounts in deltas(fresh).items()
    ]
    if rows:
        connection.execute(statements(connection.dialect.name).add_to_balance, rows)


def add_line(connection: Connection, line: LedgerLine) -> bool:
    """Write one line; False when it is there already, word for word.

    Raises:
        StorageError: its id is kept already, with other content.
    """
    add = statements(connection.dialect.name).add_line
    if connection.execute(add, line_row(line)).rowcount == 1:
        return True
    same_id = select(ledger).where(ledger.c.entry_id == line.entry_id)
    if line_from_row(connection.execute(same_id).mappings().one()) != line:
        raise differs("ledger line", line.entry_id)
    return False


def load_records(connection: Connection, wanted: Select[Any]) -> tuple[Record, ...]:
    """Records with their images in one statement, so that both are of one moment."""
    chosen = wanted.subquery()
    joined: FromClause = chosen.outerjoin(record_images, record_images.c.record_id == chosen.c.id)
    statement = (
        select(*chosen.c, *(c.label(f"image.{c.name}") for c in record_images.c))
        .select_from(joined)
        .order_by(chosen.c.created.desc(), chosen.c.id.desc(), record_images.c.ordinal)
    )
    rows: dict[str, dict[str, Any]] = {}
    images: dict[str, list[dict[str, Any]]] = {}
    for joint in connection.execute(statement).mappings():
        row = {c.name: joint[c.name] for c in records.c}
        image = {c.name: joint[f"image.{c.name}"] for c in record_images.c}
        rows[row["id"]] = row
        images.setdefault(row["id"], []).extend([image] if image["record_id"] else [])
    return tuple(record_from_rows(row, images[key]) for key, row in rows.items())


def _by_id(line: LedgerLine) -> str:
    return line.entry_id

"""The books in SQLite or Postgres: the same statements for both.

Invariant: a record, its images and its ledger lines are written in one transaction or not at
all, and what is kept never changes. Every statement is built from `tables.py`, never from text.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    Select,
    Subquery,
    Table,
    Text,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError

from heliograph.errors import StorageError
from heliograph.ports import CostRow
from heliograph.storage.cost_report import COUNTED, NO_SIZE, check_report, in_order
from heliograph.storage.engine import connect, database_refused, writing
from heliograph.storage.entry import SETTLE, canonical, differs
from heliograph.storage.lookup import MIN_PREFIX, ambiguous, check_limit, no_record
from heliograph.storage.migrating import bring_up_to_date
from heliograph.storage.row import (
    image_rows,
    line_from_row,
    line_row,
    record_from_rows,
    record_row,
)
from heliograph.storage.tables import ledger, record_images, records
from heliograph.types import LedgerLine, Record

T = TypeVar("T")
READERS = 4


class SqlBooks:
    """The `Books` port over one database.

    Raises:
        ConfigurationError: the address names no database that can be used.
        StorageError: it cannot be opened, or was written by a newer version.
    """

    def __init__(self, url: str | URL) -> None:
        self._engine = connect(url)
        try:
            bring_up_to_date(self._engine)
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise database_refused("The database could not be opened.", error) from error
        except StorageError:
            self._engine.dispose()
            raise
        # one writer: SQLite has one lock, and waiting in a queue is fairer than waiting on it
        self._writer = ThreadPoolExecutor(1, "heliograph-books-writer")
        self._readers = ThreadPoolExecutor(READERS, "heliograph-books-reader")

    async def keep(self, record: Record, lines: Sequence[LedgerLine]) -> None:
        record, checked = canonical(record, lines)

        def write() -> None:
            with writing(self._engine).begin() as connection:
                _keep_record(connection, record)
                for line in checked:
                    _keep_line(connection, line)

        await _in_thread(self._writer, write, "The record could not be written.")

    async def find(self, record_id: str) -> Record:
        exact = select(records).where(records.c.id == record_id)
        # substr and not LIKE: nothing to escape, and SQLite's LIKE ignores case
        start = func.substr(records.c.id, 1, len(record_id), type_=Text)
        by_prefix = select(records).where(start == record_id).limit(2)
        found = await self._read(lambda connection: _load_records(connection, exact))
        if not found and len(record_id) >= MIN_PREFIX:
            found = await self._read(lambda connection: _load_records(connection, by_prefix))
        if not found:
            raise no_record(record_id)
        if len(found) > 1:
            raise ambiguous(record_id)
        return found[0]

    async def recent(self, *, limit: int, search: str | None = None) -> Sequence[Record]:
        check_limit(limit)
        wanted = select(records).order_by(records.c.created.desc(), records.c.id.desc())
        if search is not None:
            wanted = wanted.where(records.c.prompt.icontains(search, autoescape=True))
        return await self._read(lambda connection: _load_records(connection, wanted.limit(limit)))

    async def lines(self, record_id: str) -> Sequence[LedgerLine]:
        wanted = (
            select(ledger)
            .where(ledger.c.record_id == record_id)
            .order_by(ledger.c.at, ledger.c.entry_id)
        )

        def read(connection: Connection) -> Sequence[LedgerLine]:
            return tuple(line_from_row(row) for row in connection.execute(wanted).mappings())

        return await self._read(read)

    async def costs(
        self, by: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[CostRow]:
        check_report(by, since, until)
        settled = _settled(by)
        if since is not None:
            settled = settled.where(ledger.c.at >= since)
        if until is not None:
            settled = settled.where(ledger.c.at < until)
        report = _cost_report(settled.subquery())

        def read(connection: Connection) -> Sequence[CostRow]:
            return in_order(
                CostRow(group=group, calls=calls, images=int(images), micro=int(micro), simulated=s)
                for group, s, calls, images, micro in connection.execute(report)
            )

        return await self._read(read)

    async def queries_since(self, since: datetime, *, simulated: bool) -> int:
        check_report("day", since)
        total = select(func.coalesce(func.sum(ledger.c.queries), 0)).where(
            ledger.c.kind == SETTLE, ledger.c.at >= since, ledger.c.simulated == simulated
        )
        return int(await self._read(lambda connection: connection.execute(total).scalar_one()))

    async def close(self) -> None:
        def finish() -> None:
            self._writer.shutdown()
            self._readers.shutdown()
            self._engine.dispose()

        await asyncio.to_thread(finish)

    async def _read(self, read: Callable[[Connection], T]) -> T:
        def work() -> T:
            with self._engine.connect() as connection:
                return read(connection)

        return await _in_thread(self._readers, work, "The database could not be read.")


async def _in_thread(pool: ThreadPoolExecutor, work: Callable[[], T], what: str) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
    except SQLAlchemyError as error:
        raise database_refused(what, error) from error


def _keep_record(connection: Connection, record: Record) -> None:
    if _insert_new(connection, records, record_row(record)):
        images = image_rows(record)
        if images:
            connection.execute(insert(record_images), images)
        return
    same_id = select(records).where(records.c.id == record.id)
    if _load_records(connection, same_id) != (record,):
        raise differs("record", record.id)


def _keep_line(connection: Connection, line: LedgerLine) -> None:
    if _insert_new(connection, ledger, line_row(line)):
        return
    same_id = select(ledger).where(ledger.c.entry_id == line.entry_id)
    if line_from_row(connection.execute(same_id).mappings().one()) != line:
        raise differs("ledger line", line.entry_id)


def _insert_new(connection: Connection, into: Table[Any], row: dict[str, Any]) -> bool:
    """Insert or fail decides who was first; a read before it could be out of date."""
    keys = list(into.primary_key)
    statement: Insert
    if connection.dialect.name == "sqlite":
        statement = sqlite.insert(into).on_conflict_do_nothing(index_elements=keys)
    else:
        from sqlalchemy.dialects import postgresql  # a tenth of the start-up, for few

        statement = postgresql.insert(into).on_conflict_do_nothing(index_elements=keys)
    return connection.execute(statement.returning(*keys), row).first() is not None


def _load_records(connection: Connection, wanted: Select[Any]) -> tuple[Record, ...]:
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


def _settled(by: str) -> Select[Any]:
    groups: dict[str, ColumnElement[Any]] = {
        "day": ledger.c.day,
        "month": func.substr(ledger.c.day, 1, 7, type_=Text),
        "model": ledger.c.model,
        "size": func.coalesce(ledger.c.size, NO_SIZE),
        "tier": records.c.tier,
    }
    return (
        select(groups[by].label("name"), ledger.c.simulated, ledger.c.record_id, ledger.c.micro)
        .select_from(ledger)
        .join(records, records.c.id == ledger.c.record_id)
        .where(ledger.c.kind == SETTLE)
    )


def _cost_report(settled: Subquery) -> Select[Any]:
    """Settled lines summed to calls first, so that a call of two lines counts its images once."""
    call = (
        select(
            settled.c.name,
            settled.c.simulated,
            settled.c.record_id,
            func.sum(settled.c.micro).label("micro"),
        )
        .group_by(settled.c.name, settled.c.simulated, settled.c.record_id)
        .subquery()
    )
    pictures = (
        select(record_images.c.record_id, func.count().label("count"))
        .where(record_images.c.role.in_([role.value for role in COUNTED]))
        .group_by(record_images.c.record_id)
        .subquery()
    )
    return (
        select(
            call.c.name,
            call.c.simulated,
            func.count(),
            func.sum(func.coalesce(pictures.c.count, 0)),
            func.sum(call.c.micro),
        )
        .select_from(call)
        .outerjoin(pictures, pictures.c.record_id == call.c.record_id)
        .group_by(call.c.name, call.c.simulated)
    )

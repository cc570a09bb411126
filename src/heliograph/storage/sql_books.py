"""The books in SQLite or Postgres: the same statements for both.

Invariant: a record, its images and its ledger lines are written in one transaction or not at
all, and what is kept never changes. Every statement is built from `tables.py`, never from text.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Select, Subquery, Text, case, func, select

from heliograph.ports import CostRow, Search, SessionRow
from heliograph.storage.cost_report import COUNTED, NO_OWNER, NO_SIZE, check_report, in_order
from heliograph.storage.database import Database
from heliograph.storage.entry import SETTLE, canonical
from heliograph.storage.listing import check_search, count_facets
from heliograph.storage.lookup import (
    MIN_PREFIX,
    ambiguous,
    check_limit,
    check_moment,
    no_record,
)
from heliograph.storage.row import line_from_row
from heliograph.storage.sql_search import found_ids, shapes, take_out, trashed_of
from heliograph.storage.statements import keep_lines, keep_record, load_records, statements
from heliograph.storage.tables import AnyText, ledger, record_images, records
from heliograph.types import LedgerLine, Outcome, Record


class SqlBooks:
    """The `Books` port over one database, which it opens when it is given an address.

    Raises:
        ConfigurationError: the address names no database that can be used.
        StorageError: it cannot be opened, or was written by a newer version.
    """

    def __init__(self, place: str | URL | Database) -> None:
        self._database = place if isinstance(place, Database) else Database(place)

    async def keep(self, record: Record, lines: Sequence[LedgerLine]) -> None:
        record, checked = canonical(record, lines)

        def write(connection: Connection) -> None:
            keep_record(connection, record)
            keep_lines(connection, checked)

        await self._database.write(write, "The record could not be written.")

    async def find(self, record_id: str) -> Record:
        exact = select(records).where(records.c.id == record_id)
        # substr and not LIKE: nothing to escape, and SQLite's LIKE ignores case
        start = func.substr(records.c.id, 1, len(record_id), type_=Text)
        by_prefix = select(records).where(start == record_id).limit(2)
        found = await self._database.read(lambda connection: load_records(connection, exact))
        if not found and len(record_id) >= MIN_PREFIX:
            found = await self._database.read(
                lambda connection: load_records(connection, by_prefix)
            )
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
        return await self._database.read(
            lambda connection: load_records(connection, wanted.limit(limit))
        )

    async def search(self, search: Search, *, limit: int) -> Sequence[Record]:
        check_limit(limit)
        check_search(search)
        wanted = select(records).where(records.c.id.in_(found_ids(search, limit)))
        return await self._database.read(lambda connection: load_records(connection, wanted))

    async def facets(self, search: Search) -> Mapping[str, Mapping[str, int]]:
        check_search(search)
        wanted = shapes(search)
        rows = await self._database.read(lambda connection: connection.execute(wanted).all())
        return count_facets({tuple(shape): count for *shape, count in rows}, search)

    async def trash(self, record_id: str, at: datetime) -> None:
        check_moment(at)
        row = {"record_id": record_id, "at": at}
        exact = select(records.c.id).where(records.c.id == record_id)

        def write(connection: Connection) -> None:
            # records are never deleted, so what is here stays here
            if connection.execute(exact).one_or_none() is None:
                raise no_record(record_id)
            connection.execute(statements(connection.dialect.name).add_trash, row)

        await self._database.write(write, "The record could not be put into the trash.")

    async def untrash(self, record_id: str) -> None:
        def write(connection: Connection) -> None:
            connection.execute(take_out(record_id))

        await self._database.write(write, "The record could not be taken out of the trash.")

    async def trashed(self, record_ids: Sequence[str]) -> frozenset[str]:
        def read(connection: Connection) -> frozenset[str]:
            return frozenset(
                found for part in trashed_of(record_ids) for found in connection.scalars(part)
            )

        return await self._database.read(read)

    async def session(self, session_id: str) -> Sequence[Record]:
        wanted = select(records).where(records.c.session == session_id)

        def read(connection: Connection) -> Sequence[Record]:
            return load_records(connection, wanted)[::-1]

        return await self._database.read(read)

    async def sessions(self, *, limit: int, owner: str | None = None) -> Sequence[SessionRow]:
        check_limit(limit)
        wanted = session_list(limit, owner)

        def read(connection: Connection) -> Sequence[SessionRow]:
            found = connection.execute(wanted).mappings()
            return tuple(SessionRow(**{**row, "micro": int(row["micro"])}) for row in found)

        return await self._database.read(read)

    async def lines(self, record_id: str) -> Sequence[LedgerLine]:
        wanted = (
            select(ledger)
            .where(ledger.c.record_id == record_id)
            .order_by(ledger.c.at, ledger.c.entry_id)
        )

        def read(connection: Connection) -> Sequence[LedgerLine]:
            return tuple(line_from_row(row) for row in connection.execute(wanted).mappings())

        return await self._database.read(read)

    async def costs(
        self,
        by: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        owner: str | None = None,
    ) -> Sequence[CostRow]:
        check_report(by, since, until)
        settled = _settled(by)
        if since is not None:
            settled = settled.where(ledger.c.at >= since)
        if until is not None:
            settled = settled.where(ledger.c.at < until)
        if owner is not None:
            settled = settled.where(records.c.owner == owner)
        report = _cost_report(settled.subquery())

        def read(connection: Connection) -> Sequence[CostRow]:
            return in_order(
                CostRow(group=group, calls=calls, images=int(images), micro=int(micro), simulated=s)
                for group, s, calls, images, micro in connection.execute(report)
            )

        return await self._database.read(read)

    async def queries_since(self, since: datetime, *, simulated: bool) -> int:
        check_report("day", since)
        total = select(func.coalesce(func.sum(ledger.c.queries), 0)).where(
            ledger.c.kind == SETTLE, ledger.c.at >= since, ledger.c.simulated == simulated
        )
        return int(
            await self._database.read(lambda connection: connection.execute(total).scalar_one())
        )

    async def close(self) -> None:
        """Close the database, whoever opened it."""
        await self._database.close()


def session_list(limit: int, owner: str | None = None) -> Select[Any]:
    """The rows of the sessions that changed last; only theirs are looked into.

    Args:
        owner: id of a user whose records count; None means everybody's.
    """
    whose = [] if owner is None else [records.c.owner == owner]
    listed = (
        select(
            records.c.session.label("id"),
            func.count().label("turns"),
            func.min(records.c.created).label("begun"),
            func.max(records.c.created).label("changed"),
            func.sum(records.c.cost).label("micro"),
        )
        .where(records.c.session.is_not(None), *whose)
        .group_by(records.c.session)
        .order_by(func.max(records.c.created).desc(), records.c.session.desc())
        .limit(limit)
        .subquery()
    )
    own = select(records).where(records.c.session == listed.c.id, *whose).correlate(listed)
    first = own.with_only_columns(records.c.prompt).order_by(records.c.created, records.c.id)
    kept_first = case((records.c.outcome == Outcome.KEPT.value, 0), else_=1)
    last = own.with_only_columns(records.c.id).order_by(
        kept_first, records.c.created.desc(), records.c.id.desc()
    )
    return select(
        listed,
        first.limit(1).scalar_subquery().label("first"),
        last.limit(1).scalar_subquery().label("last"),
    ).order_by(listed.c.changed.desc(), listed.c.id.desc())


def _settled(by: str) -> Select[Any]:
    groups: dict[str, ColumnElement[Any]] = {
        "day": ledger.c.day,
        "month": func.substr(ledger.c.day, 1, 7, type_=Text),
        "model": ledger.c.model,
        "size": func.coalesce(ledger.c.size, NO_SIZE),
        "tier": records.c.tier,
        "owner": func.coalesce(records.c.owner, NO_OWNER, type_=AnyText),
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

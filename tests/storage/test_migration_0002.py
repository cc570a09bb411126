"""Revision 0002: what a database of 0.1 brings along, and that a kill leaves old or new."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from tests.engines import NewUrl

from heliograph.ledger import Balance, default_scopes
from heliograph.ports import Finding
from heliograph.storage import record_from_json
from heliograph.storage.database import Database
from heliograph.storage.engine import connect
from heliograph.storage.migrating import MIGRATIONS, bring_up_to_date
from heliograph.storage.row import image_rows, line_row, record_row
from heliograph.storage.sql_books import SqlBooks
from heliograph.storage.sql_journal import SqlJournal
from heliograph.types import LedgerLine, Record

GOLDEN = Path(__file__).with_name("record_v1.json")
KILL_MIGRATION = Path(__file__).with_name("kill_migration.py")
NEW_YEAR = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)


@pytest.fixture
def old_url(new_url: NewUrl, tmp_path: Path) -> str:
    """A database as version 0.1 left it, with rows."""
    url = new_url()
    folder = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    for later in (folder / "versions").glob("0*.py"):
        if not later.name.startswith("0001"):
            later.unlink()
    engine = connect(url)
    bring_up_to_date(engine, folder)
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for record, line in kept():
            row = record_row(record) | {"created": bound(engine, record.created)}
            del row["session"], row["follows"]
            connection.execute(sa.insert(tables.tables["records"]), row)
            connection.execute(sa.insert(tables.tables["record_images"]), image_rows(record))
            row = line_row(line) | {"at": bound(engine, line.at)}
            del row["scopes"], row["call_id"]
            connection.execute(sa.insert(tables.tables["ledger"]), row)
    engine.dispose()
    return url


def bound(engine: sa.Engine, moment: datetime) -> datetime:
    return moment.replace(tzinfo=None) if engine.dialect.name == "sqlite" else moment


def kept() -> Sequence[tuple[Record, LedgerLine]]:
    """Four calls: two of one day, one of the next year, one simulated."""
    sample, (line,) = record_from_json(GOLDEN.read_bytes())
    moments = (sample.created, sample.created + timedelta(minutes=1), NEW_YEAR, NEW_YEAR)
    made = []
    for number, moment in enumerate(moments):
        record = replace(sample, id=f"rec-{number:04}", created=moment, simulated=number == 3)
        own = replace(line, entry_id=f"{record.id}-settle", record_id=record.id)
        made.append((record, replace(own, at=moment, simulated=record.simulated)))
    return made


async def test_rows_of_0_1_come_through(old_url: str) -> None:
    database = Database(old_url)
    books, journal = SqlBooks(database), SqlJournal(database)
    for record, line in kept():
        assert await books.find(record.id) == record
        scopes = default_scopes(line.at)
        assert await books.lines(record.id) == (replace(line, scopes=scopes),)
        await books.keep(record, [line])  # as a rebuild from its old sidecar does
    names = ["total", "day/2026-11-30", "month/2026-11", "day/2027-01-01", "month/2027-01"]
    each = kept()[0][1].micro
    sums = {(b.scope, b.simulated): b for b in await journal.balances(names)}
    counts = dict(zip(names, (3, 2, 2, 1, 1), strict=True))
    real = {
        (name, False): Balance(scope=name, simulated=False, settled=count * each)
        for name, count in counts.items()
    }
    toys = {
        (name, True): Balance(scope=name, simulated=True, settled=each)
        for name in ("total", "day/2027-01-01", "month/2027-01")
    }
    assert sums == real | toys
    assert await journal.audit() == ()
    assert [row.micro for row in await books.costs("month")] == [2 * each, each, each]
    await books.close()


def test_the_ledger_is_still_guarded(old_url: str) -> None:
    engine = connect(old_url)
    bring_up_to_date(engine)
    for statement in ("UPDATE ledger SET micro = 0", "DELETE FROM ledger"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.exec_driver_sql(statement)
    assert {index["name"] for index in sa.inspect(engine).get_indexes("ledger")} == {
        "ledger_by_record",
        "ledger_by_time",
    }
    assert sa.inspect(engine).get_foreign_keys("ledger") == []
    engine.dispose()


def test_killed_at_any_statement_the_schema_is_old_or_new(old_url: str) -> None:
    arguments = [sys.executable, "-W", "error", str(KILL_MIGRATION), old_url]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) > 20  # kills, before the run that nothing was left to stop

    async def look() -> Sequence[Finding]:
        database = Database(old_url)
        findings = await SqlJournal(database).audit()
        assert len(await SqlBooks(database).recent(limit=9)) == 4
        await database.close()
        return findings

    assert asyncio.run(look()) == ()

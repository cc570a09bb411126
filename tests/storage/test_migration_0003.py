"""Revision 0003: a library of 0.2 keeps all it has, and a kill leaves the old schema or the new."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.engines import NewUrl

from heliograph.journal import Stage
from heliograph.storage import record_from_json
from heliograph.storage.database import Database
from heliograph.storage.engine import connect
from heliograph.storage.migrating import MIGRATIONS, bring_up_to_date
from heliograph.storage.sql_books import SqlBooks, session_list
from heliograph.storage.sql_cabinet import SqlCabinet
from heliograph.storage.sql_journal import SqlJournal

# what version 0.2 wrote: two calls that are settled, one that is held and one under way
WRITTEN = Path(__file__).with_name("database_0002.sql")
GOLDEN = Path(__file__).with_name("record_v2.json")
KILL_MIGRATION = Path(__file__).with_name("kill_migration.py")
PROMPTS = ("A lighthouse at dusk", "金色的灯塔 \ud800\0 ' end")
TABLES = ("records", "record_images", "ledger", "calls", "claims", "budgets", "balances")


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """The SQLite file that version 0.2 wrote."""
    file = tmp_path / "written.db"
    connection = sqlite3.connect(file)
    connection.executescript(WRITTEN.read_text("utf-8"))
    connection.close()
    return file


@pytest.fixture
def old_url(new_url: NewUrl, tmp_path: Path, old_file: Path) -> str:
    """The same rows in each engine, in the schema that 0001 and 0002 make."""
    url = new_url()
    folder = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    for later in (folder / "versions").glob("0*.py"):
        if later.name[:4] > "0002":
            later.unlink()
    engine = connect(url)
    bring_up_to_date(engine, folder)
    source = connect(f"sqlite:///{old_file}")
    tables = sa.MetaData()
    tables.reflect(engine)
    with source.connect() as reading, engine.begin() as writing:
        for name in TABLES:
            table = tables.tables[name]
            rows = [dict(row) for row in reading.execute(sa.select(table)).mappings()]
            assert rows, name
            writing.execute(sa.insert(table), rows)
    source.dispose()
    engine.dispose()
    return url


def rows_of(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    connection = sqlite3.connect(file)
    found = {
        name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()  # noqa: S608
        for name in TABLES
    }
    connection.close()
    return found


async def is_whole(url: str) -> None:
    """Everything that 0.2 wrote is there, and goes on working."""
    database = Database(url)
    books, journal = SqlBooks(database), SqlJournal(database)
    sample, _ = record_from_json(GOLDEN.read_bytes())
    newest = await books.recent(limit=9)
    assert [record.id for record in newest] == ["job-0002", "job-0001"]
    for number, record in enumerate(reversed(newest)):
        told = replace(
            sample,
            id=record.id,
            created=record.created,
            prompt=PROMPTS[number],
            cost=239_000,
            images=sample.images[number:],
        )
        assert record == told
        assert (record.session, record.follows) == (None, None)
        lines = await books.lines(record.id)
        assert {line.kind for line in lines} == {"reserve", "release", "settle"}
        await books.keep(record, lines)  # as a rebuild from its old sidecar does
    assert await books.sessions(limit=9) == ()
    stages = [call.stage for call in await journal.calls(limit=9)]
    assert stages == [Stage.INTENT, Stage.HELD, Stage.SETTLED, Stage.SETTLED]
    assert await journal.budgets() == {"month": 50_000_000}
    assert await journal.audit() == ()
    later = replace(sample, id="job-0005", session="s-1", follows="job-0002")
    await books.keep(later, [])
    assert await books.session("s-1") == (later,)
    cabinet = SqlCabinet(database)
    card = await cabinet.put("cast", "hero", {"n": 1}, version=0)
    assert await cabinet.cards("cast") == (card,)
    await database.close()


async def test_a_file_of_0_2_keeps_everything(old_file: Path) -> None:
    before = rows_of(old_file)
    assert all(before.values())
    await Database(f"sqlite:///{old_file}").close()
    after = rows_of(old_file)
    assert after.pop("records") == [(*row, *[None] * 3) for row in before.pop("records")]
    assert after == before
    await is_whole(f"sqlite:///{old_file}")


async def test_rows_of_0_2_come_through(old_url: str) -> None:
    await is_whole(old_url)


def test_killed_at_any_statement_the_schema_is_old_or_new(old_url: str) -> None:
    arguments = [sys.executable, "-W", "error", str(KILL_MIGRATION), old_url]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) > 5  # kills, before the run that nothing was left to stop
    asyncio.run(is_whole(old_url))


def test_the_list_of_sessions_is_counted_in_its_index_alone(new_sqlite: NewUrl) -> None:
    url = new_sqlite()
    engine = connect(url)
    bring_up_to_date(engine)
    with engine.connect() as connection:
        text = session_list(50).compile(engine, compile_kwargs={"literal_binds": True})
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()
    engine.dispose()
    said = [row[-1] for row in plan if "records" in row[-1]]
    assert "records USING COVERING INDEX records_by_session" in said[0]
    assert len(said) == 3
    assert all("INDEX records_by_session (session=?)" in look for look in said[1:])

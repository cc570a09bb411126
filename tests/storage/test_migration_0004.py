"""Revision 0004: records of 0.3 are listed as new ones are, and a kill leaves old or new."""

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.engines import NewUrl

from heliograph.ports import Search
from heliograph.storage import record_from_json
from heliograph.storage.database import Database
from heliograph.storage.engine import connect
from heliograph.storage.migrating import MIGRATIONS, bring_up_to_date
from heliograph.storage.row import listing_row, record_row
from heliograph.storage.sql_books import SqlBooks, session_list
from heliograph.storage.sql_search import found_ids
from heliograph.storage.tables import listing
from heliograph.types import Record

GOLDEN = Path(__file__).with_name("record_v3.json")
KILL_MIGRATION = Path(__file__).with_name("kill_migration.py")
PROMPTS = ("", "STRASSE \ud800\0 灯塔", "a\x1a0000b", "100% ÄÖ")
TAGS: tuple[Any, ...] = (None, ["b", "a", "a"], ['"\n'], ["ok", 5, None], "text")


def sample(number: int) -> Record:
    record, _ = record_from_json(GOLDEN.read_bytes())
    return replace(
        record,
        id=f"job-{number:04}",
        created=record.created + timedelta(seconds=number % 7),
        prompt=PROMPTS[number % len(PROMPTS)],
        request={"tags": TAGS[number % len(TAGS)]},
        session=None if number % 3 else f"s-{number % 4}",
        images=(),
    )


@pytest.fixture
def old_url(new_url: NewUrl, tmp_path: Path) -> str:
    """A database of revision 0003 with more records than are listed together."""
    url = new_url()
    folder = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    for later in (folder / "versions").glob("0*.py"):
        if later.name[:4] > "0003":
            later.unlink()
    engine = connect(url)
    bring_up_to_date(engine, folder)
    old = sa.MetaData()
    old.reflect(engine)
    rows = [record_row(sample(number)) for number in range(1003)]
    table = listing.metadata.tables["records"]
    statement = sa.insert(table).values({c.name: sa.bindparam(c.name) for c in known(old)})
    for row in rows:
        del row["owner"]
    with engine.begin() as connection:
        connection.execute(statement, rows)
    engine.dispose()
    return url


def known(old: sa.MetaData) -> list[sa.Column[Any]]:
    return list(old.tables["records"].columns)


async def test_old_records_are_listed_as_new_ones_are(old_url: str) -> None:
    database = Database(old_url)
    books = SqlBooks(database)
    by_id = sa.select(listing).order_by(listing.c.record_id)
    rows = await database.read(lambda connection: connection.execute(by_id).mappings().all())
    assert [dict(row) for row in rows] == [listing_row(sample(number)) for number in range(1003)]
    for record in (sample(5), sample(6)):
        assert await books.find(record.id) == record
        await books.keep(record, [])  # as a rebuild from its old sidecar does
    new = replace(sample(2000), owner="ada", prompt="straße \udfff")
    await books.keep(new, [])
    assert await books.search(Search(words="strasse \ud800", owner="ada"), limit=9) == (new,)
    assert len(await books.search(Search(words="strasse \ud800", tags=("a",)), limit=999)) > 9
    await database.close()


def test_killed_at_any_statement_the_schema_is_old_or_new(old_url: str) -> None:
    arguments = [sys.executable, "-W", "error", str(KILL_MIGRATION), old_url]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) > 5  # kills, before the run that nothing was left to stop


def test_what_is_listed_often_is_read_in_order(new_sqlite: NewUrl) -> None:
    engine = connect(new_sqlite())
    bring_up_to_date(engine)

    def plan(statement: sa.Select[Any]) -> list[str]:
        text = statement.compile(engine, compile_kwargs={"literal_binds": True})
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()
        return [row[-1] for row in rows]

    for search in (Search(), Search(owner="ada", words="a b", tags=("x",))):
        said = plan(found_ids(search, 50))
        assert said[0] == "SCAN listing"
        assert not [step for step in said if "TEMP B-TREE" in step]
    said = [step for step in plan(session_list(50, "ada")) if "records" in step]
    assert said[0].startswith("SEARCH records USING COVERING INDEX records_by_owner")
    engine.dispose()

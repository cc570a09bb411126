"""The schema: fresh, twice, at once from many processes, forward in one step or not at all."""

import logging
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from heliograph.errors import StorageError
from heliograph.storage import record_from_json
from heliograph.storage.engine import connect
from heliograph.storage.migrating import MIGRATIONS, bring_up_to_date, head
from heliograph.storage.row import image_rows, line_row, listing_row, record_row
from heliograph.storage.sql_books import SqlBooks
from heliograph.storage.tables import ledger, listing, metadata, record_images, records

GOLDEN = Path(__file__).with_name("record_v1.json")
OPEN = "import sys; from heliograph.storage.sql_books import SqlBooks; SqlBooks(sys.argv[1])"
LOADED = "; sys.stdout.write(str('alembic' in sys.modules))"
NEXT = """
import sqlalchemy as sa
from alembic import op
revision = "{number}"
down_revision = "{before}"
def upgrade():
    op.create_table("added", sa.Column("id", sa.Integer, primary_key=True))
    {then}
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'books.db'}"


@pytest.fixture
def future(tmp_path: Path) -> Path:
    """A copy of the migrations, to which a test adds the next one."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


def add_migration(folder: Path, *, then: str = "pass") -> str:
    before = head(folder)
    number = f"{int(before) + 1:04}"
    text = NEXT.format(number=number, before=before, then=then)
    (folder / "versions" / f"{number}_next.py").write_text(text)
    return number


def tables_of(engine: sa.Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


def schema_of(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def test_the_code_and_the_migrated_database_agree(url: str) -> None:
    engine = connect(url)
    bring_up_to_date(engine)
    found = sa.inspect(engine)
    for table in metadata.sorted_tables:
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        assert set(columns) == {column.name for column in table.columns}
        for column in table.columns:
            assert columns[column.name]["nullable"] == column.nullable, column
            made, meant = columns[column.name]["type"], column.type.dialect_impl(engine.dialect)
            assert str(made) == meant.compile(engine.dialect), column
        keys = found.get_pk_constraint(table.name)["constrained_columns"]
        assert keys == [column.name for column in table.primary_key]
    engine.dispose()


def test_file_names_and_alembic_agree_on_the_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == head()


def test_an_older_database_moves_on_and_keeps_its_rows(url: str, future: Path) -> None:
    engine = connect(url)
    bring_up_to_date(engine)
    kept = (
        "INSERT INTO ledger VALUES "
        "('e1','r1',NULL,'settle',5,'2026-11-30','m',NULL,'p',0,'[]','{}','',0)"
    )
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        connection.exec_driver_sql(
            "INSERT INTO records VALUES ('r1','2026-11-30','kept','p','m',NULL,NULL,'standard',"
            "NULL,5,'{}',0,'u','{}','{}','{}','{}','[]','[]','[]',NULL,NULL,NULL,1,'[]',NULL,NULL,NULL)"
        )
        connection.exec_driver_sql(kept)
    number = add_migration(future)
    for _ in range(2):
        bring_up_to_date(engine, future)
        assert schema_of(engine) == number
        assert "added" in tables_of(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT micro FROM ledger").scalars().all() == [5]
    with pytest.raises(StorageError, match="newer Heliograph"):
        bring_up_to_date(engine)
    engine.dispose()


def test_a_migration_that_fails_leaves_the_old_schema(url: str, future: Path) -> None:
    engine = connect(url)
    bring_up_to_date(engine)
    before = tables_of(engine)
    add_migration(future, then="op.execute('DROP TABLE never_existed')")
    with pytest.raises(sa.exc.OperationalError):
        bring_up_to_date(engine, future)
    assert tables_of(engine) == before
    assert schema_of(engine) == head()
    engine.dispose()


def test_many_processes_may_open_a_new_database_at_once(url: str) -> None:
    arguments = [sys.executable, "-W", "error", "-c", OPEN, url]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    children = [subprocess.Popen(arguments, text=True, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    said = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0] * 3, said
    assert said == [""] * 3
    engine = connect(url)
    assert schema_of(engine) == head()
    engine.dispose()


def test_alembic_is_only_loaded_when_there_is_something_to_do(url: str) -> None:
    arguments = [sys.executable, "-W", "error", "-c", OPEN + LOADED, url]
    said = [subprocess.run(arguments, check=True, capture_output=True, text=True) for _ in "12"]
    assert [child.stdout for child in said] == ["True", "False"]
    assert [child.stderr for child in said] == ["", ""]


def test_logging_is_left_as_it_was(url: str) -> None:
    def state() -> tuple[object, ...]:
        root, alembic = logging.getLogger(), logging.getLogger("alembic")
        return (list(root.handlers), root.level, alembic.disabled, alembic.level, alembic.handlers)

    before = state()
    SqlBooks(url)
    assert state() == before


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_bytes(b"These are notes, not a database. " * 100)
    with pytest.raises(StorageError, match="could not be opened"):
        SqlBooks(f"sqlite:///{file}")
    assert file.read_bytes().startswith(b"These are notes")
    with pytest.raises(StorageError, match="could not be opened"):
        SqlBooks(f"sqlite:///{tmp_path / 'no' / 'folder' / 'books.db'}")


def test_a_row_has_every_column_and_a_record_every_field() -> None:
    record, (line,) = record_from_json(GOLDEN.read_bytes())
    assert set(record_row(record)) == set(records.columns.keys())
    assert set(listing_row(record)) == set(listing.columns.keys())
    assert set(line_row(line)) == set(ledger.columns.keys())
    for row in image_rows(record):
        assert set(row) == set(record_images.columns.keys())


def test_a_database_that_may_not_be_written_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as long as a locked one is waited for
    monkeypatch.setattr("heliograph.storage.engine.LOCK_SECONDS", 3600)
    file = tmp_path / "books.db"
    sqlite3.connect(file).execute("CREATE TABLE other (id)").connection.close()
    with pytest.raises(StorageError, match="readonly"):
        SqlBooks(f"sqlite:///file:{file}?mode=ro&uri=true")

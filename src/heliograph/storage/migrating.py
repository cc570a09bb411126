"""Brings a database to the schema this version needs.

Invariant: the schema is the old one or the new one, never between, and two processes that open
at once migrate once. Usual case: one SELECT, and alembic is not even imported.
"""

from pathlib import Path

from sqlalchemy import Connection, Engine, column, func, inspect, select, table
from sqlalchemy.exc import OperationalError, ProgrammingError

from heliograph.errors import StorageError
from heliograph.storage.engine import writing

MIGRATIONS = Path(__file__).with_name("migrations")
LOCK = 0x48454C494F  # "HELIO", the advisory lock in Postgres

_version = table("alembic_version", column("version_num"))


def bring_up_to_date(engine: Engine, migrations: Path = MIGRATIONS) -> None:
    """Run the migrations that the database has not seen yet.

    Raises:
        StorageError: the database was written by a newer version.
    """
    newest = head(migrations)
    if _current(_quick_look(engine), newest):
        return
    with writing(engine).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
        # once more, now that nobody else can migrate
        if not _current(_look(connection), newest):
            _upgrade(connection, migrations)


def head(migrations: Path = MIGRATIONS) -> str:
    """The newest revision, by file name: `0007_what_it_does.py` is "0007"."""
    return max(path.name[:4] for path in (migrations / "versions").glob("[0-9]*.py"))


def _quick_look(engine: Engine) -> str | None:
    try:
        with engine.connect() as connection:
            return connection.scalar(select(_version.c.version_num))
    except (OperationalError, ProgrammingError):
        return None  # a new database has no such table; anything worse shows under the lock


def _look(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_version.name):
        return None
    return connection.scalar(select(_version.c.version_num))


def _current(found: str | None, newest: str) -> bool:
    if found is not None and found > newest:
        raise StorageError(
            "The database was written by a newer Heliograph.",
            why=f"Its schema is {found}, this version knows up to {newest}.",
            remedy="Upgrade heliograph; nothing was changed.",
            facts={"schema": found, "known": newest},
        )
    return found == newest


def _upgrade(connection: Connection, migrations: Path) -> None:
    from alembic.command import upgrade
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    upgrade(config, "head")

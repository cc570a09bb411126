"""Opens the database, SQLite or Postgres, and maps its refusals.

Invariant: a commit that returned survives power loss (SQLite: WAL with synchronous=FULL), and a
write transaction holds the write lock from its first statement, so it never fails half-way.
"""

import time
from pathlib import Path
from sqlite3 import SQLITE_BUSY
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Error as SqliteError
from sqlite3 import OperationalError as SqliteOperationalError

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from heliograph.errors import ConfigurationError, StorageError

LOCK_SECONDS = 30  # how long a statement waits for another process's write
CONNECT_SECONDS = 10  # how long a Postgres server may take to answer at all
PRAGMAS = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    # without it INSERT OR REPLACE would walk around the trigger that guards the ledger
    "PRAGMA recursive_triggers=ON",
)
DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}


def file_address(path: Path) -> URL:
    """The address of a SQLite file, whatever characters its path holds."""
    return URL.create("sqlite", database=str(path))


def connect(url: str | URL) -> Engine:
    """An engine for `sqlite:///file` or `postgresql://…`; nothing is opened yet.

    Raises:
        ConfigurationError: the address names no database that can be used.
    """
    try:
        address = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _bad_address("It is no database URL.") from error
    driver = DRIVERS.get(address.get_backend_name())
    if driver is None:
        raise _bad_address(f"It names {address.get_backend_name()}.")
    if driver == DRIVERS["sqlite"] and address.database in {None, "", ":memory:"}:
        raise _bad_address("It names no file.")
    address = address.set(drivername=driver)
    return _sqlite(address) if driver == DRIVERS["sqlite"] else _postgres(address)


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write."""
    return engine.execution_options(heliograph_writes=True)


def database_refused(what: str, error: SQLAlchemyError) -> StorageError:
    """The storage error for `error`; the caller raises it `from` the original."""
    # the first line only: Postgres adds the failing row, with its prompt, as a detail below
    reason = str(error.orig) if isinstance(error, DBAPIError) else type(error).__name__
    return StorageError(
        what,
        why=reason.partition("\n")[0],
        remedy="Check the disk, the database server and its access rights, then try again.",
    )


# hide_parameters: they hold prompts, which have no place in an error's text
def _sqlite(address: URL) -> Engine:
    engine = create_engine(address, hide_parameters=True, connect_args={"timeout": LOCK_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgres(address: URL) -> Engine:
    try:
        return create_engine(
            address,
            hide_parameters=True,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_SECONDS},
        )
    except ImportError as error:
        raise ConfigurationError(
            "Postgres is configured, but its driver is not installed.",
            why=str(error),
            remedy="Run: pip install 'heliograph[postgres]'",
        ) from error


def _bad_address(why: str) -> ConfigurationError:
    return ConfigurationError(
        "The database address cannot be used.",
        why=why,
        remedy="Give sqlite:///path/to/file.db or postgresql://user:password@host/name.",
    )


def _prepare_sqlite(connection: SqliteConnection, _record: object) -> None:
    connection.isolation_level = None  # BEGIN comes from us, and only from us
    _use_wal(connection)
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _use_wal(connection: SqliteConnection) -> None:
    # two processes that switch a new file at once are told "locked" without any waiting
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except SqliteOperationalError as error:
            if error.sqlite_errorcode != SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("heliograph_writes")
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
    raw = connection.connection.dbapi_connection
    try:
        # straight to the driver, at a fifth of the cost: this runs once for each transaction
        raw.execute(begin)  # type: ignore[union-attr]  # the driver's connection has it
    except SqliteError as error:
        raise OperationalError(begin, None, error) from error

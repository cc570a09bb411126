"""One database for everything that has rows: its engine, its one writer and its readers.

Invariant: work handed in runs in one transaction, all of it or nothing, and is durable when the
call returns; the event loop never waits for a disk.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.exc import SQLAlchemyError

from heliograph.errors import StorageError
from heliograph.storage.engine import connect, database_refused, writing
from heliograph.storage.migrating import bring_up_to_date

T = TypeVar("T")
READERS = 4


class Database:
    """SQLite or Postgres, opened and migrated.

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
        self._writes = writing(self._engine)
        self._steady = self._engine
        if self.dialect == "postgresql":  # SQLite reads are of one moment anyway
            self._steady = self._engine.execution_options(isolation_level="REPEATABLE READ")
        # one writer: SQLite has one lock, and waiting in a queue is fairer than waiting on it
        self._writer = ThreadPoolExecutor(1, "heliograph-database-writer")
        self._own: Connection | None = None  # the writer's, as long as it lives
        self._readers = ThreadPoolExecutor(READERS, "heliograph-database-reader")

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self._engine.dialect.name

    async def write(self, work: Callable[[Connection], T], what: str) -> T:
        """Run `work` in a transaction that writes; an error in it rolls everything back.

        Raises:
            StorageError: with the sentence `what`, when the database refuses.
        """

        return await _in_thread(self._writer, lambda: self._written(work), what)

    def _written(self, work: Callable[[Connection], T]) -> T:
        """In the writer's thread alone."""
        if self.dialect != "sqlite":  # a server may have gone meanwhile: the pool would notice
            with self._writes.begin() as connection:
                return work(connection)
        # to take it from the pool and give it back costs as much as a small transaction
        self._own = self._own or self._writes.connect()
        with self._own.begin():
            return work(self._own)

    async def read(self, work: Callable[[Connection], T], *, steady: bool = False) -> T:
        """Run `work` in a transaction that only reads.

        Args:
            steady: all statements see the database as it was at one moment.

        Raises:
            StorageError: the database refuses.
        """
        engine = self._steady if steady else self._engine

        def seen() -> T:
            with engine.connect() as connection:
                return work(connection)

        return await _in_thread(self._readers, seen, "The database could not be read.")

    async def close(self) -> None:
        """Wait for what is under way, then close the connections."""

        def finish() -> None:
            self._writer.shutdown()
            self._readers.shutdown()
            if self._own is not None:
                self._own.close()
            self._engine.dispose()

        await asyncio.to_thread(finish)


async def _in_thread(pool: ThreadPoolExecutor, work: Callable[[], T], what: str) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
    except SQLAlchemyError as error:
        raise database_refused(what, error) from error

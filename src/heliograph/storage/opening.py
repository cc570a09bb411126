"""Opens the data folder: where originals, database and spool lie.

    <root>/originals/      blobs, unless they are in an object store
    <root>/heliograph.db   books and all else that has rows, unless they are in Postgres
    <root>/spool/          answers while they arrive

Invariant: folders made here are for their owner only (0700).
"""

from dataclasses import dataclass
from pathlib import Path

from heliograph.durable import flush_folder
from heliograph.errors import ConfigurationError
from heliograph.ports import Accounts, Blobs, Books, Cabinet, Jobs, Journal
from heliograph.storage.local_blobs import LocalBlobs
from heliograph.storage.object_blobs import ObjectBlobs
from heliograph.storage.refused import os_refused

OBJECT_STORES = ("s3", "gs", "az", "abfss")


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Everything that keeps something."""

    blobs: Blobs
    books: Books
    journal: Journal
    cabinet: Cabinet
    accounts: Accounts
    jobs: Jobs
    spool: Path

    async def close(self) -> None:
        """Wait for writes under way, then close the database."""
        await self.books.close()


def open_storage(
    root: Path, *, database_url: str | None = None, blobs_url: str | None = None
) -> Storage:
    """Open the data folder at `root`, making and migrating what is not there yet.

    Raises:
        ConfigurationError: an address names nothing that can be used.
        StorageError: a folder or the database refuses.
    """
    # SQLAlchemy takes half a second to load
    from heliograph.storage.database import Database
    from heliograph.storage.engine import file_address
    from heliograph.storage.sql_accounts import SqlAccounts
    from heliograph.storage.sql_books import SqlBooks
    from heliograph.storage.sql_cabinet import SqlCabinet
    from heliograph.storage.sql_jobs import SqlJobs
    from heliograph.storage.sql_journal import SqlJournal

    spool = root / "spool"
    _make_folder(root)
    _make_folder(spool)
    blobs = blobs_at(blobs_url or root / "originals")
    database = Database(database_url or file_address(root / "heliograph.db"))
    return Storage(
        blobs=blobs,
        books=SqlBooks(database),
        journal=SqlJournal(database),
        cabinet=SqlCabinet(database),
        accounts=SqlAccounts(database),
        jobs=SqlJobs(database),
        spool=spool,
    )


def blobs_at(place: str | Path) -> Blobs:
    """Blobs in a folder, or at `s3://…`, `gs://…`, `az://…`, `abfss://…`, or `memory:`.

    Raises:
        ConfigurationError: the address names no store that can be used.
        StorageError: the folder cannot be made.
    """
    scheme, colon, rest = str(place).partition(":")
    if colon and scheme == "memory":
        from obstore.store import MemoryStore

        return ObjectBlobs(MemoryStore())
    if rest.startswith("//"):
        return _object_blobs(scheme, str(place))
    folder = Path(place)
    _make_folder(folder)
    blobs = LocalBlobs(folder)
    blobs.sweep()
    return blobs


def _object_blobs(scheme: str, url: str) -> Blobs:
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    if scheme not in OBJECT_STORES:
        raise _bad_address(f"It is no address of {', '.join(OBJECT_STORES)}.")
    try:
        return ObjectBlobs(from_url(url))
    except (BaseError, ValueError) as error:
        raise _bad_address(f"{str(error).splitlines()[0]}.") from error


def _bad_address(why: str) -> ConfigurationError:
    return ConfigurationError(
        "The address for image files cannot be used.",
        why=why,
        remedy="Give a folder, s3://bucket/prefix, gs://bucket/prefix, or for Azure "
        "abfss://container@account.dfs.core.windows.net/prefix.",
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flush_folder(folder)
    except OSError as error:
        raise os_refused("The data folder cannot be used.", error) from error

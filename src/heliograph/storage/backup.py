"""Copies a SQLite database while it is being written to, as it was at one moment.

Invariant: the copy is whole, checked and durable when it is returned from; the database itself is
only read.
"""

import contextlib
import sqlite3
from pathlib import Path

from heliograph.durable import flush_file
from heliograph.errors import StorageError
from heliograph.storage.engine import LOCK_SECONDS
from heliograph.storage.refused import os_refused


def copy_database(source: Path, target: Path) -> None:
    """Copy the database in the file `source` to a new file, with what its log holds.

    Raises:
        StorageError: it cannot be read or written, or the copy is not sound.
    """
    try:
        address = f"{source.absolute().as_uri()}?mode=ro"
        with (
            contextlib.closing(sqlite3.connect(address, uri=True, timeout=LOCK_SECONDS)) as reads,
            contextlib.closing(sqlite3.connect(target)) as writes,
        ):
            reads.backup(writes)  # in one step: writers wait for nothing, they have the log
            # a file that is copied about must not need another one beside it
            writes.execute("PRAGMA journal_mode=DELETE")
        check_database(target)
        flush_file(target)
    except sqlite3.Error as error:
        raise StorageError(
            "The database could not be copied.",
            why=str(error),
            remedy="Check the disk, then run the same step again.",
        ) from error
    except OSError as error:
        raise os_refused("The database could not be copied.", error) from error


def check_database(path: Path) -> None:
    """Whether a database file is sound.

    Raises:
        StorageError: it is not.
        sqlite3.Error: it is no database at all.
    """
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        said = [str(row[0]) for row in db.execute("PRAGMA integrity_check")]
        lost = db.execute("PRAGMA foreign_key_check").fetchall()
    if said != ["ok"] or lost:
        raise StorageError(
            "The copy of the database is not sound.",
            why=said[0] if said != ["ok"] else f"{len(lost)} rows name others that are not there.",
            remedy="Check the disk; `heliograph ledger verify` says whether the original is.",
        )

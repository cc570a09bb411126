"""The n-th operation fails, as the system would say it, and everything is as before afterwards."""

import builtins
import errno
import io
import os
import sqlite3
from pathlib import Path

import pytest

from heliograph.chaos.breaking import TROUBLES, Breaker

BY_NAME = {trouble.name: trouble for trouble in TROUBLES}


def write(home: Path) -> None:
    folder = home / "folder"
    folder.mkdir()
    with (folder / "file").open("wb", buffering=0) as file:
        rest = b"0123456789"
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    os.link(folder / "file", folder / "link")
    database = sqlite3.dbapi2.connect(home / "db", isolation_level=None)
    try:
        database.cursor().execute("CREATE TABLE t (x)")
        database.commit()
    finally:
        database.close()


def count(home: Path, name: str) -> int:
    breaker = Breaker(home, BY_NAME[name], 0)
    with breaker.on():
        write(home)
    return breaker.count


@pytest.mark.parametrize(
    ("name", "operations"),
    # mkdir, open, write, link; connect, CREATE, COMMIT; and for some of them fsync
    [("ENOSPC", 7), ("EIO", 5), ("EMFILE", 1), ("database is locked", 3), ("MemoryError", 8)],
)
def test_operations_are_counted(tmp_path: Path, name: str, operations: int) -> None:
    assert count(tmp_path, name) == operations


@pytest.mark.parametrize("nth", range(1, 8))
def test_each_operation_can_fail(tmp_path: Path, nth: int) -> None:
    breaker = Breaker(tmp_path, BY_NAME["ENOSPC"], nth)
    real = (io.open, builtins.open, os.open, os.fsync, os.link, sqlite3.dbapi2.connect)
    with breaker.on(), pytest.raises((OSError, sqlite3.OperationalError)) as caught:
        write(tmp_path)
    if isinstance(caught.value, OSError):
        assert caught.value.errno == errno.ENOSPC
    else:
        assert str(caught.value) == "database or disk is full"
    assert breaker.struck is not None
    assert real == (io.open, builtins.open, os.open, os.fsync, os.link, sqlite3.dbapi2.connect)


def test_a_full_disk_takes_half_first(tmp_path: Path) -> None:
    # mkdir and open come first
    with Breaker(tmp_path, BY_NAME["ENOSPC"], 3).on(), pytest.raises(OSError, match="space"):
        write(tmp_path)
    assert (tmp_path / "folder" / "file").read_bytes() == b"01234"


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    breaker = Breaker(tmp_path / "library", BY_NAME["EMFILE"], 1)
    with breaker.on():
        (tmp_path / "elsewhere").write_bytes(b"fine")
    assert breaker.count == 0

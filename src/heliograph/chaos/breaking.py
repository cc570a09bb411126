"""Makes the n-th operation fail: a file, the database, memory; what Python asks of the system.

Invariant: a failure looks as the system's own would, and without one everything goes its real way.
"""

import builtins
import errno
import io
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.chaos.shim import Shim, in_place


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One way to fail, and the operations that can fail so."""

    name: str
    strikes: frozenset[str]  # "write", "open", "fsync", "name", "database"

    def error(self, operation: str) -> Exception:
        """As the system would say it."""
        if self.name == "MemoryError":
            return MemoryError("no memory left")
        if operation == "database":
            said = {
                "ENOSPC": "database or disk is full",
                "EIO": "disk I/O error",
                "EMFILE": "unable to open database file",
            }
            return sqlite3.OperationalError(said.get(self.name, self.name))
        number = getattr(errno, self.name)
        return OSError(number, os.strerror(number))


TROUBLES = (
    Trouble(name="ENOSPC", strikes=frozenset({"write", "open", "name", "database"})),
    Trouble(name="EIO", strikes=frozenset({"write", "fsync", "database"})),
    Trouble(name="EMFILE", strikes=frozenset({"open"})),
    Trouble(name="database is locked", strikes=frozenset({"database"})),
    Trouble(name="MemoryError", strikes=frozenset({"write", "open", "fsync", "name", "database"})),
)


class Breaker:
    """Counts the operations on one library, and fails one of them.

    Args:
        nth: the one that fails, from 1; 0 only counts.
    """

    def __init__(self, home: Path, trouble: Trouble, nth: int) -> None:
        self._home = str(home)
        self._trouble = trouble
        self._nth = nth
        self._lock = threading.Lock()
        self.count = 0
        self.struck: str | None = None  # what failed

    def pass_by(self, operation: str, what: object) -> None:
        """An operation is about to happen.

        Raises:
            OSError, sqlite3.OperationalError, MemoryError: it is the one.
        """
        if operation not in self._trouble.strikes:
            return
        with self._lock:
            self.count += 1
            strikes = self.count == self._nth
        if strikes:
            self.struck = f"{operation} {Path(str(what)).name[:60]}"
            raise self._trouble.error(operation)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Count and fail meanwhile."""
        shims = [
            Shim(io, "open", self._open(io.open)),
            Shim(builtins, "open", self._open(io.open)),
            Shim(os, "open", self._path(os.open, "open")),
            Shim(os, "fsync", self._any(os.fsync, "fsync")),
            Shim(sqlite3.dbapi2, "connect", self._connect(sqlite3.dbapi2.connect)),
            *(
                Shim(os, name, self._path(getattr(os, name), "name"))
                for name in ("mkdir", "link", "rename", "replace")
            ),
        ]
        with in_place(*shims):
            yield

    def is_ours(self, path: object) -> bool:
        """Whether a path lies in the library."""
        return str(path).startswith(self._home)

    def _any(self, real: Callable[..., Any], operation: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.pass_by(operation, arguments[0])
            return real(*arguments, **named)

        return call

    def _path(self, real: Callable[..., Any], operation: str) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **named: Any) -> Any:
            if self.is_ours(path):
                self.pass_by(operation, path)
            return real(path, *arguments, **named)

        return call

    def _open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def open_(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
            if not self.is_ours(file):
                return real(file, mode, buffering, *rest, **named)
            self.pass_by("open", file)
            if not set(mode) & set("wax+"):
                return real(file, mode, buffering, *rest, **named)
            raw = _Raw(self, str(file), mode.replace("b", "").replace("t", ""))
            if buffering == 0:
                return raw
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **named)

        return open_

    def _connect(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
            self.pass_by("database", "connect")
            connection: _Connection = real(*arguments, factory=_Connection, **named)
            connection.breaker = self
            return connection

        return connect


class _Raw(io.FileIO):
    """A file whose writes are counted; one that fails takes half first, as a full disk does."""

    def __init__(self, breaker: Breaker, path: str, mode: str) -> None:
        super().__init__(path, mode)
        self._breaker = breaker
        self._path = path
        self._doom: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if self._doom is not None:
            doom, self._doom = self._doom, None
            raise doom
        try:
            self._breaker.pass_by("write", self._path)
        except OSError as error:
            if len(view) < 2:
                raise
            # a disk takes what it can, says how much, and refuses the next time
            self._doom = error
            view = view[: len(view) // 2]
        return super().write(view)


class _Cursor(sqlite3.Cursor):
    """A cursor whose statements are counted."""

    def execute(self, statement: str, *arguments: Any) -> "_Cursor":
        breaker = getattr(self.connection, "breaker", None)
        if breaker is not None:
            breaker.pass_by("database", statement)
        super().execute(statement, *arguments)
        return self


class _Connection(sqlite3.Connection):
    """A connection whose statements are counted."""

    breaker: Breaker | None = None

    def cursor(self, *_arguments: Any, **_named: Any) -> Any:
        return super().cursor(_Cursor)

    def commit(self) -> None:
        if self.breaker is not None:
            self.breaker.pass_by("database", "COMMIT")
        super().commit()

"""Takes down what a process does to its library's disk, below the client and without its help.

Python reports every opening, renaming, linking and removal to an audit hook, every SQL statement
to a trace; only fsync is wrapped. The database's own files are taken as they are at each moment:
SQLite flushes its log before a commit returns (synchronous=FULL), and says nothing to Python.
Invariant: a frame is what really lay there at that moment, not what somebody meant to write.
"""

import os
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from heliograph.chaos.disk import TOP, Entry, Frame, Recording
from heliograph.chaos.shim import Shim, in_place

DATABASE = ("heliograph.db", "heliograph.db-wal")
REBUILT = "heliograph.db-shm"  # SQLite makes it anew
STEPS = frozenset(
    {
        *("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"),
        *("os.symlink", "shutil.move"),
    }
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Recorder:
    """Records one library; one to a process, because an audit hook is for ever."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.recording = Recording()
        self._flushed: dict[int, str] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._lock = threading.RLock()
        self._busy = threading.local()
        self._is_on = False

    @contextmanager
    def on(self) -> Iterator[None]:
        """Record meanwhile; what lies there at the beginning counts as flushed."""
        self._take_as_flushed()
        sys.addaudithook(self._hear)
        shims = (
            Shim(os, "fsync", self._wrapped(os.fsync)),
            Shim(os, "fdatasync", self._wrapped(os.fdatasync)),
            Shim(sqlite3.dbapi2, "connect", self._traced(sqlite3.dbapi2.connect)),
        )
        self._is_on = True
        with in_place(*shims):
            yield
            self._frame("the end")
        self._is_on = False

    def reached(self, point: str) -> None:
        """A frame at a place in the client's code."""
        self._frame(f"point {point}")

    # ------------------------------------------------------------ listening

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on or getattr(self._busy, "now", False):
            return
        if event in STEPS:
            if event == "open" and not (int(arguments[2] or 0) & WRITES):
                return
            self._frame(f"{event} {Path(str(arguments[0])).name}")

    def _wrapped(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(descriptor: Any) -> None:
            self._frame("fsync")
            real(descriptor)
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            self._flush(os.fstat(number))

        return fsync

    def _traced(self, real: Callable[..., sqlite3.Connection]) -> Callable[..., Any]:
        def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
            connection = real(*arguments, **named)
            connection.set_trace_callback(lambda statement: self._frame(f"SQL {statement[:40]}"))
            return connection

        return connect

    def _flush(self, found: os.stat_result) -> None:
        with self._quietly():
            tree = self._walk()
            path = next((p for p, e in tree.items() if e.inode == found.st_ino), None)
            if path is None:
                return
            if stat.S_ISDIR(found.st_mode):
                self._names[found.st_ino] = _names_in(path, tree)
            else:
                content = tree[path].content
                if content is not None:
                    self._flushed[found.st_ino] = content

    # ------------------------------------------------------------ looking

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        with self._lock:
            self._busy.now = True
            try:
                yield
            finally:
                self._busy.now = False

    def _frame(self, before: str) -> None:
        if not self._is_on or getattr(self._busy, "now", False):
            return
        with self._quietly():
            at = time.time()
            frame = Frame(
                at=at,
                before=before,
                tree=self._walk(),
                flushed=dict(self._flushed),
                names={inode: dict(names) for inode, names in self._names.items()},
                database=self._read_database(),
            )
            self.recording.frames.append(frame)

    def _take_as_flushed(self) -> None:
        tree = self._walk()
        for path, entry in tree.items():
            if entry.content is None:
                self._names[entry.inode] = _names_in(path, tree)
            else:
                self._flushed[entry.inode] = entry.content

    def _walk(self) -> dict[str, Entry]:
        tree = {TOP: Entry(inode=self._home.stat().st_ino, content=None)}
        for folder, folders, files in os.walk(self._home):
            base = Path(folder)
            for name in folders:
                path = base / name
                tree[self._key(path)] = Entry(inode=path.stat().st_ino, content=None)
            for name in files:
                if name not in (*DATABASE, REBUILT):
                    entry = self._entry(base / name)
                    if entry is not None:
                        tree[self._key(base / name)] = entry
        return tree

    def _entry(self, path: Path) -> Entry | None:
        try:
            return Entry(inode=path.stat().st_ino, content=self.recording.keep(path.read_bytes()))
        except FileNotFoundError:
            return None  # another thread was quicker

    def _key(self, path: Path) -> str:
        return path.relative_to(self._home).as_posix()

    def _read_database(self) -> dict[str, str]:
        """Both files of one moment: a log that was begun anew meanwhile has another head."""
        while True:
            before = self._log_head()
            found = {}
            for name in DATABASE:
                path = self._home / name
                if path.exists():
                    found[name] = self.recording.keep(path.read_bytes())
            if before == self._log_head():
                return found

    def _log_head(self) -> bytes:
        path = self._home / DATABASE[1]
        if not path.exists():
            return b""
        with path.open("rb") as file:
            return file.read(32)


def _names_in(folder: str, tree: dict[str, Entry]) -> dict[str, int]:
    """What lies right in a folder: inodes by name."""
    found = {}
    for path, entry in tree.items():
        parent, _, name = path.rpartition("/")
        if path != TOP and (parent or TOP) == folder:
            found[name] = entry.inode
    return found

"""Which processes are working in a library folder right now.

    <home>/library-id          names this folder in a database that several machines share
    <home>/running/<owner>     locked by its process as long as that lives; holds its number

Invariant: a lease ends with its process, however that ends, because the operating system lets go
of the lock; a number alone would be believed long after it was given to another process.
"""

import contextlib
import os
import secrets
import sys
import weakref
from pathlib import Path

from heliograph.durable import flush_folder
from heliograph.errors import StorageError

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _wait_for_lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False  # held, or nobody can tell: then it counts as held
        return True

    def _wait_for_lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)


def _take(file: int) -> None:
    if not _lock(file):
        raise OSError("the file system has no locks")


_held: "weakref.WeakSet[Lease]" = weakref.WeakSet()


def _let_go_in_child() -> None:
    """A forked child is not the process that holds the lease, and must not keep it alive."""
    for lease in list(_held):
        lease.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


class Lease:
    """This process's place in a library.

    Raises:
        StorageError: the folder cannot be written.
    """

    def __init__(self, home: Path) -> None:
        self.owner = secrets.token_hex(8)
        self._folder = home / "running"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.library = _library_id(home)
            # locked before it can be seen: nobody may find it unlocked and think us dead
            hidden = self._folder / f".{self.owner}"
            self._file: int = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            _take(self._file)
            os.write(self._file, str(os.getpid()).encode())
            hidden.rename(self._path)
        except OSError as error:
            raise StorageError(
                "The library folder cannot be used.",
                why=str(error),
                remedy=f"Check {home} and its access rights; nothing was sent.",
            ) from error
        _held.add(self)

    @property
    def _path(self) -> Path:
        return self._folder / self.owner

    def others(self) -> tuple[int, ...]:
        """Process numbers of the other processes that use this library now."""
        return tuple(pid for owner, pid in _living(self._folder).items() if owner != self.owner)

    def living(self) -> frozenset[str]:
        """Owners whose processes live now, this one included."""
        return frozenset({self.owner, *_living(self._folder)})

    def forget(self) -> None:
        """Close the file without giving the place up; for a forked child."""
        with contextlib.suppress(OSError):
            os.close(self._file)

    def close(self) -> None:
        """Give the place up."""
        _held.discard(self)
        with contextlib.suppress(OSError):
            self._path.unlink()
        with contextlib.suppress(OSError):
            os.close(self._file)


def _living(folder: Path) -> dict[str, int]:
    """Process numbers by owner; what dead processes left is cleared away."""
    living: dict[str, int] = {}
    for path in folder.glob("[!.]*"):
        try:
            file = os.open(path, os.O_RDWR)
        except (FileNotFoundError, IsADirectoryError):
            continue  # its process has just left, or it is none of ours
        except OSError:
            living[path.name] = 0  # who cannot be asked is not dead
            continue
        try:
            if _lock(file):
                path.unlink(missing_ok=True)
            else:
                text = os.read(file, 32).decode()
                living[path.name] = int(text) if text.isdigit() else 0
        finally:
            os.close(file)
    return living


def _library_id(home: Path) -> str:
    file = os.open(home / "library-id", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(file, "r+", encoding="ascii") as known:
        # read and written in one turn: two who come first must not name it twice
        _wait_for_lock(file)
        found = known.read().strip()
        if not found:
            found = secrets.token_hex(8)
            known.seek(0)
            known.write(found)
            known.flush()
            os.fsync(file)
            flush_folder(home)
    return found

"""Copies of pictures on disk: made when they are first asked for, once, and made again when gone.

    FOLDER/RECORD/VARIANT/…   one folder an entry, put in place in one step

Invariant: an entry that is visible is whole; all of them together stay near their limit, the least
recently used go first; nothing here is the only copy of anything.
"""

import asyncio
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from heliograph.errors import HeliographError, StorageError
from heliograph.server.faults import Busy

LOG = logging.getLogger("heliograph.server")
MOST = 2 << 30  # bytes of all entries
WAITING = 200  # copies that may wait to be made
FORGOTTEN = 600.0  # seconds after which an unfinished entry is nobody's any more
USED_AGAIN = 60.0  # seconds between two notes that an entry is in use
_MAKING = ".making-"

Make = Callable[[Path], Awaitable[None]]


class Shelf:
    """Entries of one folder.

    Args:
        folder: made when it is needed.
        most: bytes of all entries; passed by at most an eighth, until the next sweep.
        at_once: entries that are made at the same time.
    """

    def __init__(self, folder: Path, *, most: int = MOST, at_once: int = 1) -> None:
        self._folder = folder
        self._most = most
        self._places = asyncio.Semaphore(at_once)
        self._making: dict[tuple[str, str], asyncio.Task[Path]] = {}
        self._grown = most  # bytes since the last sweep; the first entry brings one
        self._sweeping = asyncio.Lock()

    async def entry(self, record: str, name: str, make: Make) -> Path:
        """The folder of an entry.

        Args:
            record: whole id.
            name: of the entry, one plain word.
            make: writes its files into the folder that it is given; called when there is none.

        Raises:
            Busy: too many wait for theirs to be made.
            StorageError: it cannot be written.
            HeliographError: what `make` raises.
        """
        target = self._folder / record / name
        if await asyncio.to_thread(_use, target):
            return target
        key = (record, name)
        task = self._making.get(key)
        if task is None:
            if len(self._making) >= WAITING:
                raise Busy("Too many copies of pictures are being made.", retry_after=2.0)
            task = asyncio.ensure_future(self._make(target, make))
            self._making[key] = task
            task.add_done_callback(lambda done: self._made(key, done))
        # it goes on for the next one who asks when this one leaves
        return await asyncio.shield(task)

    def _made(self, key: tuple[str, str], task: "asyncio.Task[Path]") -> None:
        del self._making[key]
        if not task.cancelled() and isinstance(task.exception(), HeliographError):
            LOG.debug("no copy %s/%s: %s", *key, task.exception())

    async def _make(self, target: Path, make: Make) -> Path:
        async with self._places:
            try:
                aside = await asyncio.to_thread(_begin, self._folder, target.parent)
                try:
                    await make(aside)
                    size = await asyncio.to_thread(_put, aside, target)
                finally:
                    await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
            except OSError as error:
                raise _not_written(error) from error
        self._grown += size
        if self._grown > self._most // 8:
            await self._sweep()
        return target

    async def _sweep(self) -> None:
        async with self._sweeping:
            self._grown = 0
            try:
                await asyncio.to_thread(sweep, self._folder, self._most)
            except OSError as error:
                raise _not_written(error) from error


def sweep(folder: Path, most: int, now: float | None = None) -> None:
    """Remove what is least recently used until all is within `most` bytes, and what was never
    finished.

    Args:
        now: seconds since the epoch, when the clock is not to be asked.

    Raises:
        OSError: the disk or the folder refuses.
    """
    clock = time.time() if now is None else now
    entries: list[tuple[float, int, Path]] = []
    for record in _folders(folder):
        if record.name.startswith(_MAKING):
            with suppress(FileNotFoundError):
                if record.stat().st_mtime < clock - FORGOTTEN:
                    shutil.rmtree(record, ignore_errors=True)
            continue
        for entry in _folders(record):
            with suppress(FileNotFoundError):  # another process sweeps as well
                entries.append((entry.stat().st_mtime, _size(entry), entry))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if total <= most:
            return
        shutil.rmtree(entry, ignore_errors=True)
        with suppress(OSError):  # not empty
            entry.parent.rmdir()
        total -= size


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            return [Path(item.path) for item in found if item.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _size(entry: Path) -> int:
    with os.scandir(entry) as found:
        return sum(item.stat(follow_symlinks=False).st_size for item in found)


def _use(target: Path) -> bool:
    """Whether it is there; it counts as used from now on."""
    try:
        with suppress(OSError):
            target.rmdir()  # only one that somebody has emptied
        if time.time() - target.stat().st_mtime > USED_AGAIN:
            os.utime(target)
    except OSError:
        return False
    return True


def _begin(folder: Path, record: Path) -> Path:
    record.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=folder, prefix=_MAKING))


def _put(aside: Path, target: Path) -> int:
    """Give the entry its name; when another process was first, its entry stays."""
    size = _size(aside)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # a sweep may have taken it
    try:
        aside.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    return size


def _not_written(error: OSError) -> StorageError:
    return StorageError(
        "The copy of the picture could not be written.",
        why=error.strerror,  # its whole text names the folder
        remedy="The original is safe. Free some disk space and ask again.",
    )

"""Blobs in a folder of this machine.

Invariant: a visible key has its whole content and survives power loss. A file is written aside,
flushed, then linked to its name in one step that refuses an existing name, and the folders are
flushed before `put` returns. Kept files are read-only: an editor cannot save over an original.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from heliograph.durable import flush_folder
from heliograph.errors import RecordNotFound
from heliograph.killpoints import reach
from heliograph.storage.key import check_key
from heliograph.storage.refused import os_refused

FORGOTTEN = 600  # seconds after which a file written aside has no living writer


class LocalBlobs:
    """The `Blobs` port over one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._aside = self._root / ".incoming"
        self._flushed: set[Path] = set()  # folders whose own names survive power loss

    async def put(self, file: Path, key: str) -> None:
        await self.put_all({key: file})

    async def put_bytes(self, data: bytes, key: str) -> bool:
        return bool(await asyncio.to_thread(self._store, {key: data}))

    async def put_all(self, contents: Mapping[str, Path | bytes]) -> None:
        await asyncio.to_thread(self._store, contents)

    async def read(self, key: str) -> bytes:
        return await asyncio.to_thread(self._read, key)

    async def local(self, key: str, scratch: Path) -> Path:  # noqa: ARG002  the port's shape
        return self._find(key)  # quicker than handing it to a thread

    async def keys(self, prefix: str) -> Sequence[str]:
        return await asyncio.to_thread(self._keys, prefix)

    def sweep(self, now: float | None = None) -> None:
        """Remove what killed writers left aside; it was never visible under a key.

        Args:
            now: seconds since the epoch, when it is not to be asked of the clock.
        """
        oldest = (time.time() if now is None else now) - FORGOTTEN
        try:
            for path in self._aside.glob("*"):
                # also when it was linked here: the bytes of a spool file may be old already
                if max(path.stat().st_mtime, path.stat().st_ctime) < oldest:
                    path.unlink(missing_ok=True)
        except FileNotFoundError:
            return  # another process sweeps as well
        except OSError as error:
            raise os_refused("Old temporary files cannot be removed.", error) from error

    def _store(self, contents: Mapping[str, Path | bytes]) -> int:
        """Store all of them; returns how many are new."""
        targets = {self._root / check_key(key): content for key, content in contents.items()}
        made = 0
        try:
            self._make(self._aside)
            for target, content in targets.items():
                self._make(target.parent)
                made += not target.exists() and self._write(target, content)
            # also for a key that exists: its writer may have been killed before this line
            for folder in dict.fromkeys(target.parent for target in targets):
                self._flush_folders(folder)
        except OSError as error:
            raise os_refused("The file could not be stored.", error) from error
        return made

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self._flushed.clear()  # somebody has cleared up: nothing is sure any more
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _write(self, target: Path, content: Path | bytes) -> bool:
        """Write it aside and give it its name; returns whether nobody else was first."""
        handle, name = tempfile.mkstemp(dir=self._aside)
        os.close(handle)
        aside = Path(name)
        try:
            if isinstance(content, Path):
                _adopt(content, aside)
            else:
                _write_bytes(content, aside)
            with aside.open("rb+") as file:
                os.fsync(file.fileno())
            aside.chmod(0o400)
            is_new = _link(aside, target)
            reach("blob-named")
            return is_new
        finally:
            aside.unlink(missing_ok=True)

    def _flush_folders(self, folder: Path) -> None:
        """Flush the folder, and those above it once: their content does not change after that."""
        flush_folder(folder)
        fresh = []
        while folder not in self._flushed and folder != self._root:
            fresh.append(folder)
            folder = folder.parent
            flush_folder(folder)
        self._flushed.update(fresh)

    def _find(self, key: str) -> Path:
        path = self._root / check_key(key)
        try:
            if path.is_file():
                return path
        except OSError as error:
            raise os_refused("A stored file could not be found.", error) from error
        raise not_found(key)

    def _read(self, key: str) -> bytes:
        path = self._root / check_key(key)
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise not_found(key) from error
        except OSError as error:
            raise os_refused("A stored file could not be read.", error) from error

    def _keys(self, prefix: str) -> Sequence[str]:
        folder = prefix.rpartition("/")[0]
        base = self._root / check_key(folder) if folder else self._root
        if not base.is_dir():
            return []
        found: list[str] = []
        try:
            for path, folders, names in os.walk(base, onerror=_raise):
                folders[:] = [name for name in folders if not name.startswith(".")]
                found += (Path(path, name).relative_to(self._root).as_posix() for name in names)
        except OSError as error:
            raise os_refused("The stored files could not be listed.", error) from error
        return sorted(key for key in found if key.startswith(prefix))


def _raise(error: OSError) -> None:
    raise error


def not_found(key: str) -> RecordNotFound:
    """The error for a key under which nothing is stored."""
    return RecordNotFound(
        "Nothing is stored under this key.",
        why=f"There is no {key}.",
        remedy="Check the data folder; `rebuild` lists everything that is missing.",
        facts={"key": key},
    )


def _adopt(file: Path, aside: Path) -> None:
    """Take over a file that was handed in: its bytes are not written a second time."""
    aside.unlink()
    try:
        os.link(file, aside)
    except OSError:  # another file system, or one without hard links
        _copy(file, aside)
    else:
        reach("blob-half")


def _copy(file: Path, aside: Path) -> None:
    with file.open("rb") as source, aside.open("wb") as out:
        out.write(source.read(file.stat().st_size // 2))
        out.flush()
        reach("blob-half")
        shutil.copyfileobj(source, out)


def _write_bytes(data: bytes, aside: Path) -> None:
    with aside.open("wb") as out:
        out.write(data[: len(data) // 2])
        out.flush()
        reach("blob-half")
        out.write(data[len(data) // 2 :])


def _link(aside: Path, target: Path) -> bool:
    try:
        os.link(aside, target)
    except FileExistsError:
        return False  # another writer was first; the same key means the same content
    except OSError:
        # a file system without hard links (exFAT, some network mounts): rename is as whole, and
        # could at worst replace the same content by itself
        if target.exists():
            return False
        aside.rename(target)
    return True

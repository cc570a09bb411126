"""A folder for the pictures that one request brings, gone when nobody needs it any more.

Invariant: file names are ours; what a client calls its files is never part of a path.
"""

import asyncio
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

FOLDER, PREFIX = "scratch", "form-"
ABANDONED = 86400.0  # seconds after which a folder belongs to a process that was killed


def sweep(home: Path) -> None:
    """Take away what killed processes have left."""
    for folder in (home / FOLDER).glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # a gateway beside this one is done with it
            if folder.stat().st_mtime < time.time() - ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)


class Scratch:
    """A folder of one request.

    Args:
        home: the library's folder; the scratch folder lies in it, on the same disk.
    """

    def __init__(self, home: Path) -> None:
        self._home = home / FOLDER
        self._folder: Path | None = None
        self._count = 0

    def new(self) -> Path:
        """A path for one more file."""
        if self._folder is None:
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._home))
        self._count += 1
        return self._folder / f"part-{self._count}"

    def keep(self, data: bytes) -> Path:
        """Write one picture down."""
        path = self.new()
        path.write_bytes(data)
        return path

    async def close(self) -> None:
        """Take the folder away."""
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

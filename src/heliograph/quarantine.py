"""Where paid bytes lie that cannot be delivered: `quarantine/` in the library, by job.

Invariant: nothing that lies there is deleted or replaced, and what goes there is here or there at
any moment.
"""

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path

from heliograph.providers.spool import places_of


def quarantine(job: str, files: Sequence[Path], home: Path) -> None:
    """Put paid bytes aside that cannot be delivered; code never deletes or replaces them."""
    folder = home / "quarantine" / job
    for file in files:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        rest = file.with_name(file.name + ".rest")
        for path in (file, rest):
            if path.exists():
                _move(path, _free_name(folder, f"{path.parent.name}-{path.name}"))


def _move(file: Path, target: Path) -> None:
    """Move a file, also to another file system; one that is full keeps nothing of it."""
    try:
        file.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(f".{target.name}")
        try:
            shutil.copy2(file, part)
            part.rename(target)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        file.unlink()


def put_aside(spool: Path, job: str, home: Path) -> None:
    """Put a whole spool into quarantine, what may not fit first: the rest is in place then."""
    for place in places_of(spool):
        quarantine(job, [path for path in place.rglob("*") if path.is_file()], home)


def _free_name(folder: Path, name: str) -> Path:
    """A name that nothing has: an earlier call of the job may have put its pieces here."""
    target, number = folder / name, 2
    while target.exists():
        target, number = folder / f"{number}-{name}", number + 1
    return target

"""Put a finished file where the user wants it: whole or not at all, never over another file.

Invariant: nothing is put into a library's own folders, whatever is allowed besides: what lies there
was paid for, and is the only one of its kind.
"""

import os
import secrets
import shutil
from pathlib import Path

from heliograph.errors import StorageError, WouldOverwrite

LIBRARY = "library-id"  # a folder with this file is a library
# what a library keeps for itself; prompts and word lists are the user's own
OWN = (
    *("originals", "spool", "running", "quarantine", "exports", "derived", "server", "emulator"),
    *("heliograph.db", "heliograph.db-wal", "heliograph.db-shm", LIBRARY),
)
ASIDE, BLOBS = ".incoming", ("sha256", "records")  # of originals in a folder of their own


def place(source: Path, destination: Path, *, force: bool = False) -> Path:
    """Copy `source` to `destination` in one step and return the path written.

    A destination that is a folder gets the source's own name. One that is a link is replaced; what
    it leads to stays as it is.

    Raises:
        WouldOverwrite: the destination exists and `force` is not set.
        StorageError: it is no usable name, the folder cannot be made or written, or it is a
            library's own.
    """
    temporary: Path | None = None
    try:
        if destination.is_dir():
            destination = destination / source.name
        refuse_own(destination)
        if not force and (destination.exists() or destination.is_symlink()):
            raise _taken(destination)
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = destination.parent / f".heliograph-{secrets.token_hex(8)}"
        _copy(source, temporary)
        _name(temporary, destination, force=force)
    except (OSError, ValueError) as error:
        raise StorageError(
            f"Cannot write {str(destination)[:200]!r}.",
            why=str(error)[:300],
            remedy="Choose another name or folder, and check the disk.",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return destination


def refuse_own(destination: Path) -> None:
    """Raises StorageError where a destination lies among what a library keeps for itself."""
    # the folder as it really lies; the name itself is replaced, not followed
    inner = Path(os.path.realpath(destination.parent)) / destination.name
    for outer in inner.parents:
        if _keeps(outer, inner):
            raise _own(destination, outer)
        inner = outer


def _keeps(library: Path, inner: Path) -> bool:
    """Whether a folder is a library, or where one has its originals, and this its own part."""
    try:
        if (library / LIBRARY).is_file():
            return any(_is_same(inner, library / name) for name in OWN)
        return (library / ASIDE).is_dir() and any(_is_same(inner, library / n) for n in BLOBS)
    except OSError:  # nobody may look into it
        return False


def _is_same(one: Path, other: Path) -> bool:
    # some file systems take small letters for capital ones
    return one == other or (other.exists() and one.exists() and one.samefile(other))


def _own(destination: Path, library: Path) -> StorageError:
    return StorageError(
        f"{destination} lies in a library of originals, which nothing is written over.",
        remedy=f"Choose a name outside of {library}.",
        facts={"path": str(destination), "library": str(library)},
    )


def _copy(source: Path, temporary: Path) -> None:
    # opened like any new file, so that the user's umask holds
    with temporary.open("xb") as out, source.open("rb") as data:
        shutil.copyfileobj(data, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())


def _name(temporary: Path, destination: Path, *, force: bool) -> None:
    if force:
        temporary.replace(destination)
        return
    try:
        # link() refuses an existing name, so two writers cannot both win
        os.link(temporary, destination)
    except FileExistsError as error:
        raise _taken(destination) from error
    except OSError:
        # a file system without hard links (exFAT, some network mounts)
        if destination.exists():
            raise _taken(destination) from None
        temporary.rename(destination)


def _taken(destination: Path) -> WouldOverwrite:
    return WouldOverwrite(
        f"{destination} exists already.",
        remedy="Choose another name, or allow replacing it with force (CLI: --force).",
        facts={"path": str(destination)},
    )

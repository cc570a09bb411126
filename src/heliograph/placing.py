"""Put a finished file where the user wants it: whole or not at all, never over another file."""

import os
import secrets
import shutil
from pathlib import Path

from heliograph.errors import StorageError, WouldOverwrite


def place(source: Path, destination: Path, *, force: bool = False) -> Path:
    """Copy `source` to `destination` in one step and return the path written.

    A destination that is a folder gets the source's own name.

    Raises:
        WouldOverwrite: the destination exists and `force` is not set.
        StorageError: it is no usable name, or the folder cannot be made or written.
    """
    temporary: Path | None = None
    try:
        if destination.is_dir():
            destination = destination / source.name
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

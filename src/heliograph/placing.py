"""Put a finished file where the user wants it: whole or not at all, never over another file."""

import os
import shutil
import tempfile
from pathlib import Path

from heliograph.errors import StorageError, WouldOverwrite


def place(source: Path, destination: Path, *, force: bool = False) -> Path:
    """Copy `source` to `destination` in one step and return the path written.

    A destination that is a folder (or ends with a separator) gets the source's own name.

    Raises:
        WouldOverwrite: the destination exists and `force` is not set.
        StorageError: the folder cannot be made or written.
    """
    if destination.is_dir():
        destination = destination / source.name
    if destination.exists() and not force:
        raise WouldOverwrite(
            f"{destination} exists already.",
            remedy="Choose another name, or allow replacing it with force (CLI: --force).",
            facts={"path": str(destination)},
        )
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=destination.parent, prefix=".heliograph-")
    except OSError as error:
        raise StorageError(
            f"Cannot write to {destination.parent}.",
            why=str(error),
            remedy="Choose a folder you may write to.",
        ) from error
    try:
        with os.fdopen(handle, "wb") as out, source.open("rb") as data:
            shutil.copyfileobj(data, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(0o644)
        if force:
            Path(temporary).replace(destination)
        else:
            # link() refuses an existing name, so two writers cannot both win
            os.link(temporary, destination)
            Path(temporary).unlink()
    except FileExistsError as error:
        Path(temporary).unlink(missing_ok=True)
        raise WouldOverwrite(
            f"{destination} appeared while it was being written.",
            remedy="Choose another name, or allow replacing it with force (CLI: --force).",
        ) from error
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise StorageError(
            f"Cannot write {destination}.", why=str(error), remedy="Check the disk and the folder."
        ) from error
    return destination

"""Put finished bytes into the caller's folder: whole and durable, or not at all."""

import os
import tempfile
from pathlib import Path


def write(data: bytes, folder: Path, name: str) -> Path:
    """Write `data` as `folder`/`name`, replacing an older one in one step.

    Raises:
        OSError: the disk or the folder refused; nothing is left behind.
    """
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".export-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(0o644)
        placed = Path(temporary).replace(folder / name)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(folder)
    return placed


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

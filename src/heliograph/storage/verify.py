"""Holds every stored file against the name it is kept under, which is its SHA-256.

Invariant: files are only read, and each is read once, however many records name it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

from heliograph.errors import RecordNotFound, StorageError
from heliograph.ports import Blobs
from heliograph.storage.keep import blob_keys
from heliograph.storage.rebuild import sha256_of
from heliograph.types import KeptImage, Record


class Condition(Enum):
    """What became of a stored file."""

    INTACT = "intact"
    DAMAGED = "damaged"  # other bytes than were stored, or no whole picture
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """One stored file and the condition it is in."""

    record_id: str  # of the newest record that names it
    key: str
    condition: Condition
    reason: str | None = None  # one sentence when it is not intact


Defect = Callable[[Path], Awaitable[str | None]]  # what is wrong inside a picture


async def verify(records: Sequence[Record], blobs: Blobs, defect: Defect) -> tuple[FileCheck, ...]:
    """Check every file that `records` name; `defect` looks into the pictures that they made."""
    checks: dict[str, FileCheck] = {}
    for record in records:
        pictures = {image.key: image for image in record.images}
        for key in blob_keys(record):
            if key not in checks:
                look = _picture(pictures[key], defect) if key in pictures else _same
                checks[key] = await _check(record, key, blobs, look)
    return tuple(checks.values())


async def _check(record: Record, key: str, blobs: Blobs, defect: Defect) -> FileCheck:
    condition, reason = Condition.INTACT, None
    with TemporaryDirectory(prefix="heliograph-") as scratch:
        try:
            path = await blobs.local(key, Path(scratch))
            digest = await asyncio.to_thread(sha256_of, path)
            reason = await defect(path)
        except (RecordNotFound, FileNotFoundError):
            condition, reason = Condition.MISSING, "It is not there."
        except (StorageError, OSError) as error:
            condition, reason = Condition.DAMAGED, f"It cannot be read: {error}"
        else:
            if key.rpartition("/")[2].partition(".")[0] != digest:
                reason = f"Its SHA-256 is {digest} now."
            condition = Condition.DAMAGED if reason else Condition.INTACT
    return FileCheck(record_id=record.id, key=key, condition=condition, reason=reason)


async def _same(_path: Path) -> None:
    """A signature is text, and an input image was looked into before it was sent."""


def _picture(image: KeptImage, defect: Defect) -> Defect:
    async def found(path: Path) -> str | None:
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        if size != image.size:
            return f"It has {size} bytes instead of {image.size}."
        return await defect(path)

    return found

"""Keeps one paid call: its files, its sidecar, its record and ledger lines, in this order.

Invariant: whatever the database names is already durable as a file, and whatever is durable can
bring the database back. Killed anywhere, the same call run again completes it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from heliograph.errors import StorageError
from heliograph.ports import Blobs, Books
from heliograph.storage.entry import canonical
from heliograph.storage.key import sidecar_key
from heliograph.storage.sidecar import record_to_json
from heliograph.types import LedgerLine, Record


async def keep(
    record: Record,
    lines: Sequence[LedgerLine],
    *,
    blobs: Blobs,
    books: Books,
    files: Mapping[str, Path],
) -> None:
    """Make a record, its ledger lines and `files` (blob key → spool file) durable.

    Raises:
        StorageError: a step refused; what was done so far is safe, run the same call again.
    """
    record, lines = canonical(record, lines)
    for key, path in files.items():
        await blobs.put(path, key)
    for key in blob_keys(record):
        if key not in files and key not in await blobs.keys(key):
            raise StorageError(
                "The record names a file that is not stored.",
                why=f"There is no {key}, and it was not given.",
                facts={"key": key},
            )
    await _put_sidecar(record, lines, blobs)
    await books.keep(record, lines)


def blob_keys(record: Record) -> tuple[str, ...]:
    """All keys that a record names: its images, and the signatures of every part of its turn."""
    images = (i.key for i in record.images)
    signatures = (i.signature_key for i in record.images)
    spoken = (part.get("signature") for part in record.turn)
    named = (*images, *signatures, *spoken)
    return tuple(dict.fromkeys(key for key in named if isinstance(key, str)))


async def _put_sidecar(record: Record, lines: Sequence[LedgerLine], blobs: Blobs) -> None:
    key = sidecar_key(record)
    sidecar = record_to_json(record, lines)
    await blobs.put_bytes(sidecar, key)
    # its name does not tell its content, and an earlier one is never replaced
    if await blobs.read(key) != sidecar:
        raise StorageError(
            "This record has a sidecar already, with other content.",
            why=f"{key} says something else; neither file nor database was changed.",
            remedy="Run rebuild to take over what the sidecar says.",
            record_id=record.id,
            facts={"key": key},
        )

"""Brings the database back from the sidecars, and checks every file they name.

Invariant: nothing is deleted or replaced. A record whose image is damaged is still re-created,
because its money was spent; the damage is reported.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from heliograph.errors import RecordNotFound, StorageError
from heliograph.ports import Blobs, Books
from heliograph.storage.keep import blob_keys
from heliograph.storage.key import CONTENT, RECORDS, is_sidecar_of, sidecar_key
from heliograph.storage.sidecar import record_from_json
from heliograph.types import LedgerLine, Record


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One file that is not what it should be."""

    key: str
    reason: str  # one sentence


@dataclass(frozen=True, kw_only=True)
class RebuildReport:
    """What a rebuild found and did."""

    sidecars: int  # read, whole or damaged
    intact: int  # files named by a record whose SHA-256 is right
    added: tuple[str, ...]  # ids of records that were missing, or whose lines were
    already: tuple[str, ...]  # ids of records that the database has, word for word
    damaged: tuple[Damage, ...]
    unclaimed: tuple[str, ...]  # keys of files that no sidecar names; paid for, perhaps


async def rebuild(blobs: Blobs, books: Books) -> RebuildReport:
    """Re-create every record and ledger line that the database misses."""
    stored = await blobs.keys(CONTENT)
    sidecars = [*await blobs.keys(RECORDS), *(key for key in stored if key.endswith(".json"))]
    known: dict[str, bool] = {}  # by record id, which has more sidecars when lines came later
    damaged: list[Damage] = []
    named: set[str] = set()
    for key in sidecars:
        try:
            record, lines = await _read(blobs, key)
            found = await _known(record, lines, books)
            await books.keep(record, lines)
        except StorageError as error:
            damaged.append(Damage(key=key, reason=str(error)))
            continue
        known[record.id] = known.get(record.id, True) and found
        named.update(blob_keys(record))
    files = {name: await _defect(blobs, name) for name in sorted(named)}
    damaged += [Damage(key=name, reason=reason) for name, reason in files.items() if reason]
    return RebuildReport(
        sidecars=len(sidecars),
        intact=sum(reason is None for reason in files.values()),
        added=tuple(key for key, found in known.items() if not found),
        already=tuple(key for key, found in known.items() if found),
        damaged=tuple(damaged),
        unclaimed=tuple(key for key in stored if key not in named and not key.endswith(".json")),
    )


async def _read(blobs: Blobs, key: str) -> tuple[Record, tuple[LedgerLine, ...]]:
    record, lines = record_from_json(await blobs.read(key))
    if not is_sidecar_of(record, key):
        raise StorageError(
            "This sidecar lies in the wrong place.",
            why=f"{key} belongs at {sidecar_key(record)}.",
        )
    return record, lines


async def _known(record: Record, lines: Sequence[LedgerLine], books: Books) -> bool:
    try:
        found = await books.find(record.id)
    except RecordNotFound:
        return False
    kept = {line.entry_id for line in await books.lines(record.id)}
    return found.id == record.id and kept >= {line.entry_id for line in lines}


async def _defect(blobs: Blobs, key: str) -> str | None:
    """Why the file under `key` is not the one that its name promises, or None."""
    with TemporaryDirectory(prefix="heliograph-") as scratch:
        try:
            path = await blobs.local(key, Path(scratch))
            digest = await asyncio.to_thread(sha256_of, path)
        except (StorageError, OSError) as error:
            return str(error)
    if key.rpartition("/")[2].partition(".")[0] != digest:
        return f"The content of {key} has SHA-256 {digest}."
    return None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

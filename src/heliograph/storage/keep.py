"""Keeps one paid call: its files, its sidecar, its record and ledger lines, in this order.

Invariant: whatever the database names is already durable as a file, and whatever is durable can
bring the database back. Killed anywhere, the same call run again completes it, and what an
earlier run made durable is what counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from heliograph.errors import RecordNotFound, StorageError
from heliograph.killpoints import reach
from heliograph.ledger import RELEASE, RESERVE
from heliograph.ports import Blobs, Books
from heliograph.storage.entry import canonical
from heliograph.storage.key import sidecar_key
from heliograph.storage.sidecar import record_from_json, record_to_json
from heliograph.types import LedgerLine, Record

# what two runs over one spooled answer cannot disagree on
ANSWER = ("id", "outcome", "prompt", "model", "images", "simulated", "upstream", "parents")
PASSING = (RESERVE, RELEASE)  # come to nothing once the call has ended; no sidecar has them


async def keep(
    record: Record,
    lines: Sequence[LedgerLine],
    *,
    blobs: Blobs,
    books: Books,
    files: Mapping[str, Path | bytes],
) -> None:
    """Make a record, its ledger lines and `files` (blob key → spool file or content) durable.

    Raises:
        StorageError: a step refused; what was done so far is safe, run the same call again.
    """
    record, lines = await store(record, lines, blobs=blobs, files=files)
    await books.keep(record, lines)


async def store(
    record: Record,
    lines: Sequence[LedgerLine],
    *,
    blobs: Blobs,
    files: Mapping[str, Path | bytes],
) -> tuple[Record, tuple[LedgerLine, ...]]:
    """Make `files` (blob key → spool file or content) durable, then the sidecar of the rest.

    Returns:
        What the database must say now: the same record and lines, or what the sidecar of an
        earlier, killed run says about the same answer (another time, for example), with the
        `reserve` and `release` lines as they were given, which stand in no sidecar.

    Raises:
        StorageError: a step refused; what was done so far is safe, run the same call again.
    """
    record, lines = canonical(record, lines)
    if files:
        await blobs.put_all(files)
    for key in blob_keys(record):
        if key not in files and key not in await blobs.keys(key):
            raise StorageError(
                "The record names a file that is not stored.",
                why=f"There is no {key}, and it was not given.",
                facts={"key": key},
            )
    reach("filed")
    kept, written = await _put_sidecar(record, lines, sidecar_key(record), blobs)
    reach("sidecar")
    return kept, written


async def store_lines(
    record: Record, lines: Sequence[LedgerLine], *, name: str, blobs: Blobs
) -> tuple[LedgerLine, ...]:
    """Make later ledger lines of a stored record durable, in a further sidecar of their own.

    Args:
        name: tells them from other later lines of the record: letters, digits, "-" and "_".

    Returns:
        What the database must say now: the same lines, or those of an earlier, killed run, with
        the `reserve` and `release` lines as they were given.

    Raises:
        StorageError: it refused; run the same call again.
    """
    record, lines = canonical(record, lines)
    with suppress(RecordNotFound):
        # both sidecars must tell of one record, whatever the caller knows of it by now
        record, _ = record_from_json(await blobs.read(sidecar_key(record)))
    _, written = await _put_sidecar(record, lines, sidecar_key(record, name), blobs)
    return written


def blob_keys(record: Record) -> tuple[str, ...]:
    """All keys that a record names: its images, the signatures of every part of its turn, and
    the input images that the library keeps.
    """
    images = (i.key for i in record.images)
    signatures = (i.signature_key for i in record.images)
    spoken = (part.get("signature") for part in record.turn)
    named = (*images, *signatures, *spoken, *_input_keys(record.request))
    return tuple(dict.fromkeys(key for key in named if isinstance(key, str)))


def _input_keys(request: Mapping[str, Any]) -> Iterator[Any]:
    """What stands where a request names the keys of its input images; anything may stand there."""
    references = request.get("references")
    area = request.get("area")
    inputs = [
        *(references if isinstance(references, list | tuple) else ()),
        *((area.get("picture"), area.get("mask")) if isinstance(area, Mapping) else ()),
    ]
    for described in inputs:
        if isinstance(described, Mapping):
            yield described.get("key")


async def _put_sidecar(
    record: Record, lines: Sequence[LedgerLine], key: str, blobs: Blobs
) -> tuple[Record, tuple[LedgerLine, ...]]:
    lasting = tuple(line for line in lines if line.kind not in PASSING)
    passing = tuple(line for line in lines if line.kind in PASSING)
    sidecar = record_to_json(record, lasting)
    if await blobs.put_bytes(sidecar, key):
        return record, (*lasting, *passing)
    # its name does not tell its content, and an earlier one is never replaced
    found = await blobs.read(key)
    if found == sidecar:
        return record, (*lasting, *passing)
    kept, written = canonical(*record_from_json(found))
    if not _same_answer(kept, record) or _ids(written) != _ids(lasting):
        raise StorageError(
            "This record has a sidecar already, with other content.",
            why=f"{key} says something else; neither file nor database was changed.",
            remedy="Run rebuild to take over what the sidecar says.",
            record_id=record.id,
            facts={"key": key},
        )
    return kept, (*written, *passing)


def _same_answer(one: Record, other: Record) -> bool:
    """Whether both tell of one answer to one request; times and warnings may differ."""
    return all(getattr(one, name) == getattr(other, name) for name in ANSWER)


def _ids(lines: Sequence[LedgerLine]) -> set[str]:
    return {line.entry_id for line in lines}

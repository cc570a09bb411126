"""The sidecar of a record: a JSON file beside its image that says the same as the database.

Invariant: `record_from_json(record_to_json(record, lines))` gives both back, equal records give
equal bytes, and a file that is damaged or of another version is refused, never guessed at.
"""

import json
from collections.abc import Sequence
from typing import Any

from heliograph.errors import StorageError
from heliograph.storage.document import from_document, to_document
from heliograph.types import LedgerLine, Record

SCHEMA = "heliograph.record/1"


def record_to_json(record: Record, lines: Sequence[LedgerLine]) -> bytes:
    """The sidecar's bytes: indented UTF-8, fields in the order of `types.py`."""
    sidecar = {"schema": SCHEMA, "record": to_document(record), "lines": to_document(list(lines))}
    text = json.dumps(sidecar, ensure_ascii=False, indent=2)
    # a lone surrogate has no UTF-8; Python's escape for it is JSON's own \udXXX
    return text.encode("utf-8", "backslashreplace") + b"\n"


def record_from_json(data: bytes) -> tuple[Record, tuple[LedgerLine, ...]]:
    """The record and its ledger lines.

    Raises:
        StorageError: the sidecar is damaged or of another version.
    """
    try:
        sidecar: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"it is no JSON: {error}") from error
    if not isinstance(sidecar, dict) or "schema" not in sidecar:
        raise _unreadable("it names no schema")
    if sidecar["schema"] != SCHEMA:
        raise _unreadable(f"its schema is {sidecar['schema']!r}, this version reads {SCHEMA!r}")
    if set(sidecar) != {"schema", "record", "lines"} or not isinstance(sidecar["lines"], list):
        raise _unreadable("it must hold one record and a list of ledger lines")
    record = from_document(Record, sidecar["record"])
    return record, tuple(from_document(LedgerLine, line) for line in sidecar["lines"])


def _unreadable(why: str) -> StorageError:
    return StorageError(
        "This sidecar cannot be read.",
        why=f"{why[0].upper()}{why[1:]}.",
        remedy="Restore the file from a backup, or upgrade if a newer Heliograph wrote it.",
    )

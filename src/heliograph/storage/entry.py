"""What may enter the books: a record with its ledger lines, in one canonical form.

Invariant: money is an integer within range, times are UTC, every line belongs to the record.
All implementations of the books pass everything through here, so they keep the same things.
"""

from collections.abc import Sequence

from heliograph.errors import StorageError
from heliograph.money import MAX_MICRO
from heliograph.storage.document import from_document, to_document
from heliograph.types import LedgerLine, Record

SETTLE = "settle"


def canonical(record: Record, lines: Sequence[LedgerLine]) -> tuple[Record, tuple[LedgerLine, ...]]:
    """The same record and lines as they will be read back, every type checked.

    Raises:
        StorageError: something in them must not enter the books.
    """
    record = from_document(Record, to_document(record))
    if not 0 <= record.cost <= MAX_MICRO:
        raise _refusal(f"a cost of {record.cost} micro-dollars is outside 0…1e12")
    checked = tuple(from_document(LedgerLine, to_document(line)) for line in lines)
    for line in checked:
        _check_line(line, record)
    return record, checked


def queries(line: LedgerLine) -> int:
    """Search queries that the line settles."""
    count: int = line.detail.get("queries", 0)
    return count


def differs(what: str, key: str) -> StorageError:
    """The error for an id that is kept already with other content."""
    return StorageError(
        f"This {what} is kept already, with other content.",
        why=f"{key} names something else in the books; nothing was changed.",
        remedy="Kept records and ledger lines never change: give the new one its own id.",
        facts={"id": key},
    )


def _check_line(line: LedgerLine, record: Record) -> None:
    if line.record_id != record.id:
        raise _refusal(f"ledger line {line.entry_id} belongs to record {line.record_id}")
    lowest = 0 if line.kind == SETTLE else -MAX_MICRO
    if not lowest <= line.micro <= MAX_MICRO:
        raise _refusal(f"{line.micro} micro-dollars of {line.kind} are outside the range")
    count = line.detail.get("queries", 0)
    if type(count) is not int or not 0 <= count <= MAX_MICRO:
        raise _refusal(f"{count!r} is no number of search queries")


def _refusal(why: str) -> StorageError:
    return StorageError("The books refuse this entry.", why=f"{why}.")

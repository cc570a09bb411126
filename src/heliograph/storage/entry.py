"""What may enter the books and the journal, in one canonical form.

Invariant: money is an integer within range, times are UTC, every line belongs to its record and
call. All implementations pass everything through here, so they keep the same things.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from heliograph.errors import StorageError
from heliograph.journal import MOVES, CallEntry, Claim, ClaimState, Stage, WrongMove
from heliograph.ledger import (
    ACCOUNTS,
    RESERVE,
    TAG,
    TOTAL,
    WINDOWS,
    default_scopes,
    is_budget,
)
from heliograph.money import MAX_MICRO, MoneyRangeError
from heliograph.storage.document import from_document, to_document
from heliograph.types import LedgerLine, Record

SETTLE = "settle"
# a settlement, a reservation and a hold take, their counterparts give back
TAKES = ("settle", "reserve", "hold")
GIVES = ("release", "hold_release")


def canonical(record: Record, lines: Sequence[LedgerLine]) -> tuple[Record, tuple[LedgerLine, ...]]:
    """The same record and lines as they will be read back, every type checked.

    Raises:
        StorageError: something in them must not enter the books.
    """
    record = from_document(Record, to_document(record))
    if not 0 <= record.cost <= MAX_MICRO:
        raise _refusal(f"a cost of {record.cost} micro-dollars is outside 0…1e12")
    return record, canonical_lines(lines, record.id)


def canonical_lines(lines: Sequence[LedgerLine], record_id: str) -> tuple[LedgerLine, ...]:
    """The same lines as they will be read back, each with the scopes it counts against.

    Raises:
        StorageError: one of them is no money of this record.
    """
    return tuple(_canonical_line(line, record_id) for line in lines)


def canonical_call(call: CallEntry, line: LedgerLine) -> tuple[CallEntry, LedgerLine]:
    """A new call and its reserve line as they will be read back, every type checked.

    Its plan is plain JSON then, whatever mapping it was.

    Raises:
        StorageError: the call is not new, or the line does not set aside what it says.
    """
    call = from_document(CallEntry, to_document(call))
    if call.stage is not Stage.RESERVED:
        raise _refusal(f"call {call.id} is {call.stage.value} and not new")
    (line,) = lines_of(call, (line,))
    if (line.kind, line.micro) != (RESERVE, call.reserved):
        raise _refusal(f"{line.kind} of {line.micro} is not what call {call.id} sets aside")
    return call, line


def lines_of(call: CallEntry, lines: Sequence[LedgerLine]) -> tuple[LedgerLine, ...]:
    """The canonical lines of one call.

    Raises:
        StorageError: one of them belongs to something else.
    """
    checked = canonical_lines(lines, call.job)
    for line in checked:
        if (line.call_id, line.simulated) != (call.id, call.simulated):
            raise _refusal(f"ledger line {line.entry_id} belongs to call {line.call_id}")
    return checked


def check_move(before: CallEntry, after: CallEntry) -> None:
    """Raises WrongMove unless `after` is the same call, as far as it was or one step further."""
    step = after.stage is before.stage or after.stage in MOVES[before.stage]
    if not step or after.id != before.id:
        raise WrongMove(
            f"{before.id} is {before.stage.value} and cannot become {after.id} {after.stage.value}"
        )


def check_running(claim: Claim) -> None:
    """Raises ValueError for a claim that no call can be opened with."""
    if claim.state is ClaimState.DROPPED:
        raise ValueError(f"the claim of {claim.key!r} is dropped already")


def check_budget(name: str, limit: int | None) -> None:
    """Raises ValueError for no name of a budget, or a limit outside 0…1e12 micro-dollars."""
    if not is_budget(name):
        valid = ", ".join((TOTAL, *WINDOWS, f"{TAG}/NAME", "user/ID", "user/ID/day"))
        raise ValueError(f"{name!r} is no budget; valid are {valid}")
    if limit is not None and (type(limit) is not int or not 0 <= limit <= MAX_MICRO):
        raise MoneyRangeError(f"{limit!r} micro-dollars are outside 0…1e12")


def deltas(lines: Sequence[LedgerLine]) -> Mapping[tuple[str, bool], Mapping[str, int]]:
    """What lines add to the accounts of each scope, by (scope, simulated), sorted."""
    sums: dict[tuple[str, bool], dict[str, int]] = {}
    for line in lines:
        for scope in line.scopes:
            balance = sums.setdefault((scope, line.simulated), dict.fromkeys(ACCOUNTS.values(), 0))
            balance[ACCOUNTS[line.kind]] += line.micro
    return dict(sorted(sums.items()))


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


def _canonical_line(line: LedgerLine, record_id: str) -> LedgerLine:
    line = from_document(LedgerLine, to_document(line))
    scopes = line.scopes or default_scopes(line.at)
    line = replace(line, scopes=tuple(sorted(set(scopes))))
    if line.record_id != record_id:
        raise _refusal(f"ledger line {line.entry_id} belongs to record {line.record_id}")
    if line.kind not in ACCOUNTS:
        raise _refusal(f"{line.kind!r} is no kind of ledger line")
    lowest = 0 if line.kind in TAKES else -MAX_MICRO
    highest = 0 if line.kind in GIVES else MAX_MICRO
    if not lowest <= line.micro <= highest:
        raise _refusal(f"{line.micro} micro-dollars of {line.kind} are outside the range")
    count = line.detail.get("queries", 0)
    if type(count) is not int or not 0 <= count <= MAX_MICRO:
        raise _refusal(f"{count!r} is no number of search queries")
    return line


def _refusal(why: str) -> StorageError:
    return StorageError("The books refuse this entry.", why=f"{why}.")

"""What is held against each other after a trial: what the caller saw, our books, their bill.

Invariant: plain values, so that every rule over them can be tried on made-up ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliograph.chaos.bill import BillLine
from heliograph.journal import CallEntry, Stage
from heliograph.ledger import Balance
from heliograph.ports import Event
from heliograph.types import NOTHING, LedgerLine, Record


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one ask ended, as its caller saw it."""

    prompt: str
    code: str  # `row.KEPT`, or the code of the error
    began: float  # seconds since 1970
    seconds: float  # the caller waited
    key: str | None = None  # idempotency key
    record: str | None = None
    sha256: str | None = None  # of the image that was handed over
    cost: int | None = None  # micro-dollars
    verdict: str | None = None
    charged: str | None = None  # of an error: "no", "yes", "unknown"
    retry_after: float | None = None  # seconds
    words: str = ""  # of an error: all its sentences
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    face: bool = False  # whether a gateway answered
    wrong: tuple[str, ...] = ()  # what of its answer is not as its face promises


@dataclass(frozen=True, kw_only=True)
class Ours:
    """One library, read through its ports, with nobody working in it."""

    calls: tuple[CallEntry, ...] = ()
    lines: tuple[LedgerLine, ...] = ()
    records: tuple[Record, ...] = ()
    balances: tuple[Balance, ...] = ()
    findings: tuple[str, ...] = ()  # of the audit and of the database's own checks
    blobs: Mapping[str, str] = field(default_factory=lambda: NOTHING)  # SHA-256 found, by key
    leftovers: tuple[str, ...] = ()  # temporary files that are older than they may be
    spooled: tuple[str, ...] = ()  # folders of answers under way, by call

    def lines_of(self, call: CallEntry) -> tuple[LedgerLine, ...]:
        """The ledger lines of one call."""
        return tuple(line for line in self.lines if line.call_id == call.id)


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """A call as it stood in the journal when its process died; may go through a pipe."""

    call: str
    job: str
    number: int | None  # of the job, as its request carried it
    stage: Stage
    spooled: bool = False  # whether its whole answer lay in the spool
    killed_at: float = 0.0  # seconds since 1970: what arrived upstream later is another process's


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything known about one trial."""

    ours: Ours
    bill: tuple[BillLine, ...]
    ended: tuple[Ended, ...] = ()
    events: tuple[Event, ...] = ()
    home: Path = Path()
    lag: float = 0.0  # seconds that a busy machine took from the process that asked
    interrupted: tuple[Interrupted, ...] = ()  # by kills, all of them
    facts: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # of the row's own script

    @property
    def billed(self) -> tuple[BillLine, ...]:
        """E: the lines that cost something."""
        return tuple(line for line in self.bill if line.billed and line.micro)

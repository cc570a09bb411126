"""The journal of paid calls: how far each came, written down before it goes further.

    RESERVED → INTENT → SENT → RECEIVED → STORED → SETTLED, REFUSED or QUARANTINED

A call that provably cost nothing ends RELEASED; one that may have cost something without an
answer ends UNKNOWN, and HELD when nobody found out in time. Pure nouns and rules; `ports.Journal`
keeps them. Invariant: the only steps are those of `MOVES`, so a call can neither be forgotten
after SENT nor end twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from heliograph.types import NOTHING


class Stage(Enum):
    """How far a call has come."""

    RESERVED = "reserved"  # its money is set aside; nothing else happened
    INTENT = "intent"  # about to connect, or to connect again after a free failure
    SENT = "sent"  # written before the last byte of the request leaves: may be paid from here on
    RECEIVED = "received"  # the last byte of the answer is in the spool
    STORED = "stored"  # files and sidecar are durable
    SETTLED = "settled"  # end: an image is kept, its exact cost is in the ledger
    REFUSED = "refused"  # end: a whole answer without an image
    QUARANTINED = "quarantined"  # end: paid bytes that are no intact image, kept aside
    UNKNOWN = "unknown"  # sent, never answered whole; what it may cost is held
    HELD = "held"  # as UNKNOWN, and the time to find out is over: the hold stays
    RELEASED = "released"  # end: provably not charged, the reservation is given back

    @property
    def is_open(self) -> bool:
        """Whether its process still has to finish it."""
        return self in OPEN

    @property
    def is_doubtful(self) -> bool:
        """Whether nobody knows if it was charged."""
        return self in (Stage.UNKNOWN, Stage.HELD)


OPEN = (Stage.RESERVED, Stage.INTENT, Stage.SENT, Stage.RECEIVED, Stage.STORED)
UNSENT = (Stage.RESERVED, Stage.INTENT)
_ANSWERED = frozenset({Stage.SETTLED, Stage.REFUSED, Stage.QUARANTINED})

# SENT → INTENT is a failure that was not charged; the call may be sent again
MOVES: Mapping[Stage, frozenset[Stage]] = {
    Stage.RESERVED: frozenset({Stage.INTENT, Stage.RELEASED}),
    Stage.INTENT: frozenset({Stage.INTENT, Stage.SENT, Stage.RELEASED}),
    Stage.SENT: frozenset({Stage.INTENT, Stage.RECEIVED, Stage.UNKNOWN, Stage.RELEASED}),
    Stage.RECEIVED: frozenset({Stage.INTENT, Stage.STORED, Stage.UNKNOWN, Stage.RELEASED}),
    Stage.STORED: _ANSWERED,
    Stage.UNKNOWN: frozenset({Stage.HELD, Stage.SETTLED, Stage.RELEASED}),
    Stage.HELD: frozenset({Stage.SETTLED, Stage.RELEASED}),
    Stage.SETTLED: frozenset(),
    Stage.REFUSED: frozenset(),
    Stage.QUARANTINED: frozenset(),
    Stage.RELEASED: frozenset(),
}


class WrongMove(ValueError):
    """A call cannot go from its stage to that one."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of a call's history."""

    stage: Stage
    at: datetime  # UTC
    facts: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # JSON-ready


@dataclass(frozen=True, kw_only=True)
class CallEntry:
    """One call in the journal: everything needed to finish it in another process."""

    id: str  # the job's id, a dash, and a number
    job: str  # id of the job, which is the id of its record
    stage: Stage
    owner: str  # process that makes it; its lease says whether that process lives
    library: str  # id of the home folder whose spool takes its answer
    model: str
    upstream: str  # host the call goes to
    project: str  # label of the key's project that was tried last
    simulated: bool
    transport: str  # "generate_content" | "interactions"
    reserved: int  # micro-dollars set aside: the worst listed price
    scopes: tuple[str, ...]  # what it counts against; see `ledger.scopes_of`
    twin: str  # canonical key of the request; see `cache.canonical_key`
    plan: Mapping[str, Any]  # document of the plan, without the bytes of references
    begun: datetime  # UTC
    changed: datetime  # UTC
    attempts: int = 0  # times it was sent, or tried to be; all but the last were not charged
    remote: str | None = None  # the upstream's own id of the call, where it gives one
    note: str | None = None  # one sentence: why it ended as it did
    trail: tuple[Step, ...] = ()  # oldest first

    @property
    def spool(self) -> str:
        """Name of the folder below `spool/` that takes its answer."""
        return self.id


class ClaimState(Enum):
    """What became of an idempotency key."""

    RUNNING = "running"
    FINAL = "final"  # the same key gets the same answer, without a call
    DROPPED = "dropped"  # nothing happened upstream: the key is free again


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An idempotency key and the job that it belongs to."""

    key: str
    fingerprint: str  # SHA-256 of the request it came with
    job: str
    state: ClaimState
    expires: datetime  # UTC; a key that is past it is new again
    error: Mapping[str, Any] | None = None  # of a final failure: `HeliographError.as_dict()`


def opened(entry: CallEntry) -> CallEntry:
    """The entry with the first line of its history."""
    if entry.stage is not Stage.RESERVED:
        raise WrongMove(f"a call begins as reserved, not as {entry.stage.value}")
    first = Step(stage=entry.stage, at=entry.begun, facts={"micro": entry.reserved})
    return replace(entry, trail=(first,))


def moved(
    entry: CallEntry,
    stage: Stage,
    at: datetime,
    *,
    project: str | None = None,
    attempts: int | None = None,
    note: str | None = None,
    facts: Mapping[str, Any] = NOTHING,
) -> CallEntry:
    """The entry one step further.

    Args:
        at: wall clock, UTC; a clock that went back is taken as standing still.
        project: label of the project tried now.
        attempts: the number of the attempt that begins now.
        note: why it ended so.
        facts: further facts of the step, JSON-ready.

    Raises:
        WrongMove: that step does not exist.
    """
    if stage not in MOVES[entry.stage]:
        raise WrongMove(f"{entry.id} is {entry.stage.value} and cannot become {stage.value}")
    at = max(at, entry.changed)
    return replace(
        entry,
        stage=stage,
        changed=at,
        project=entry.project if project is None else project,
        attempts=entry.attempts if attempts is None else attempts,
        note=entry.note if note is None else note,
        trail=(*entry.trail, Step(stage=stage, at=at, facts=facts)),
    )


def submitted(entry: CallEntry, remote: str, at: datetime) -> CallEntry:
    """The entry with the id under which the upstream knows the call."""
    step = Step(stage=entry.stage, at=max(at, entry.changed), facts={"remote": remote})
    return replace(entry, remote=remote, changed=step.at, trail=(*entry.trail, step))


def adopted(entry: CallEntry, owner: str) -> CallEntry:
    """The same entry in the hands of another process."""
    return replace(entry, owner=owner)


def is_overdue(entry: CallEntry, now: datetime, patience: timedelta) -> bool:
    """Whether an unknown call has waited so long that its hold stays for good."""
    return entry.stage is Stage.UNKNOWN and now - entry.changed >= patience

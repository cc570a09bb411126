"""What a run of rows found, as nouns and as JSON.

Invariant: a report says the truth about what was not tried; a row that is not served, or that was
interrupted, never counts as one that holds.
"""

import os
import platform
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from heliograph import __version__
from heliograph.chaos.evidence import Evidence
from heliograph.chaos.invariants import QueueSets, queue_sets, violations
from heliograph.chaos.matching import FLAGGED, match
from heliograph.chaos.row import Row
from heliograph.ledger import ADJUST, SETTLE

NAMED = 20  # ids of each queue set that a report names; the rest is a number


class Verdict(Enum):
    """How a row came out."""

    HOLDS = "holds"
    BROKEN = "broken"
    NOT_SERVED = "not served"
    ELSEWHERE = "other face"  # it cannot be asked through this one
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class Sum:
    """How many calls, and how many micro-dollars."""

    count: int = 0
    micro: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(count=self.count + other.count, micro=self.micro + other.micro)


@dataclass(frozen=True, kw_only=True)
class Try:
    """A trial that decided nothing, because the machine stood still meanwhile."""

    stood_still: float  # seconds
    complaints: tuple[str, ...]
    seconds: float

    @classmethod
    def of(cls, told: "Told") -> "Try":
        """What remains of a trial that is made again."""
        return cls(stood_still=told.stood_still, complaints=told.complaints, seconds=told.seconds)

    def __str__(self) -> str:
        return f"tried again: the machine stood still for {self.stood_still:.1f} s"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one trial told: one case of a row, or one round of it."""

    case: str
    calls: int = 0  # C
    billed: Sum = field(default_factory=Sum)  # E
    settled: Sum = field(default_factory=Sum)  # G
    doubtful: Sum = field(default_factory=Sum)  # U, with what of it upstream billed
    flagged_micro: int = 0
    seconds: float = 0.0
    complaints: tuple[str, ...] = ()
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON-ready
    stood_still: float = 0.0  # seconds that the client, or all around it, could not run
    earlier: tuple[Try, ...] = ()  # of the same case, which decided nothing


@dataclass(frozen=True, kw_only=True)
class RowReport:
    """What all trials of one row told."""

    row: Row
    verdict: Verdict
    told: tuple[Told, ...] = ()
    elsewhere: str | None = None  # why it is not tried through this face

    @property
    def seconds(self) -> float:
        """Of all its trials, which may have gone on at the same time."""
        tries = (one.seconds for told in self.told for one in told.earlier)
        return sum(told.seconds for told in self.told) + sum(tries)

    @property
    def complaints(self) -> tuple[str, ...]:
        """Everything that does not hold, with the case it belongs to."""
        return tuple(
            f"{told.case}: {what}" if told.case else what
            for told in self.told
            for what in told.complaints
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """Which trials were made again, and why, with the case they belong to."""
        return tuple(
            f"{told.case}: {one}" if told.case else str(one)
            for told in self.told
            for one in told.earlier
        )

    @property
    def calls(self) -> int:
        """C of all cases."""
        return sum(told.calls for told in self.told)

    @property
    def billed(self) -> int:
        """B of all cases."""
        return sum(told.billed.count for told in self.told)

    @property
    def flagged_micro(self) -> int:
        """Micro-dollars that the ledgers differ by, and that our books flag."""
        return sum(told.flagged_micro for told in self.told)


@dataclass(frozen=True, kw_only=True)
class Report:
    """One run."""

    rows: tuple[RowReport, ...]
    began: datetime  # UTC
    seconds: float
    seed: int
    repeat: int
    face: str = "library"

    @property
    def holds(self) -> bool:
        """Whether everything that can be tried was tried and holds."""
        fine = (Verdict.HOLDS, Verdict.NOT_SERVED, Verdict.ELSEWHERE)
        return all(row.verdict in fine for row in self.rows)


def told_by(seen: Evidence, case: str, seconds: float, complaints: Iterable[str]) -> Told:
    """The sums and sets of a trial, with what does not hold.

    Args:
        complaints: of the row itself; broken invariants are added here.
    """
    both = match(seen.ours, seen.billed)
    sets = queue_sets(seen, both)
    broken = tuple(str(violation) for violation in violations(seen))
    return Told(
        case=case,
        calls=len(seen.bill),
        billed=Sum(count=len(seen.billed), micro=sum(line.micro for line in seen.billed)),
        settled=_settled(seen),
        doubtful=Sum(
            count=sum(1 for call in seen.ours.calls if call.stage in FLAGGED),
            micro=sum(p.line.micro for p in both.pairs if p.settled is None),
        ),
        flagged_micro=both.flagged_micro,
        seconds=seconds,
        complaints=(*complaints, *broken),
        sets=_named(sets),
        facts=dict(seen.facts),
    )


def _settled(seen: Evidence) -> Sum:
    """G: all that our books settle, with or without a partner upstream."""
    lines = [line for line in seen.ours.lines if line.kind in (SETTLE, ADJUST)]
    return Sum(count=len({line.call_id for line in lines}), micro=sum(line.micro for line in lines))


def _named(sets: QueueSets) -> dict[str, tuple[str, ...]]:
    names = ("lost", "duplicated", "unexpected", "recovered", "done")
    return {name: getattr(sets, name) for name in names}


def as_json(report: Report) -> dict[str, Any]:
    """The report as a JSON-ready document."""
    told = [each for row in report.rows for each in row.told]
    return {
        "heliograph": __version__,
        "began": report.began.isoformat(),
        "seconds": round(report.seconds, 1),
        "face": report.face,
        "seed": report.seed,
        "repeat": report.repeat,
        "holds": report.holds,
        "machine": machine(),
        "sets": _sets(told),
        "ledgers": {
            "E": _sum(each.billed for each in told),
            "G": _sum(each.settled for each in told),
            "U": _sum(each.doubtful for each in told),
            "flagged_micro": sum(each.flagged_micro for each in told),
        },
        "rows": [_row(row) for row in report.rows],
    }


def _row(row: RowReport) -> dict[str, Any]:
    return {
        "id": row.row.id,
        "title": row.row.title,
        "expects": row.row.expects,
        "promises": list(row.row.promises),
        "verdict": row.verdict.value,
        "needs": row.row.needs,
        "other_face": row.elsewhere,
        "seconds": round(row.seconds, 2),
        "C": row.calls,
        "B": row.billed,
        "flagged_micro": row.flagged_micro,
        "sets": _sets(row.told),
        "cases": [_case(told) for told in row.told],
    }


def _case(told: Told) -> dict[str, Any]:
    return {
        "case": told.case,
        "C": told.calls,
        "E": vars(told.billed),
        "G": vars(told.settled),
        "U": vars(told.doubtful),
        "flagged_micro": told.flagged_micro,
        "seconds": round(told.seconds, 2),
        "stood_still": round(told.stood_still, 2),
        "complaints": list(told.complaints),
        "tried_again": [_try(one) for one in told.earlier],
        "facts": dict(told.facts),
    }


def _try(one: Try) -> dict[str, Any]:
    return {
        "stood_still": round(one.stood_still, 2),
        "complaints": list(one.complaints),
        "seconds": round(one.seconds, 2),
    }


def _sets(told: Iterable[Told]) -> dict[str, Any]:
    found: dict[str, list[str]] = {
        name: [] for name in ("lost", "duplicated", "unexpected", "recovered", "done")
    }
    for each in told:
        for name, jobs in each.sets.items():
            found[name] += jobs
    return {name: {"count": len(jobs), "named": jobs[:NAMED]} for name, jobs in found.items()}


def _sum(sums: Iterable[Sum]) -> dict[str, int]:
    total = sum(sums, start=Sum())
    return {"count": total.count, "micro": total.micro}


def machine() -> Mapping[str, Any]:
    """What it ran on; no names of hosts, users or folders."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "processors": os.cpu_count(),
        "memory_mib": _memory(),
    }


def _memory() -> int | None:
    try:
        words = Path("/proc/meminfo").read_text("ascii").split()
    except OSError:
        return None
    return int(words[1]) >> 10

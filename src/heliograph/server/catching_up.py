"""Brings a database from a backup up to what the files beside it tell.

The database is of one moment, and the originals may be of a later one. Invariant: as in a
recovery, a sidecar's word stands: what it says was settled is settled once, and nothing is held
for it any more.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from heliograph.calls import OpenCall, Rules, reopen
from heliograph.errors import Charged, OutcomeUnknown
from heliograph.imaging import DirectImager
from heliograph.journal import OPEN, CallEntry, Stage, moved
from heliograph.keeping import finish_stored
from heliograph.leases import Lease
from heliograph.ledger import HOLD, HOLD_RELEASE, SETTLE
from heliograph.ports import Blobs, Books, Cabinet, Imager, Journal
from heliograph.storage import (
    Storage,
    plan_from_document,
    rebuild,
    record_from_json,
    sidecar_key,
)
from heliograph.storage.key import CONTENT, RECORDS
from heliograph.types import LedgerLine, Outcome, Record

ALL = 10**9  # more calls than any journal has
DOUBTFUL = (Stage.UNKNOWN, Stage.HELD)
ANSWERED = frozenset({Outcome.KEPT, Outcome.REFUSED, Outcome.QUARANTINED})


@dataclass(frozen=True, kw_only=True)
class CaughtUp:
    """What the files told."""

    records: int  # that the database did not have
    calls: int  # that were under way or in doubt, and are at their end now


@dataclass(frozen=True, kw_only=True)
class _Shelf:
    """As much of a library as ending a call takes; satisfies `calls.Shelf`."""

    imager: Imager
    blobs: Blobs
    books: Books
    journal: Journal
    cabinet: Cabinet
    lease: Lease
    rules: Rules
    home: Path


async def catch_up(storage: Storage, home: Path) -> CaughtUp:
    """End the calls whose end the sidecars know, then add the records that are missing.

    Raises:
        StorageError: the database or a file refuses.
    """
    lease = await asyncio.to_thread(Lease, home)
    shelf = _Shelf(
        imager=DirectImager(),
        blobs=storage.blobs,
        books=storage.books,
        journal=storage.journal,
        cabinet=storage.cabinet,
        lease=lease,
        rules=_rules(),
        home=home,
    )
    try:
        calls = await storage.journal.calls(stages=(*OPEN, *DOUBTFUL), limit=ALL)
        told = await _sidecars(storage.blobs, {call.job for call in calls})
        ended = 0
        for call in calls:
            sidecars = told.get(call.job, ())
            end = _end_doubtful if call.stage in DOUBTFUL else _end_open
            ended += await end(call, sidecars, shelf)
        report = await rebuild(storage.blobs, storage.books)
    finally:
        lease.close()
    return CaughtUp(records=len(report.added), calls=ended)


Sidecars = Sequence[tuple[Record, tuple[LedgerLine, ...]]]


async def _sidecars(blobs: Blobs, jobs: set[str]) -> Mapping[str, Sidecars]:
    """The sidecars of some jobs, by job."""
    found: dict[str, list[tuple[Record, tuple[LedgerLine, ...]]]] = {}
    keys = [*await blobs.keys(CONTENT), *await blobs.keys(RECORDS)] if jobs else []
    for key in keys:
        if not key.endswith(".json") or jobs.isdisjoint(key.rpartition("/")[2].split(".")):
            continue
        record, lines = record_from_json(await blobs.read(key))
        found.setdefault(record.id, []).append((record, lines))
    return found


async def _end_open(call: CallEntry, sidecars: Sidecars, shelf: _Shelf) -> bool:
    """Go the steps that it went after the backup, without their upstream."""
    for record, lines in sidecars:
        hold = next((x for x in lines if x.call_id == call.id and x.kind == HOLD), None)
        if hold is not None:
            return await _doubt(call, record, hold, sidecars, shelf)
        settled = any(line.call_id == call.id and line.kind == SETTLE for line in lines)
        if record.outcome not in ANSWERED or not (settled or not record.cost):
            continue
        opened = await reopen(call, plan_from_document(call.plan), shelf)
        await _go_to_stored(opened, sidecar_key(record))
        return await finish_stored(opened, shelf)
    return False


async def _go_to_sent(call: OpenCall) -> None:
    if call.entry.stage is Stage.RESERVED:
        await call.intent(call.entry.project, max(1, call.entry.attempts))
    if call.entry.stage is Stage.INTENT:
        await call.sent()


async def _go_to_stored(call: OpenCall, key: str) -> None:
    await _go_to_sent(call)
    await call.received()
    await call.stored(key)


async def _doubt(
    call: CallEntry, record: Record, hold: LedgerLine, sidecars: Sidecars, shelf: _Shelf
) -> bool:
    """It became unknown, and perhaps somebody has found out by now what it had cost."""
    error = OutcomeUnknown(
        "It became unknown after the backup was made.",
        charged=Charged.UNKNOWN,
        record_id=record.id,
        facts={"may_have_cost_micro": hold.micro},
    )
    opened = await reopen(call, plan_from_document(call.plan), shelf)
    await _go_to_sent(opened)
    own = record if record.outcome is Outcome.UNKNOWN else None  # of a job that went on
    await opened.doubted(hold, own, error, error.what)
    await _end_doubtful(opened.entry, sidecars, shelf)
    return True


async def _end_doubtful(call: CallEntry, sidecars: Sidecars, shelf: _Shelf) -> bool:
    """Somebody found out what it had cost after the backup was made."""
    for _, lines in sidecars:
        own = [line for line in lines if line.call_id == call.id]
        kinds = {line.kind for line in own}
        if HOLD_RELEASE not in kinds:
            continue
        stage = Stage.SETTLED if SETTLE in kinds else Stage.RELEASED
        at = max(*(line.at for line in own), call.changed)
        await shelf.journal.change(call, moved(call, stage, at), lines=own)
        return True
    return False


def _rules() -> Rules:
    """Of money and repeats; nothing is asked for here, so none of it counts."""
    return Rules(
        zone=ZoneInfo("UTC"),
        key_life=timedelta(days=3),
        retry_unknown=False,
        spend_limit=None,
        twins="off",
        twin_life=timedelta(days=30),
    )

"""Finishes what a process that is gone had begun: adopts whole answers, gives back what was never
sent, and shows the rest as unknown.

Invariant: it never sends a paid request. A call is taken over only from a process that is
provably gone, and by one process only; recovering again changes nothing.
"""

import asyncio
import logging
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from heliograph.calls import OpenCall, Shelf, reopen
from heliograph.errors import CallTaken, Charged, HeliographError, StorageError
from heliograph.journal import OPEN, UNSENT, CallEntry, Stage, is_overdue, moved
from heliograph.keeping import (
    finish_stored,
    is_still_to_be_had,
    keep_doubts,
    let_go,
    quarantine,
    refuse_unmarked,
    spool_of,
    take_in,
    write_down_unknown,
)
from heliograph.ports import Event, Observer, Provider
from heliograph.providers.gemini import Gemini
from heliograph.providers.rereading import reread_answer
from heliograph.storage import plan_from_document

LOG = logging.getLogger("heliograph")
MOST = 100_000  # open calls; more than any machine can have in the air
HOLD_PATIENCE = timedelta(hours=24)  # reliability.md section 4
OLD_SPOOL = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What became of one call that a dead process had left open."""

    call_id: str
    job: str
    stage: Stage  # where it ended
    note: str | None


async def recover(
    shelf: Shelf,
    observer: Observer,
    *,
    provider: Provider | None = None,
    in_the_air: Callable[[str], bool] | None = None,
) -> tuple[Recovered, ...]:
    """Finish every open call of this library that no living process is making.

    Args:
        provider: the upstream of now, through which submitted calls are asked for.
        in_the_air: whether a job is being made by this very process; None means that any may be.

    Returns:
        What was finished. Calls that only their upstream can tell about, and calls of another
        upstream than the one in `tools`, are left for later.
    """
    done: list[Recovered] = []
    found = await shelf.journal.calls(stages=OPEN, library=shelf.lease.library, limit=MOST)
    # looked up after the calls: whoever has opened one of them is here, or is gone for good
    living = await asyncio.to_thread(shelf.lease.living) if found else frozenset()
    for entry in reversed(found):
        own = entry.owner == shelf.lease.owner
        busy = in_the_air is None or in_the_air(entry.job)
        if busy if own else entry.owner in living:
            continue
        finished = await _finish(entry, shelf, provider, observer)
        if finished is not None:
            done.append(finished)
            facts = {"call": finished.call_id, "stage": finished.stage.value}
            observer(Event(name="recovered", job=entry.job, at=0.0, facts=facts))
    await _keep_old_holds(shelf)
    await _put_aside_strays(shelf)
    return tuple(done)


async def _finish(
    entry: CallEntry, shelf: Shelf, provider: Provider | None, observer: Observer
) -> Recovered | None:
    remote = await _remote(entry, shelf.home)
    if remote is not None and entry.stage is Stage.SENT:
        if provider is None:
            return None  # only its upstream can tell
        if provider.upstream != entry.upstream:
            if not entry.simulated:
                LOG.info("%s waits for %s, not the upstream now", entry.id, entry.upstream)
                return None  # its upstream still knows the answer, at no cost
            provider = None  # an emulator that is gone knows nothing any more
    try:
        call = await reopen(entry, plan_from_document(entry.plan), shelf)
        if remote is not None and entry.remote is None:
            await call.submitted(remote)
        await _end(call, shelf, provider, observer)
    except CallTaken:
        return None  # somebody else was quicker
    except (HeliographError, OSError, ValueError, LookupError, TypeError) as error:
        # one call that cannot be finished must not close the library
        LOG.warning("call %s could not be finished and stays open: %s", entry.id, error)
        facts = {"call": entry.id, "why": str(error)}
        observer(Event(name="not recovered", job=entry.job, at=0.0, facts=facts))
        return None
    entry = call.entry
    if entry.stage.is_open:
        return None  # its upstream is still at work
    return Recovered(call_id=entry.id, job=entry.job, stage=entry.stage, note=entry.note)


async def _remote(entry: CallEntry, home: Path) -> str | None:
    """The upstream's id of a call, also when it came but was not written down any more."""
    if entry.remote is not None or entry.transport == Gemini.transport:
        return entry.remote
    from heliograph.providers.interactions import submitted_id

    return await asyncio.to_thread(submitted_id, home / "spool" / entry.spool)


async def _end(call: OpenCall, shelf: Shelf, provider: Provider | None, observer: Observer) -> None:
    entry = call.entry
    if entry.stage in UNSENT:
        note = "Its process ended before the request had left."
        await _give_back(call, None, note, shelf)
        return
    if entry.stage is Stage.STORED and await finish_stored(call, shelf):
        return
    spool = spool_of(call, shelf.home)
    try:
        if entry.stage is Stage.SENT and entry.remote is not None and provider is not None:
            reply = await provider.resume(call.plan, spool, entry.remote, call, observer)
        else:
            reply = await asyncio.to_thread(reread_answer, spool, entry.transport)
        refuse_unmarked(reply, call.plan)
    except HeliographError as error:
        if is_still_to_be_had(error):
            return
        if isinstance(error, StorageError):
            raise  # our own trouble proves nothing
        if error.charged is Charged.NO:
            await _give_back(call, error, f"The upstream had said: {error.what}", shelf)
        else:
            await write_down_unknown(call, error, shelf)
        return
    note = "Its process ended before the answer was kept; it was taken from the spool."
    reply = replace(reply, attempts=max(1, entry.attempts))
    await take_in(call, reply, shelf, notes=[note])


async def _give_back(
    call: OpenCall, error: HeliographError | None, note: str, shelf: Shelf
) -> None:
    """End a call that cost nothing; an earlier one of its job that is in doubt gets the record."""
    for hold in call.doubts[:1]:
        first = await shelf.journal.find_call(str(hold.call_id))
        await keep_doubts(first, hold, shelf)
    await let_go(call, error, note, shelf.home)


async def _keep_old_holds(shelf: Shelf) -> None:
    """After a day nobody will find out any more: the hold stays, charged to whoever runs this."""
    now = datetime.now(UTC)
    doubtful = await shelf.journal.calls(
        stages=[Stage.UNKNOWN], library=shelf.lease.library, limit=MOST
    )
    for entry in doubtful:
        if is_overdue(entry, now, HOLD_PATIENCE):
            note = "Nobody found out within a day; what it may have cost stays held."
            try:
                await shelf.journal.change(entry, moved(entry, Stage.HELD, now, note=note))
            except CallTaken:
                continue


async def _put_aside_strays(shelf: Shelf) -> None:
    """Spool folders that nobody works in any more.

    One whose call ended with everything kept is deleted, as that process would have done next; all
    others, left by a database that is gone, are put aside whole.
    """
    for folder in await asyncio.to_thread(_old_folders, shelf.home / "spool"):
        job = folder.name.partition("-")[0]
        named = {call.id: call for call in await shelf.journal.calls(job=job, limit=MOST)}
        if any(call.stage.is_open for call in named.values()):
            continue
        ended = named.get(folder.name)
        if ended is not None and not ended.stage.is_doubtful:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        else:
            await asyncio.to_thread(_clear, folder, shelf.home)


def _old_folders(spool: Path) -> list[Path]:
    edge = (datetime.now(UTC) - OLD_SPOOL).timestamp()
    old = []
    for path in spool.iterdir():
        # others are at work here: what is gone was theirs, and they are done with it
        with suppress(FileNotFoundError):
            found = path.stat()
            if stat.S_ISDIR(found.st_mode) and found.st_mtime < edge:
                old.append(path)
    return old


def _clear(folder: Path, home: Path) -> None:
    with suppress(FileNotFoundError):  # another process clears it as well
        files = [path for path in folder.rglob("*") if path.is_file()]
        quarantine(folder.name.partition("-")[0], files, home)
    shutil.rmtree(folder, ignore_errors=True)

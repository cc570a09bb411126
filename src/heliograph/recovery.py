"""Finishes what a process that is gone had begun: adopts whole answers, gives back what was never
sent, and shows the rest as unknown.

Invariant: it never sends a paid request. A call is taken over only from a process that is
provably gone, and by one process only; recovering again changes nothing. A submitted call stays
open as long as its answer may be had, and nobody has to wait for one that is not theirs.
"""

import asyncio
import logging
import stat
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from heliograph.calls import OpenCall, Shelf, reopen
from heliograph.errors import (
    CallTaken,
    Charged,
    HeliographError,
    OutcomeUnknown,
    StorageError,
)
from heliograph.journal import OPEN, UNSENT, CallEntry, Stage, is_overdue, moved
from heliograph.keeping import (
    finish_stored,
    is_still_to_be_had,
    keep_doubts,
    let_go,
    refuse_unmarked,
    spool_of,
    take_in,
    write_down_unknown,
)
from heliograph.ports import Event, Observer, Provider
from heliograph.providers.gemini import Gemini
from heliograph.providers.rereading import lies_whole, reread_answer, submitted_id
from heliograph.providers.spool import discard
from heliograph.quarantine import put_aside
from heliograph.storage import plan_from_document
from heliograph.types import Reply

LOG = logging.getLogger("heliograph")
MOST = 100_000  # open calls; more than any machine can have in the air
HOLD_PATIENCE = timedelta(hours=24)  # reliability.md section 4
OLD_SPOOL = timedelta(minutes=10)
FIRST_WORD = 3.0  # seconds for an upstream to say how far a submitted call is
# what may be wrong with one call, and is no reason to leave the others as they are
TROUBLE = (HeliographError, OSError, ValueError, LookupError, TypeError)
UPSTREAM_KEEPS = timedelta(days=60)  # Google says 55 days, of paid projects


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What became of one call that a dead process had left open."""

    call_id: str
    job: str
    stage: Stage  # where it ended
    note: str | None


class _Question:
    """One submitted call whose upstream is asked for the answer until it is there."""

    def __init__(self, job: str, provider: Provider) -> None:
        self.job = job
        self.provider = provider
        self.has_word = asyncio.Event()  # it has ended, or was asked for once
        self.task: asyncio.Task[Recovered | None] | None = None
        self._asking: asyncio.Task[Reply] | None = None
        self._is_stopped = False

    async def ask(self, call: OpenCall, remote: str, spool: Path) -> Reply | None:
        """The answer; None when the question was stopped.

        Raises:
            HeliographError: as `Provider.resume`.
        """
        if self._is_stopped:
            return None
        project = call.entry.project
        self._asking = asyncio.ensure_future(
            self.provider.resume(call.plan, spool, remote, call, self._hear, project=project)
        )
        await asyncio.wait([self._asking])
        return None if self._asking.cancelled() else self._asking.result()

    def stop(self) -> None:
        """Ask no more; an answer that is here is kept all the same."""
        self._is_stopped = True
        if self._asking is not None:
            self._asking.cancel()

    def _hear(self, event: Event) -> None:
        # progress of a call that is nobody's here is no news to anybody
        if event.name == "waiting":
            self.has_word.set()


class Questions:
    """The submitted calls that one client asks for: each in a task of its own, and once."""

    def __init__(self) -> None:
        self._open: dict[str, _Question] = {}
        self._is_closed = False

    def has(self, entry: CallEntry, provider: Provider | None) -> bool:
        """Whether a call is asked for; one that is asked for elsewhere is stopped."""
        question = self._open.get(entry.id)
        if question is not None and provider not in (None, question.provider):
            question.stop()
        return question is not None

    def begin(
        self,
        entry: CallEntry,
        provider: Provider,
        work: Callable[[_Question], Coroutine[Any, Any, Recovered | None]],
    ) -> None:
        """Ask for a call, unless everything is being closed."""
        if self._is_closed:
            return
        question = self._open[entry.id] = _Question(entry.job, provider)

        def over(task: "asyncio.Task[Recovered | None]") -> None:
            del self._open[entry.id]
            question.has_word.set()
            if not task.cancelled() and task.exception() is not None:
                LOG.error("asking for call %s broke", entry.id, exc_info=task.exception())

        question.task = asyncio.ensure_future(work(question))
        question.task.add_done_callback(over)

    async def answers(self, jobs: Collection[str] | None) -> tuple[Recovered, ...]:
        """What became of the calls that are asked for.

        Args:
            jobs: those whose calls are waited for until they have ended, or are not asked for any
                more; None means all. Others are waited for until they were asked for once, and
                not long.
        """
        questions = list(self._open.values())
        tasks = [question.task for question in questions if question.task is not None]
        wanted = [q.task for q in questions if q.task and (jobs is None or q.job in jobs)]
        if wanted:
            await asyncio.wait(wanted)
        words = [asyncio.ensure_future(q.has_word.wait()) for q in questions]
        try:
            if words:
                await asyncio.wait(words, timeout=FIRST_WORD)
        finally:
            for word in words:
                word.cancel()
        for question in questions:
            question.has_word.set()  # a silent upstream is waited for once, by one
        ended = [task for task in tasks if task.done() and not task.cancelled()]
        found = [task.result() for task in ended if task.exception() is None]
        return tuple(each for each in found if each is not None)

    async def close(self) -> None:
        """Ask no more; what has not ended by then stays open."""
        self._is_closed = True
        questions = list(self._open.values())
        for question in questions:
            question.stop()
        tasks = [question.task for question in questions if question.task is not None]
        if tasks:
            await asyncio.wait(tasks)


async def recover(
    shelf: Shelf,
    observer: Observer,
    *,
    questions: Questions,
    provider: Provider | None = None,
    in_the_air: Callable[[str], bool] | None = None,
) -> tuple[Recovered, ...]:
    """Finish every open call of this library that no living process is making.

    Args:
        questions: takes the submitted calls, which end in their own time.
        provider: the upstream of now, through which submitted calls are asked for.
        in_the_air: whether a job is being made by this very process; None means that any may be.

    Returns:
        What was finished here. Calls that only their upstream can tell about are among the
        questions, or left for later when the upstream of now is another.
    """
    done: list[Recovered] = []
    found = await shelf.journal.calls(stages=OPEN, library=shelf.lease.library, limit=MOST)
    # looked up after the calls: whoever has opened one of them is here, or is gone for good
    living = await asyncio.to_thread(shelf.lease.living) if found else frozenset()
    for entry in reversed(found):
        own = entry.owner == shelf.lease.owner
        busy = in_the_air is None or in_the_air(entry.job)
        if (busy if own else entry.owner in living) or questions.has(entry, provider):
            continue
        try:
            remote, asks = await asyncio.to_thread(_found_out, entry, shelf.home)
        except TROUBLE as error:
            _pass_over(entry, error, observer)
            continue
        if asks and remote is not None:
            if provider is not None and provider.upstream == entry.upstream:
                ask = partial(_finish, entry, shelf, observer, remote)
                questions.begin(entry, provider, ask)
                continue
            # an emulator that is gone knows nothing any more; another upstream, for its time
            is_gone = provider is not None and entry.simulated
            if not is_gone and datetime.now(UTC) - entry.begun < UPSTREAM_KEEPS:
                LOG.info("%s waits for %s, not the upstream now", entry.id, entry.upstream)
                continue
        finished = await _finish(entry, shelf, observer, remote)
        if finished is not None:
            done.append(finished)
    await _keep_old_holds(shelf)
    await _put_aside_strays(shelf)
    return tuple(done)


async def _finish(
    entry: CallEntry,
    shelf: Shelf,
    observer: Observer,
    remote: str | None,
    question: _Question | None = None,
) -> Recovered | None:
    try:
        call = await reopen(entry, plan_from_document(entry.plan), shelf)
        if remote is not None and entry.remote is None:
            await call.submitted(remote)
        await _end(call, shelf, question)
    except CallTaken:
        return None  # somebody else was quicker
    except TROUBLE as error:
        _pass_over(entry, error, observer)
        return None
    entry = call.entry
    if entry.stage.is_open:
        return None  # its upstream is still at work
    _tell(entry, observer)
    return Recovered(call_id=entry.id, job=entry.job, stage=entry.stage, note=entry.note)


def _pass_over(entry: CallEntry, error: Exception, observer: Observer) -> None:
    """One call that cannot be finished must not close the library."""
    LOG.warning("call %s could not be finished and stays open: %s", entry.id, error)
    facts = {"call": entry.id, "why": str(error)}
    observer(Event(name="not recovered", job=entry.job, at=0.0, facts=facts))


def _tell(entry: CallEntry, observer: Observer) -> None:
    facts = {"call": entry.id, "stage": entry.stage.value}
    observer(Event(name="recovered", job=entry.job, at=0.0, facts=facts))


def _found_out(entry: CallEntry, home: Path) -> tuple[str | None, bool]:
    """The upstream's id of a call, and whether that is to be asked for the answer.

    The id may have come and not be written down any more; and the answer, too.
    """
    if entry.transport == Gemini.transport:
        return entry.remote, False
    spool = home / "spool" / entry.spool
    remote = entry.remote or submitted_id(spool)
    return remote, remote is not None and entry.stage is Stage.SENT and not lies_whole(spool)


async def _end(
    call: OpenCall,
    shelf: Shelf,
    question: _Question | None,
    *,
    note: str = "Its process ended before the answer was kept; it was taken from the spool.",
    lost: HeliographError | None = None,
) -> None:
    """End a call from what is known of it, or leave it open while that may change.

    Args:
        note: for the record of an answer that is taken in.
        lost: what is written down when nobody knows the outcome.
    """
    entry = call.entry
    if entry.stage in UNSENT:
        await _give_back(call, None, "Its process ended before the request had left.", shelf)
        return
    if entry.stage is Stage.STORED and await finish_stored(call, shelf):
        return
    try:
        reply = await _answer(call, shelf, question)
        if reply is None:
            return
        refuse_unmarked(reply, call.plan)
    except HeliographError as error:
        if is_still_to_be_had(error) and datetime.now(UTC) - entry.begun < UPSTREAM_KEEPS:
            return
        if isinstance(error, StorageError):
            raise  # our own trouble proves nothing
        if error.charged is Charged.NO:
            await _give_back(call, error, f"The upstream had said: {error.what}", shelf)
        else:
            await write_down_unknown(call, lost or error, shelf)
        return
    reply = replace(reply, attempts=max(1, entry.attempts))
    await take_in(call, reply, shelf, notes=[note])


async def _answer(call: OpenCall, shelf: Shelf, question: _Question | None) -> Reply | None:
    """What a call was answered; None when its upstream is not asked any more."""
    entry, spool = call.entry, spool_of(call, shelf.home)
    if entry.remote is None or question is None:
        return await asyncio.to_thread(reread_answer, spool, entry.transport)
    try:
        return await question.ask(call, entry.remote, spool)
    except StorageError:
        raise
    except HeliographError as error:
        if is_still_to_be_had(error):
            raise
        # what the upstream does not know any more may lie here
        with suppress(HeliographError):
            return await asyncio.to_thread(reread_answer, spool, entry.transport)
        raise


async def end_given_up(call: OpenCall, shelf: Shelf, observer: Observer) -> None:
    """End a call of this process that may have left, and that nobody waits for any more.

    What lies here by now counts as it would after a crash. A submitted call stays open: it can
    still be asked for.
    """
    lost = OutcomeUnknown("Given up while waiting.", charged=Charged.UNKNOWN)
    note = "Nobody waited for it any more; what had arrived was taken from the spool."
    try:
        remote, asks = await asyncio.to_thread(_found_out, call.entry, shelf.home)
        if remote is not None and call.entry.remote is None:
            await call.submitted(remote)
        if asks:
            return
        await _end(call, shelf, None, note=note, lost=lost)
    except TROUBLE as error:
        _pass_over(call.entry, error, observer)
        return
    if lost.record_id is not None:
        observer(Event(name="given up", job=call.entry.job, at=0.0, facts=lost.facts))
    else:
        _tell(call.entry, observer)


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
        try:
            await _put_aside_stray(folder, shelf)
        except OSError as error:
            LOG.warning("the spool %s could not be put aside: %s", folder, error)


async def _put_aside_stray(folder: Path, shelf: Shelf) -> None:
    job = folder.name.partition("-")[0]
    named = {call.id: call for call in await shelf.journal.calls(job=job, limit=MOST)}
    if any(call.stage.is_open for call in named.values()):
        return
    ended = named.get(folder.name)
    if ended is not None and not ended.stage.is_doubtful:
        await asyncio.to_thread(discard, folder)
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
    # what is gone, somebody else clears away as well, and deletes the rest once it lies elsewhere
    with suppress(FileNotFoundError):
        put_aside(folder, folder.name.partition("-")[0], home)
        discard(folder)

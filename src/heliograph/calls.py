"""One paid call and its place in the journal: each step is written down before the next.

Invariant: money is set aside in the step that opens a call and moved in the step that ends it,
so that a call and its money can never disagree.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from heliograph.cache import canonical_key
from heliograph.errors import CallTaken, HeliographError, NotSent
from heliograph.journal import (
    UNSENT,
    CallEntry,
    Claim,
    ClaimState,
    Stage,
    adopted,
    moved,
    opened,
    submitted,
)
from heliograph.killpoints import reach
from heliograph.leases import Lease
from heliograph.ledger import (
    accounts_of,
    hold_line,
    release_line,
    reserve_line,
    scopes_of,
)
from heliograph.ports import Blobs, Books, Cabinet, Imager, Journal, Provider
from heliograph.storage import plan_from_document, plan_to_document
from heliograph.types import LedgerLine, Plan, Record

LOG = logging.getLogger("heliograph")
T = TypeVar("T")
SPEND_WINDOW = timedelta(minutes=10)  # of the provider's spend limits (gemini-api.md 1.7)
MOST_CALLS = 100  # of one job
ROOM_WAIT = 5.0  # seconds after which to look again whether there is room


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the operator has set about money and repeats."""

    zone: ZoneInfo  # in which days and months of budgets begin
    key_life: timedelta  # of an idempotency key
    retry_unknown: bool  # ask once more when an outcome is unknown
    spend_limit: int | None  # micro-dollars that a project may take in ten minutes
    twins: str  # "off", "seeded" or "all": what identical earlier pictures may answer
    twin_life: timedelta


class Shelf(Protocol):
    """The ways to everything that is kept."""

    @property
    def imager(self) -> Imager: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def books(self) -> Books: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def cabinet(self) -> Cabinet: ...
    @property
    def lease(self) -> Lease: ...
    @property
    def rules(self) -> Rules: ...
    @property
    def home(self) -> Path: ...


class Tools(Shelf, Protocol):
    """The ways out that a call needs; the client builds them."""

    @property
    def provider(self) -> Provider: ...


class OpenCall:
    """A call in the hands of this process; it is the `CallLog` of its provider.

    Steps are written one after the other, each from where the one before it led: the step of an
    attempt that is over may still be on its way to the disk when the next one is asked for.

    Attributes:
        entry: as it stands in the journal.
        doubts: hold lines of earlier calls of the same job whose outcome is unknown.
    """

    def __init__(
        self,
        entry: CallEntry,
        plan: Plan,
        journal: Journal,
        *,
        spend_limit: int | None = None,
        claim: Claim | None = None,
        doubts: Sequence[LedgerLine] = (),
    ) -> None:
        self.entry = entry
        self._spend_limit = spend_limit
        self.plan = plan
        self.doubts = tuple(doubts)
        self._journal = journal
        self._claim = claim
        self._writing = asyncio.Lock()
        self._steps: set[asyncio.Task[None]] = set()  # asked for, and not written yet
        self._has_gone = entry.stage not in UNSENT  # the last byte, as far as this process knows
        self._is_stopped = False

    async def room(self, project: str, ask: int) -> float:
        if self._spend_limit is None:
            return 0.0
        spent = await self._journal.spent_since(
            _now() - SPEND_WINDOW, project=project, simulated=self.entry.simulated
        )
        # this call's own reservation counts already when it was tried at this project before
        own = self.entry.reserved if self.entry.project == project else 0
        return 0.0 if spent - own + ask <= self._spend_limit else ROOM_WAIT

    async def intent(self, project: str, attempt: int) -> None:
        facts = {"attempt": attempt, "project": project}

        def step(entry: CallEntry) -> CallEntry:
            now = _now()
            return moved(entry, Stage.INTENT, now, project=project, attempts=attempt, facts=facts)

        await self._change(step)
        reach("intent")

    async def failed(self, facts: Mapping[str, Any]) -> None:
        if await self.at_rest() is Stage.SENT:
            await self._change(lambda entry: moved(entry, Stage.INTENT, _now(), facts=facts))

    async def sent(self) -> None:
        """The last byte may leave when this returns; for whoever is cancelled in it, it may not.

        Raises:
            NotSent: the call was stopped meanwhile.
        """
        await self._change(lambda entry: moved(entry, Stage.SENT, _now()))
        if self._is_stopped:
            raise NotSent("The call was given up before it was sent.")
        self._has_gone = True

    async def submitted(self, remote: str) -> None:
        reach("created")
        await self._change(lambda entry: submitted(entry, remote, _now()))
        reach("submitted")

    async def received(self) -> None:
        """The whole answer lies in the spool."""
        reach("spooled")
        if self.entry.stage is Stage.SENT:
            await self._change(lambda entry: moved(entry, Stage.RECEIVED, _now()))
        reach("received")

    async def stored(self, sidecar: str) -> None:
        """Files and sidecar are durable; `sidecar` is its blob key."""
        if self.entry.stage is Stage.STORED:
            return  # by the process that began it
        facts = {"sidecar": sidecar}
        await self._change(lambda entry: moved(entry, Stage.STORED, _now(), facts=facts))
        reach("stored")

    async def answered(
        self,
        stage: Stage,
        record: Record,
        settled: Sequence[LedgerLine],
        *,
        error: HeliographError | None = None,
        note: str | None = None,
    ) -> None:
        """End it with a whole answer: record, ledger lines and idempotency key in one step."""
        await self._change(
            lambda entry: moved(entry, stage, _now(), note=note),
            ends=True,
            lines=settled,
            record=record,
            claim=self._claimed(ClaimState.FINAL, error),
        )
        reach("settled")

    async def released(self, error: HeliographError | None, note: str) -> None:
        """End it as provably free; its idempotency key may be used again."""
        # an earlier call in doubt stays what the key stands for
        claim = None if self.doubts else self._claimed(ClaimState.DROPPED, error)
        await self._change(
            lambda entry: moved(entry, Stage.RELEASED, _now(), note=note), ends=True, claim=claim
        )

    async def doubted(
        self, hold: LedgerLine, record: Record | None, error: HeliographError, note: str
    ) -> None:
        """End it as unknown: what was set aside is held from now on."""
        await self._change(
            lambda entry: moved(entry, Stage.UNKNOWN, hold.at, note=note),
            ends=True,
            lines=[hold],
            record=record,
            claim=self._claimed(ClaimState.FINAL, error),
        )

    def hold(self) -> LedgerLine:
        """The line that holds what this call may have cost."""
        return hold_line(self.entry, self.plan, max(_now(), self.entry.changed))

    @property
    def at_risk(self) -> int:
        """Micro-dollars that it and the job's earlier calls in doubt may have cost."""
        return self.entry.reserved + sum(line.micro for line in self.doubts)

    @property
    def has_left(self) -> bool:
        """Whether the upstream may have the whole request, of an attempt not known to be free.

        The journal alone cannot tell: it says "sent" before the last byte leaves, and still does
        when that byte was held back.
        """
        return self._has_gone and self.entry.stage not in UNSENT

    async def stop(self) -> bool:
        """Let nothing leave from now on.

        Returns:
            Whether something may have left already.
        """
        self._is_stopped = True
        await self.at_rest()
        return self.has_left

    async def at_rest(self) -> Stage:
        """Where the call stands once every step that was asked for is written."""
        while pending := [step for step in self._steps if not step.done()]:
            await asyncio.wait(pending)
        return self.entry.stage

    def _claimed(self, state: ClaimState, error: HeliographError | None) -> Claim | None:
        if self._claim is None:
            return None
        return replace(self._claim, state=state, error=error.as_dict() if error else None)

    async def _change(
        self,
        step: Callable[[CallEntry], CallEntry],
        *,
        ends: bool = False,
        lines: Sequence[LedgerLine] = (),
        record: Record | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Write a step down.

        Args:
            step: from where the steps before it led, to where it leads.
            ends: what was set aside is given back with it.
        """

        async def write() -> None:
            async with self._writing:
                before, after = self.entry, step(self.entry)
                back = [release_line(before, self.plan, after.changed)] if ends else []
                told = (*back, *lines)
                await self._journal.change(before, after, lines=told, record=record, claim=claim)
                self.entry = after
                if after.stage in UNSENT:
                    self._has_gone = False

        # known from here on, also before it comes to its first line
        task = asyncio.ensure_future(write())
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)
        # a step half-way written would leave us not knowing our own stage
        await unbroken(task)


async def open_call(
    job: str,
    number: int,
    plan: Plan,
    tools: Tools,
    *,
    mark: str,
    doubts: Sequence[LedgerLine] = (),
) -> OpenCall | Claim:
    """Set money aside and begin a call.

    Args:
        number: of the call within its job, from 1.
        mark: fingerprint of the request, which a fallback plan does not change.
        doubts: hold lines of the job's earlier calls.

    Returns:
        The call, or what the plan's idempotency key stands for already.

    Raises:
        BudgetExceeded: a budget has not enough left; nothing was written.
    """
    now = _now()
    provider, lease, rules = tools.provider, tools.lease, tools.rules
    entry = opened(
        CallEntry(
            id=f"{job}-{number}",
            job=job,
            stage=Stage.RESERVED,
            owner=lease.owner,
            library=lease.library,
            model=plan.model,
            upstream=provider.upstream,
            project="",
            simulated=provider.simulated,
            transport=provider.transport,
            reserved=plan.estimate.high,
            scopes=scopes_of(now, rules.zone, plan.request.tags, accounts_of(plan.request)),
            twin=canonical_key(plan),
            plan=plan_to_document(plan),
            begun=now,
            changed=now,
        )
    )
    claim = _new_claim(job, plan, rules, now, mark)
    # the second call of a job has its key already
    wanted = claim if not doubts else None
    call = OpenCall(
        entry,
        plan,
        tools.journal,
        spend_limit=rules.spend_limit,
        claim=claim,
        doubts=doubts,
    )
    try:
        taken = await unbroken(
            tools.journal.open(entry, reserve_line(entry, plan, now), claim=wanted)
        )
    except asyncio.CancelledError:
        # it may be written by now; nothing has left, so it is given back
        with contextlib.suppress(CallTaken):
            await unbroken(call.released(None, "Given up before it was sent."))
        raise
    if taken is not None:
        return taken
    reach("reserved")
    return call


async def reopen(entry: CallEntry, plan: Plan, shelf: Shelf) -> OpenCall:
    """A call of a process that is gone, in our hands from now on.

    Raises:
        CallTaken: another process was quicker.
    """
    after = adopted(entry, shelf.lease.owner)
    await shelf.journal.change(entry, after)
    key = plan.request.idempotency_key
    claim = await shelf.journal.claim(key) if key else None
    if claim is not None and claim.job != entry.job:
        claim = None
    earlier = await shelf.journal.calls(
        job=entry.job, stages=[Stage.UNKNOWN, Stage.HELD], limit=MOST_CALLS
    )
    doubts = [
        hold_line(doubtful, plan_from_document(doubtful.plan), _held_at(doubtful))
        for doubtful in reversed(earlier)
        if doubtful.id != entry.id
    ]
    return OpenCall(after, plan, shelf.journal, claim=claim, doubts=doubts)


def _held_at(entry: CallEntry) -> datetime:
    return next(step.at for step in entry.trail if step.stage is Stage.UNKNOWN)


def _new_claim(job: str, plan: Plan, rules: Rules, now: datetime, mark: str) -> Claim | None:
    key = plan.request.idempotency_key
    if key is None:
        return None
    return Claim(
        key=key,
        fingerprint=mark,
        job=job,
        state=ClaimState.RUNNING,
        expires=now + rules.key_life,
    )


async def unbroken(work: Awaitable[T]) -> T:
    """Run to the end even when cancelled, and only then pass the cancellation on."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):  # impatience does not add up
                await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            LOG.warning(
                "a step went on after a cancellation, and failed", exc_info=task.exception()
            )
        raise


def _now() -> datetime:
    return datetime.now(UTC)

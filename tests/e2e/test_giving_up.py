"""How far a call came when it is given up: what has left counts, not what the journal says."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.providers.plans import plan_for
from tests.storage.calls import a_call, a_line

from heliograph.calls import OpenCall
from heliograph.errors import NotSent
from heliograph.journal import CallEntry, Claim, Stage
from heliograph.storage import MemoryBooks, MemoryJournal
from heliograph.types import LedgerLine, Record


class SlowJournal(MemoryJournal):
    """A journal on a slow disk: a step to a stage in `held` waits for `disk`."""

    def __init__(self) -> None:
        super().__init__(MemoryBooks())
        self.disk = asyncio.Event()
        self.held: set[Stage] = set()

    async def change(
        self,
        before: CallEntry,
        after: CallEntry,
        *,
        lines: Sequence[LedgerLine] = (),
        record: Record | None = None,
        claim: Claim | None = None,
    ) -> None:
        if after.stage in self.held:
            await self.disk.wait()
        await super().change(before, after, lines=lines, record=record, claim=claim)


@pytest.fixture
def journal() -> SlowJournal:
    return SlowJournal()


@pytest.fixture
async def call(journal: SlowJournal) -> OpenCall:
    """A call whose next step is to be sent."""
    plan = plan_for()
    entry = a_call(reserved=plan.estimate.high, begun=datetime.now(UTC))
    await journal.open(entry, a_line(entry))
    call = OpenCall(entry, plan, journal)
    await call.intent("main", 1)
    return call


async def reserved(journal: SlowJournal, call: OpenCall) -> int:
    return sum(balance.reserved for balance in await journal.balances(call.entry.scopes))


async def begun(call: OpenCall, *, ticks: int) -> "asyncio.Task[None]":
    """The step before the last byte, asked for and then cancelled so many ticks later."""
    task = asyncio.ensure_future(call.sent())
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    return task


@pytest.mark.parametrize("ticks", [0, 1, 2, 3])
async def test_a_cancelled_step_is_waited_for_and_nothing_has_left(
    call: OpenCall, journal: SlowJournal, ticks: int
) -> None:
    """With one tick the step is asked for, and has not come to its first line."""
    journal.held = {Stage.SENT}
    sending = await begun(call, ticks=ticks)
    stopping = asyncio.ensure_future(call.stop())
    for _ in range(5):
        await asyncio.sleep(0)
    journal.disk.set()
    assert not await stopping
    assert call.entry.stage is (Stage.SENT if ticks else Stage.INTENT)
    await call.released(None, "Given up.")
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (await journal.find_call(call.entry.id)).stage is Stage.RELEASED
    assert await reserved(journal, call) == 0


async def test_the_end_comes_after_a_step_that_was_asked_for_before_it(
    call: OpenCall, journal: SlowJournal
) -> None:
    journal.held = {Stage.SENT}
    sending = await begun(call, ticks=1)
    ending = asyncio.ensure_future(call.released(None, "The connection broke."))
    for _ in range(5):
        await asyncio.sleep(0)
    journal.disk.set()
    await ending
    await asyncio.wait([sending])
    trail = (await journal.find_call(call.entry.id)).trail
    assert [step.stage for step in trail][-2:] == [Stage.SENT, Stage.RELEASED]


async def test_another_attempt_begins_where_the_one_before_it_came_to(
    call: OpenCall, journal: SlowJournal
) -> None:
    """Its deadline passed while it was about to be sent; it is tried again at once."""
    journal.held = {Stage.SENT}
    sending = await begun(call, ticks=1)

    async def again() -> None:
        await call.failed({"error": "not_sent"})
        await call.intent("main", 2)

    trying = asyncio.ensure_future(again())
    for _ in range(5):
        await asyncio.sleep(0)
    journal.disk.set()
    await trying
    await asyncio.wait([sending])
    await call.sent()
    stages = [step.stage for step in (await journal.find_call(call.entry.id)).trail]
    way = [Stage.SENT, Stage.INTENT, Stage.INTENT, Stage.SENT]
    assert stages == [Stage.RESERVED, Stage.INTENT, *way]


async def test_nothing_leaves_once_a_call_is_stopped(call: OpenCall, journal: SlowJournal) -> None:
    journal.held = {Stage.SENT}
    sending = asyncio.ensure_future(call.sent())  # whoever waits for it is not cancelled
    await asyncio.sleep(0)
    stopping = asyncio.ensure_future(call.stop())
    await asyncio.sleep(0)
    journal.disk.set()
    assert not await stopping
    with pytest.raises(NotSent):
        await sending


async def test_what_left_has_left_until_the_attempt_is_known_to_be_free(call: OpenCall) -> None:
    left = [call.has_left]
    for step in (call.sent, lambda: call.failed({}), call.sent, lambda: call.intent("main", 2)):
        await step()
        left.append(call.has_left)
    assert left == [False, True, False, True, False]
    await call.sent()
    assert await call.stop()


def test_what_another_process_had_sent_has_left(journal: SlowJournal) -> None:
    for stage, left in ((Stage.INTENT, False), (Stage.SENT, True), (Stage.RECEIVED, True)):
        entry = replace(a_call(), stage=stage)
        assert OpenCall(entry, plan_for(), journal).has_left is left

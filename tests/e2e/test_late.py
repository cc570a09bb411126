"""Answers that come after the deadline are listened for, kept and charged once."""

import asyncio

import pytest
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.holding import Held, holding

from heliograph import AsyncHeliograph
from heliograph.errors import Charged, OutcomeUnknown
from heliograph.journal import Stage
from heliograph.ports import Event
from heliograph.types import Outcome

SOON = {"answer_timeout": 0.4, "late_timeout": 60.0}


def client(emulated: Emulated | Held, project: str, **more: object) -> AsyncHeliograph:
    settings = {**SOON, **more}
    key = f"emu-project-{project}"
    return AsyncHeliograph(base_url=emulated.url, api_key=key, settings=settings)


async def test_a_late_answer_is_found_by_its_id(
    emulated: Emulated, project: str, bill: Bill
) -> None:
    with holding(emulated.url) as held:
        async with client(held, project) as helio:
            with pytest.raises(OutcomeUnknown, match="late") as caught:
                await helio.generate("A fox", size="1K")
            assert caught.value.charged is Charged.UNKNOWN
            (call,) = await helio.calls()
            assert call.stage is Stage.SENT
            held.let_go()
    async with AsyncHeliograph() as again:
        record = await again.image(str(caught.value.record_id))
        (call,) = await again.calls()
    assert (record.outcome, record.cost) == (Outcome.KEPT, bill.micro)
    assert call.stage is Stage.SETTLED


async def test_the_same_key_waits_for_the_late_answer_instead_of_paying_again(
    emulated: Emulated, project: str, bill: Bill
) -> None:
    with holding(emulated.url) as held:
        async with client(held, project) as helio:
            with pytest.raises(OutcomeUnknown):
                await helio.generate("A fox", size="1K", idempotency_key="k")
            held.let_go()
            async with asyncio.timeout(60):
                while not await helio.calls(stages=[Stage.SETTLED]):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            made = await helio.generate("A fox", size="1K", idempotency_key="k")
    # its flight may still be about to land: whoever joins it then pays nothing either
    assert made.source in {"replay", "joined"}
    assert made.record.cost == bill.micro
    assert len(bill.lines) == 1


async def test_a_patient_client_waits_for_it(emulated: Emulated, project: str) -> None:
    events: list[Event] = []
    with holding(emulated.url) as held:

        def watch(event: Event) -> None:
            events.append(event)
            if event.name == "late":
                held.let_go()

        async with AsyncHeliograph(
            base_url=held.url,
            api_key=f"emu-project-{project}",
            settings=SOON,
            is_patient=True,
            observer=watch,
        ) as helio:
            made = await helio.generate("A fox", size="1K")
    assert made.source == "call"
    assert [e.name for e in events].count("late") == 1


async def test_an_answer_that_never_comes_ends_as_unknown(emulated: Emulated, project: str) -> None:
    async with client(emulated, project, late_timeout=0.3) as helio:
        with pytest.raises(OutcomeUnknown, match="late"):
            await helio.generate("A fox [[fault:delay-headers:150]]", size="1K")
    async with AsyncHeliograph() as again:
        (call,) = await again.calls()
        assert await again.audit() == ()
    assert call.stage is Stage.UNKNOWN


async def test_silence_inside_the_answer_is_final_at_once(emulated: Emulated, project: str) -> None:
    async with client(emulated, project, silence_timeout=0.3, answer_timeout=60) as helio:
        with pytest.raises(OutcomeUnknown, match="whole"):
            await helio.generate("A fox [[fault:stall-after:2000]]", size="1K")
        (call,) = await helio.calls()
    assert call.stage is Stage.UNKNOWN

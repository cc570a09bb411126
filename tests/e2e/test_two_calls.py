"""A job of two calls, the first of unknown outcome: both stay on the books until each is closed."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.dying import die_at, holder
from tests.e2e.raw import Said, answer, part, picture, saying

from heliograph import AsyncHeliograph
from heliograph.errors import Charged, HeliographError, OutcomeUnknown, RecordNotFound, StorageError
from heliograph.journal import OPEN, Stage
from heliograph.killpoints import armed
from heliograph.money import dollars
from heliograph.ports import Event
from heliograph.types import Outcome

CUT = "A fox [[fault:cut-json]]"
BILLED = 140_000  # micro-dollars
BRIEF = 0.3  # seconds that a write waits for a locked database here; 30 in the product


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def cut_once(project: str) -> str:
    """A prompt whose first answer is cut; the emulator counts by prompt."""
    return f"{project} [[fault:cut-json*1]]"


@pytest.fixture
def client(emulated: Emulated, project: str) -> dict[str, Any]:
    """What makes a client that asks once more when an outcome is unknown."""
    key = f"emu-project-{project}"
    return {"base_url": emulated.url, "api_key": key, "settings": {"retry_unknown": True}}


def lose_database(home: Path) -> None:
    for file in home.glob("heliograph.db*"):
        file.unlink()


async def total(helio: AsyncHeliograph) -> tuple[int, int, int]:
    """Reserved, held and settled micro-dollars."""
    (all_of_it,) = [b for b in await helio.balances() if b.scope == "total"]
    return all_of_it.reserved, all_of_it.held, all_of_it.settled


# ---------------------------------------------------------------- while the process lives


async def test_both_doubts_of_one_job_are_resolved_and_rebuilt(
    client: Mapping[str, Any], home: Path
) -> None:
    async with AsyncHeliograph(**client) as helio:
        with pytest.raises(OutcomeUnknown) as caught:
            await helio.generate(CUT, size="1K")
        second, first = await helio.calls(stages=[Stage.UNKNOWN])
        assert caught.value.facts["may_have_cost_micro"] == first.reserved + second.reserved
        assert await total(helio) == (0, first.reserved + second.reserved, 0)
        pieces = list((home / "quarantine" / first.job).glob("*body.raw"))
        assert len({piece.read_bytes() for piece in pieces}) == 2
        assert (await helio.resolve(first.id, None)).stage is Stage.RELEASED
        assert (await helio.resolve(second.id, BILLED)).stage is Stage.SETTLED
        assert await total(helio) == (0, 0, BILLED)
        assert (await helio.rebuild()).damaged == ()
        assert await helio.audit() == ()
    lose_database(home)
    async with AsyncHeliograph(**client) as again:
        assert (await again.rebuild()).damaged == ()
        assert await total(again) == (0, 0, BILLED)


async def test_a_free_failure_after_a_doubt_is_not_free() -> None:
    whole = answer(part(picture()), finishReason="STOP")
    no = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}}
    cut = Said(b'{"candidates":[', missing=len(str(whole)))
    async with (
        saying(cut, Said(no, status=400)) as upstream,
        AsyncHeliograph(base_url=upstream.url, settings={"retry_unknown": True}) as helio,
    ):
        with pytest.raises(HeliographError) as caught:
            await helio.generate("A fox", size="1K", idempotency_key="k")
        assert upstream.requests == 2
        second, first = await helio.calls()
        assert (first.stage, second.stage) == (Stage.UNKNOWN, Stage.RELEASED)
        assert caught.value.charged is Charged.UNKNOWN
        assert caught.value.facts["may_have_cost_micro"] == first.reserved
        assert caught.value.facts["calls_in_doubt"] == [first.id]
        record = await helio.image(str(caught.value.record_id))
        assert (record.outcome, record.cost) == (Outcome.UNKNOWN, 0)
        with pytest.raises(OutcomeUnknown):  # what the key stands for
            await helio.generate("A fox", size="1K", idempotency_key="k")
        assert upstream.requests == 2
        assert await helio.audit() == ()


async def test_a_limit_for_one_call_is_not_spent_on_two(
    client: Mapping[str, Any], bill: Bill, cut_once: str
) -> None:
    async with AsyncHeliograph(**client) as helio:
        high = (await helio.plan(cut_once, size="1K")).estimate.high
        with pytest.raises(OutcomeUnknown):
            await helio.generate(cut_once, size="1K", max_cost=dollars(2 * high - 1)[1:])
    assert len(bill.lines) == 1


async def test_the_doubt_of_a_job_that_is_given_up_has_a_record(
    client: Mapping[str, Any], bill: Bill, cut_once: str
) -> None:
    leaving: list[asyncio.Future[None]] = []
    intents: list[str] = []

    def act(point: str) -> None:
        if point == "intent":
            intents.append(point)
            if len(intents) == 2:
                leaving.append(asyncio.ensure_future(helio.abandon()))

    async with AsyncHeliograph(**client) as helio:
        with armed(act), pytest.raises(asyncio.CancelledError):
            await helio.generate(cut_once, size="1K")
        await asyncio.gather(*leaving)
        second, first = await helio.calls()
        assert (first.stage, second.stage) == (Stage.UNKNOWN, Stage.RELEASED)
        assert await total(helio) == (0, first.reserved, 0)
        record = await helio.image(first.job)
        assert (record.outcome, record.cost) == (Outcome.UNKNOWN, 0)
        assert (await helio.rebuild()).damaged == ()
        assert await helio.audit() == ()
    assert len(bill.lines) == 1


async def test_who_gets_off_between_two_calls_leaves_the_second_to_go_on(
    client: Mapping[str, Any], bill: Bill, project: str
) -> None:
    """The first may have been paid for: nobody's impatience stops the job any more."""
    prompt = f"{project} [[fault:cut-json*1]] [[fault:rate-minute:1*2]]"
    events: list[Event] = []
    calls: list[str] = []

    def told(event: Event) -> None:
        events.append(event)
        if event.name == "reserved":
            calls.append(event.job)
        if event.name == "retrying" and len(calls) == 2:
            asking.cancel()

    async with AsyncHeliograph(**client, observer=told) as helio:
        asking = asyncio.ensure_future(helio.generate(prompt, size="1K"))
        with pytest.raises(asyncio.CancelledError):
            await asking
    async with AsyncHeliograph() as again:
        (record,) = await again.images()
    assert record.outcome is Outcome.KEPT


# ---------------------------------------------------------------- killed during the second call


async def test_a_second_call_that_never_left_leaves_the_doubt_and_the_key(
    client: Mapping[str, Any], bill: Bill, cut_once: str
) -> None:
    options = {"size": "1K", "idempotency_key": "k"}
    await die_at("reserved", cut_once, nth=2, client=client, options=options)
    async with AsyncHeliograph(**client) as helio:
        second, first = await helio.calls()
        assert (first.stage, second.stage) == (Stage.UNKNOWN, Stage.RELEASED)
        assert await total(helio) == (0, first.reserved, 0)
        with pytest.raises(OutcomeUnknown) as caught:
            await helio.generate(cut_once, size="1K", idempotency_key="k")
        record = await helio.image(str(caught.value.record_id))
        assert record.outcome is Outcome.UNKNOWN
        assert (await helio.rebuild()).damaged == ()
        assert await helio.audit() == ()
    assert len(bill.lines) == 1


@pytest.mark.parametrize("point", ["sidecar", "stored"])
async def test_a_second_call_that_was_kept_is_finished_with_the_doubt(
    client: Mapping[str, Any], bill: Bill, cut_once: str, point: str
) -> None:
    options = {"size": "1K", "idempotency_key": "k"}
    await die_at(point, cut_once, client=client, options=options)
    async with AsyncHeliograph(**client) as helio:
        made = await helio.generate(cut_once, size="1K", idempotency_key="k")
        assert made.source == "replay"
        _, first = await helio.calls()
        assert await helio.calls(stages=OPEN) == ()
        assert await total(helio) == (0, first.reserved, made.record.cost)
        assert await helio.audit() == ()
        assert (await helio.rebuild()).damaged == ()
    assert len(bill.lines) == 2


# ---------------------------------------------------------------- closing a hold


@pytest.mark.parametrize("micro", [None, BILLED])
async def test_a_hold_of_a_rebuilt_library_can_be_closed(
    helio: AsyncHeliograph, client: Mapping[str, Any], home: Path, micro: int | None
) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        await helio.generate(CUT, size="1K")
    await helio.close()
    lose_database(home)
    name = str(caught.value.record_id)
    async with AsyncHeliograph(**client) as again:
        await again.rebuild()
        assert (await total(again))[1] > 0
        await again.resolve_hold(name, micro)
        assert await total(again) == (0, 0, micro or 0)
        with pytest.raises(RecordNotFound, match="Nothing is held"):
            await again.resolve_hold(name, micro)
        assert await again.audit() == ()
        assert (await again.rebuild()).damaged == ()


@pytest.mark.parametrize("micro", [None, BILLED])
async def test_what_was_billed_for_two_calls_of_a_rebuilt_library_counts_once(
    client: Mapping[str, Any], home: Path, micro: int | None
) -> None:
    async with AsyncHeliograph(**client) as helio:
        with pytest.raises(OutcomeUnknown) as caught:
            await helio.generate(CUT, size="1K")
    lose_database(home)
    name = str(caught.value.record_id)
    async with AsyncHeliograph(**client) as again:
        await again.rebuild()
        assert await total(again) == (0, caught.value.facts["may_have_cost_micro"], 0)
        await again.resolve_hold(name, micro)
        assert await total(again) == (0, 0, micro or 0)
        with pytest.raises(RecordNotFound, match="Nothing is held"):
            await again.resolve_hold(name, micro)
        assert await again.audit() == ()
        assert (await again.rebuild()).damaged == ()


@pytest.mark.parametrize(("said", "then"), [(134_000, BILLED), (134_000, None), (None, BILLED)])
async def test_what_was_decided_before_the_database_refused_stays_decided(
    client: Mapping[str, Any],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: int | None,
    then: int | None,
) -> None:
    monkeypatch.setattr("heliograph.storage.engine.LOCK_SECONDS", BRIEF)
    once = {**client, "settings": {}}
    async with AsyncHeliograph(**once) as helio:
        with pytest.raises(OutcomeUnknown):
            await helio.generate(CUT, size="1K")
        (call,) = await helio.calls()
        with holder(home) as holds:
            holds.take()
            with pytest.raises(StorageError):
                await helio.resolve(call.id, said)
        ended = await helio.resolve(call.id, then)
        assert ended.stage is (Stage.RELEASED if said is None else Stage.SETTLED)
        assert await total(helio) == (0, 0, said or 0)
        assert (await helio.rebuild()).damaged == ()
        assert await helio.audit() == ()

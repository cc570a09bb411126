"""Budgets, idempotency keys, twins and fallbacks, held against the emulator's own bill."""

import asyncio
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.holding import holding
from tests.e2e.raw import Said, answer, part, picture, saying

from heliograph import AsyncHeliograph, InvalidRequest, Result
from heliograph.errors import (
    BudgetExceeded,
    Charged,
    KeyReused,
    OutcomeUnknown,
    Overloaded,
    PolicyBlocked,
    ProtocolError,
    RateLimited,
)
from heliograph.journal import Stage
from heliograph.ports import Event
from heliograph.providers.breaker import CONSECUTIVE

Opened = Callable[..., AsyncHeliograph]
OTHER = "gemini-nano-banana-2.1"


@pytest.fixture
def opened(emulated: Emulated, project: str) -> Opened:
    """Clients of this test's project and library, with settings of their own."""

    def open_one(**settings: object) -> AsyncHeliograph:
        key = f"emu-project-{project}"
        return AsyncHeliograph(base_url=emulated.url, api_key=key, settings=settings)

    return open_one


# ---------------------------------------------------------------- budgets


async def test_a_budget_stops_exactly_where_the_worst_case_would_pass_it(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    ask = (await helio.plan("A fox", size="1K")).estimate.high
    await helio.set_budget("total", 3 * ask)
    made = await asyncio.gather(
        *(helio.generate("A fox", size="1K") for _ in range(20)), return_exceptions=True
    )
    results = [m for m in made if isinstance(m, Result)]
    refused = [m for m in made if isinstance(m, BudgetExceeded)]
    assert (len(results), len(refused)) == (3, 17)
    assert len(bill.lines) == 3
    assert refused[0].exit_code == 7
    assert refused[0].charged is Charged.NO
    assert "budget set" in str(refused[0])
    (total,) = [b for b in await helio.balances() if b.scope == "total"]
    assert (total.settled, total.reserved, total.held) == (bill.micro, 0, 0)
    assert await helio.audit() == ()


async def test_budgets_of_tags_and_days_count_only_what_is_theirs(helio: AsyncHeliograph) -> None:
    await helio.generate("A fox", size="1K", tags=("spring",))
    await helio.set_budget("tag/spring", "0.20")
    await helio.set_budget("day", "0.60")
    with pytest.raises(BudgetExceeded, match="tag spring") as caught:
        await helio.generate("A fox", size="1K", tags=("spring",))
    assert caught.value.facts["budget"] == "tag/spring"
    await helio.generate("A fox", size="1K", tags=("autumn",))
    scopes = {b.scope.partition("/")[0] for b in await helio.balances()}
    assert scopes == {"total", "day", "month", "tag"}
    await helio.set_budget("day", None)
    await helio.set_budget("tag/spring", None)
    assert await helio.budgets() == {}


@pytest.mark.parametrize("name", ["week", "tag/", "", "day/2026-11-22"])
async def test_there_are_only_these_budgets(helio: AsyncHeliograph, name: str) -> None:
    with pytest.raises(InvalidRequest, match="is no budget"):
        await helio.set_budget(name, "5")


@pytest.mark.parametrize("limit", ["five", "-1", -1, 10**13, True])
async def test_a_budget_is_an_amount(helio: AsyncHeliograph, limit: int | str) -> None:
    with pytest.raises(InvalidRequest):
        await helio.set_budget("total", limit)


async def test_an_unknown_call_counts_until_it_is_resolved(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    ask = (await helio.plan("A fox", size="1K")).estimate.high
    await helio.set_budget("total", ask + ask // 2)
    with pytest.raises(OutcomeUnknown):
        await helio.generate("A fox [[fault:reset-after-request]]", size="1K")
    with pytest.raises(BudgetExceeded, match="held for calls of unknown outcome"):
        await helio.generate("A fox", size="1K")
    (call,) = await helio.calls(stages=[Stage.UNKNOWN])
    assert (await helio.resolve(call.id, None)).stage is Stage.RELEASED
    assert (await helio.generate("A fox", size="1K")).cost == bill.micro
    assert await helio.audit() == ()


async def test_a_resolved_call_is_settled_with_what_was_billed(helio: AsyncHeliograph) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        await helio.generate("A fox [[fault:reset-after-request]]", size="1K")
    (call,) = await helio.calls()
    assert (await helio.resolve(call.id[:8], 134_400)).stage is Stage.SETTLED
    lines = await helio.lines(str(caught.value.record_id))
    assert {line.kind: line.micro for line in lines} == {
        "reserve": call.reserved,
        "release": -call.reserved,
        "hold": call.reserved,
        "hold_release": -call.reserved,
        "settle": 134_400,
    }
    assert await helio.audit() == ()
    rebuilt = await helio.rebuild()
    assert rebuilt.damaged == ()


async def test_the_own_limit_for_ten_minutes_is_kept_before_google_says_so(
    opened: Opened, bill: Bill
) -> None:
    async with opened(spend_per_10_minutes="0.30", patience=1.0) as helio:
        await helio.generate("A fox", size="1K")
        with pytest.raises(RateLimited, match="ten minutes") as caught:
            await asyncio.gather(*(helio.generate("A fox", size="1K") for _ in range(2)))
        assert caught.value.charged is Charged.NO
    assert bill.micro <= 300_000


# ---------------------------------------------------------------- idempotency keys


async def test_one_key_is_one_picture_and_one_charge(opened: Opened, bill: Bill) -> None:
    key = str(uuid.uuid4())
    async with opened() as helio:
        made = await asyncio.gather(
            *(helio.generate("A fox", size="1K", idempotency_key=key) for _ in range(5))
        )
        assert sorted(m.source for m in made) == ["call", *["joined"] * 4]
        assert sum(m.cost for m in made) == bill.micro
    async with opened() as again:
        replayed = await again.generate("A fox", size="1k", idempotency_key=key)
    assert (replayed.source, replayed.cost) == ("replay", 0)
    hashes = {m.record.images[0].sha256 for m in (*made, replayed)}
    assert len(hashes) == 1
    assert len(bill.lines) == 1


async def test_a_key_belongs_to_one_request(opened: Opened, bill: Bill) -> None:
    async with opened() as helio:
        await helio.generate("A fox", size="1K", idempotency_key="k")
        for other in ({"prompt": "A cat"}, {"size": "2K"}, {"pixels": "500x500"}, {"seed": 4}):
            changed = {"prompt": "A fox", "size": "1K", "idempotency_key": "k", **other}
            with pytest.raises(KeyReused) as caught:
                await helio.run(replace(helio.request("A fox"), **changed))  # type: ignore[arg-type]
            assert caught.value.exit_code == 2
    assert len(bill.lines) == 1


async def test_a_policy_block_and_an_unknown_outcome_are_final(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    for fault, kind in (("image-safety", PolicyBlocked), ("reset-after-request", OutcomeUnknown)):
        prompt = f"A fox [[fault:{fault}*1]]"
        for turn in range(2):
            with pytest.raises(kind) as caught:
                await helio.generate(prompt, size="1K", idempotency_key=fault)
            assert caught.value.facts.get("replayed", False) is bool(turn)
            assert caught.value.record_id is not None
    assert len(bill.lines) == 2


async def test_a_failure_that_reached_nobody_leaves_the_key_free(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    prompt = "A fox [[fault:overloaded*3]]"
    with pytest.raises(Overloaded):
        await helio.generate(prompt, size="1K", idempotency_key="k")
    made = await helio.generate(prompt, size="1K", idempotency_key="k")
    assert made.source == "call"
    assert sum(line["billed"] for line in bill.lines) == 1


@pytest.mark.parametrize("key", ["", "a b", "ü", "x" * 256, "a\n"])
async def test_a_key_is_visible_ascii(helio: AsyncHeliograph, key: str) -> None:
    with pytest.raises(InvalidRequest, match="idempotency_key"):
        await helio.generate("A fox", idempotency_key=key)


# ---------------------------------------------------------------- twins


async def test_a_seeded_request_is_answered_by_its_twin(helio: AsyncHeliograph, bill: Bill) -> None:
    first = await helio.generate("A fox", size="1K", seed=7)
    second = await helio.generate("A fox", size="1K", seed=7, pixels="400x400")
    assert (second.source, second.cost) == ("twin", 0)
    assert second.record.id == first.record.id
    assert str(second.exports[0].pixels) == "400x400"
    fresh = await helio.generate("A fox", size="1K", seed=7, fresh=True)
    other = await helio.generate("A fox", size="1K", seed=8)
    assert [fresh.source, other.source] == ["call", "call"]
    assert len(bill.lines) == 3


async def test_identical_seeded_requests_share_one_flight(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    made = await asyncio.gather(
        *(helio.generate("A fox", size="1K", seed=7) for _ in range(6)),
        *(helio.generate("A fox", size="1K") for _ in range(2)),
    )
    assert sorted(m.source for m in made) == ["call", "call", "call", *["joined"] * 5]
    assert len(bill.lines) == 3


async def test_nobody_joins_a_flight_that_may_land_with_another_model(
    emulated: Emulated, project: str, bill: Bill
) -> None:
    sent = asyncio.Semaphore(0)

    def observe(event: Event) -> None:
        if event.name == "sent":
            sent.release()

    with holding(emulated.url) as held:
        key = f"emu-project-{project}"
        async with AsyncHeliograph(base_url=held.url, api_key=key, observer=observe) as helio:
            asked = [
                asyncio.ensure_future(helio.generate("A fox", size="1K", seed=7, fallback=others))
                for others in ((), (OTHER,))
            ]
            async with asyncio.timeout(60):
                await sent.acquire()
                await sent.acquire()  # no answer has come yet
            held.let_go()
            made = await asyncio.gather(*asked)
    assert [m.source for m in made] == ["call", "call"]
    assert len(bill.lines) == 2


async def test_plain_requests_are_shared_only_when_told_to(opened: Opened, bill: Bill) -> None:
    async with opened(cache="all") as helio:
        assert (await helio.generate("A fox", size="1K")).source == "call"
        assert (await helio.generate("A fox", size="1K")).source == "twin"
    async with opened(cache="off") as helio:
        assert (await helio.generate("A fox", size="1K", seed=1)).source == "call"
        assert (await helio.generate("A fox", size="1K", seed=1)).source == "call"
    async with opened(cache_ttl=0.001) as helio:
        assert (await helio.generate("A fox", size="1K", seed=1)).source == "call"
    assert len(bill.lines) == 4


async def test_a_twin_whose_file_is_gone_answers_nothing(helio: AsyncHeliograph) -> None:
    first = await helio.generate("A fox", size="1K", seed=7)
    first.path.unlink()
    assert (await helio.generate("A fox", size="1K", seed=7)).source == "call"


# ---------------------------------------------------------------- fallbacks


async def test_another_model_steps_in_only_when_told_to(
    helio: AsyncHeliograph, bill: Bill, events: list[Event]
) -> None:
    prompt = "A fox that another model draws [[fault:overloaded*3]]"
    made = await helio.generate(prompt, size="1K", fallback=(OTHER,))
    assert made.record.model == OTHER
    assert "could not answer" in made.warnings[0]
    assert [e.facts["model"] for e in events if e.name == "falling back"] == [OTHER]
    assert [line["model"] for line in bill.lines if line["billed"]] == [OTHER]
    assert made.cost == bill.micro
    assert await helio.audit() == ()


async def test_a_policy_block_never_falls_back(helio: AsyncHeliograph, bill: Bill) -> None:
    with pytest.raises(PolicyBlocked):
        await helio.generate("A fox [[fault:image-safety]]", size="1K", fallback=(OTHER,))
    with pytest.raises(OutcomeUnknown):
        await helio.generate("A fox [[fault:reset-after-request]]", size="1K", fallback=(OTHER,))
    assert len(bill.lines) == 2


async def test_another_model_steps_in_while_the_first_gets_a_rest() -> None:
    nonsense = [Said({}, status=302)] * CONSECUTIVE
    whole = Said(answer(part(picture()), finishReason="STOP"))
    async with (
        saying(*nonsense, whole) as upstream,
        AsyncHeliograph(base_url=upstream.url) as helio,
    ):
        for _ in nonsense:
            with pytest.raises(ProtocolError):
                await helio.generate("A fox", size="1K", fallback=(OTHER,))
        made = await helio.generate("A fox", size="1K", fallback=(OTHER,))
        assert made.record.model == OTHER
        assert "gets a rest" in " ".join(made.warnings)
        assert upstream.requests == CONSECUTIVE + 1
        assert await helio.audit() == ()


# ---------------------------------------------------------------- repeats that are allowed


async def test_an_unknown_call_is_repeated_only_when_told_to_and_marked(
    opened: Opened, bill: Bill
) -> None:
    async with opened(retry_unknown=True) as helio:
        made = await helio.generate("A fox, twice [[fault:reset-after-request*1]]", size="1K")
        assert made.source == "call"
        assert "unknown outcome" in " ".join(made.warnings)
        second, first = await helio.calls()
        assert (first.stage, second.stage) == (Stage.UNKNOWN, Stage.SETTLED)
        assert first.job == second.job == made.record.id
        (total,) = [b for b in await helio.balances() if b.scope == "total"]
        assert (total.settled, total.held) == (made.cost, first.reserved)
        assert await helio.audit() == ()
    assert len(bill.lines) == 2


# ---------------------------------------------------------------- several keys


async def test_a_bad_key_is_put_aside_and_the_next_project_steps_in(
    emulated: Emulated, project: str, bill: Bill
) -> None:
    keys = {"bad": "emu-leaked", "good": f"emu-project-{project}"}
    async with AsyncHeliograph(base_url=emulated.url, api_key=keys) as helio:
        for _ in range(2):
            made = await helio.generate("A fox", size="1K")
        calls = await helio.calls()
    assert [call.project for call in calls] == ["good", "good"]
    assert [call.attempts for call in calls] == [1, 2]
    assert made.cost < bill.micro
    assert "emu-leaked" not in repr(calls)


async def test_a_daily_quota_closes_the_project_for_the_model(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    kinds = set()
    for _ in range(20):
        with pytest.raises(Exception, match="quota") as caught:
            await helio.generate("A fox [[fault:rate-day]]", size="1K")
        kinds.add(type(caught.value).__name__)
    assert kinds == {"QuotaExhausted"}
    assert len(bill.lines) == 1
    assert (await helio.generate("A fox", size="1K", model=OTHER)).source == "call"


async def test_the_original_is_what_the_emulator_sent(helio: AsyncHeliograph, bill: Bill) -> None:
    made = await helio.generate("A fox [[fault:cut-after-image]]", size="1K")
    assert hashlib.sha256(made.path.read_bytes()).hexdigest() == bill.image()["sha256"]

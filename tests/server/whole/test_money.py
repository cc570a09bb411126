"""Budgets hold whatever happens at once: S67 to S72, over real sockets."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from tests.server.holding import Held
from tests.server.waiting import HANG, until
from tests.server.whole.conftest import House

from heliograph.accounts import Limits
from heliograph.jobs import JobState
from heliograph.server.admission import Admission


async def price(house: House) -> int:
    """The worst price of one picture, in micro-dollars."""
    plan = await house.gateway.client.plan("A fox 000", size="1K")
    return plan.estimate.high


async def test_a_budget_for_ten_lets_exactly_ten_of_two_hundred_through(
    house: House, held: Held
) -> None:
    user = house.users["anna"].id
    words = "A fox {:03d}"
    high = (await house.gateway.client.plan(words.format(0), size="1K")).estimate.high
    await house.gateway.client.set_budget(f"user/{user}", 10 * high)
    held.hold()
    asked = [asyncio.ensure_future(house.ask("anna", words.format(n))) for n in range(200)]
    # everybody has asked before the first one is settled below its worst price
    await until(lambda: sum(each.done() for each in asked) == 190)
    held.release()
    found = await asyncio.gather(*asked)
    assert Counter(status for status, _, _ in found) == {200: 10, 429: 190}
    refused = [(body, answer) for status, body, answer in found if status == 429]
    assert {body["error"]["code"] for body, _ in refused} == {"insufficient_quota"}
    assert {answer["x-should-retry"] for _, answer in refused} == {"false"}
    assert len(await house.bill()) == 10


async def test_several_pictures_are_begun_only_with_money_for_all(house: House) -> None:  # S70
    user = house.users["anna"].id
    await house.gateway.client.set_budget(f"user/{user}/day", 5 * await price(house))
    status, body, _ = await house.ask("anna", "A fox 000", n=8)
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")
    assert await house.bill() == []
    status, body, answer = await house.ask("anna", "A fox 000", n=3)
    assert (status, len(body["data"])) == (200, 3)
    assert len(await house.bill()) == 3
    assert float(answer["x-heliograph-balance"]) > 0


async def test_a_key_has_a_budget_of_its_own(house: House) -> None:
    (key,) = await house.gateway.accounts.keys(house.users["anna"].id)
    await house.gateway.client.set_budget(f"key/{key.id}/month", await price(house) - 1)
    assert (await house.ask("anna", "A fox 000"))[0] == 429
    assert (await house.ask("ben", "A fox 000"))[0] == 200


async def test_a_cancelled_job_is_either_refunded_or_kept_never_both(house: House) -> None:  # S72
    outcomes: Counter[str] = Counter()
    for n in range(24):
        asked = {"prompt": f"A fox {n} [[fault:delay_headers:0.05]]", "size": "1K"}
        status, job, _ = await house.call("anna", "POST", "/api/v1/jobs", json=asked)
        assert status == 202, job
        await asyncio.sleep(0.004 * n)
        status, _, _ = await house.call("anna", "POST", f"/api/v1/jobs/{job['id']}/cancel")
        path = f"/api/v1/jobs/{job['id']}"
        while True:
            _, ended, _ = await house.call("anna", "GET", path)
            if ended["state"] not in ("queued", "running"):
                break
            await asyncio.sleep(0.02)
        outcomes[ended["state"]] += 1
        assert (status == 200) == (ended["state"] == "cancelled"), (status, ended)
    assert set(outcomes) <= {"cancelled", "done"}
    billed = [line for line in await house.bill() if line["billed_micro"]]
    assert len(billed) == outcomes["done"]
    balances = await house.gateway.client.balances()
    assert [b.reserved + b.held for b in balances if b.scope == "total"] == [0]


async def test_one_user_may_not_have_more_under_way_than_the_limit(  # S68
    house: House, held: Held
) -> None:
    anna, admission = house.users["anna"], house.gateway.admission
    limited = replace(anna, limits=Limits(at_once=2), version=anna.version + 1)
    await house.gateway.accounts.change_user(anna, limited)
    await asyncio.sleep(1.0)  # what is remembered of a key lasts that long
    held.hold()
    asked = [asyncio.ensure_future(house.ask("anna", f"A fox {n}")) for n in range(8)]
    await until(lambda: admission.under_way + admission.waiting == 8)
    assert (admission.under_way, admission.waiting) == (2, 6)
    await house.arrived(2)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, admission.under_way)
            await asyncio.sleep(0.01)

    watching = asyncio.ensure_future(watch())
    held.release()
    found = await asyncio.gather(*asked)
    watching.cancel()
    assert {status for status, _, _ in found} == {200}
    assert most <= 2


async def test_whoever_is_refused_for_want_of_a_place_leaves_no_job(
    house: House, held: Held
) -> None:
    house.gateway.admission = Admission(1, 2, 2)
    held.hold()
    asked = [asyncio.ensure_future(house.ask("anna", f"A fox {n}")) for n in range(12)]
    await until(lambda: sum(task.done() for task in asked) == 9)
    held.release()
    found = await asyncio.gather(*asked)
    assert Counter(status for status, _, _ in found) == {200: 3, 429: 9}
    jobs = await house.gateway.jobs.jobs(limit=100)
    assert [job.state for job in jobs] == [JobState.DONE] * 3


@pytest.mark.parametrize(
    ("prompt", "code", "charged"),
    [
        ("A fox [[fault:image:1K]]", "size_mismatch", "no"),
        # as the call itself says it: nobody is told to ask again
        ("A fox [[fault:text-refusal]]", "no_image", "yes"),
        ("A fox [[fault:image:cut]]", "corrupt_image", "yes"),
    ],
)
async def test_a_call_that_two_jobs_share_costs_one_of_them(
    house: House, held: Held, prompt: str, code: str, charged: str
) -> None:
    asked = {"prompt": prompt, "size": "2K", "seed": 7, "strict": True}
    held.hold()
    status, told, _ = await house.call("anna", "POST", "/api/v1/jobs", json=asked)
    assert status == 202, told
    await house.arrived()
    # nothing is set aside for this one, so that it is told of at its end
    joining = asyncio.ensure_future(house.call("anna", "POST", "/api/v1/jobs", json=asked))
    (flight,) = house.gateway.client._flights._all
    await until(lambda: flight.riders == 2)
    held.release()
    jobs = [told["id"], (await joining)[1]["id"]]
    first, second = [await house.gateway.wait(job, HANG) for job in jobs]
    (line,) = await house.bill()
    assert first.cost == line["billed_micro"] > 0
    assert second.cost == 0
    assert first.error is not None
    assert second.error is not None
    assert first.error["code"] == second.error["code"] == code
    assert (first.error["charged"], second.error["charged"]) == ("yes", charged)
    assert second.error["facts"]["replayed"] is True
    assert "replayed" not in first.error["facts"]
    assert await house.ours() == line["billed_micro"]


async def test_pictures_of_one_job_that_share_a_call_cost_it_once(house: House, held: Held) -> None:
    asked = {"prompt": "A fox [[fault:text-refusal]]", "size": "1K", "seed": 7, "count": 2}
    held.hold()
    status, told, _ = await house.call("anna", "POST", "/api/v1/jobs", json=asked)
    assert status == 202, told
    await house.arrived()
    (flight,) = house.gateway.client._flights._all
    await until(lambda: flight.riders == 2)
    held.release()
    job = await house.gateway.wait(told["id"], HANG)
    assert job.state is JobState.FAILED
    (line,) = await house.bill()
    assert job.cost == line["billed_micro"] > 0

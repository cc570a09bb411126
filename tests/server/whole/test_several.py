"""Several pictures of one request: all of them or a word about each, and one limit for all."""

import asyncio
from dataclasses import replace

from tests.server.holding import Held
from tests.server.waiting import until
from tests.server.whole.conftest import House

from heliograph.accounts import Limits
from heliograph.server.headers import usd


async def test_pictures_of_a_job_that_had_to_wait_are_all_made(house: House, held: Held) -> None:
    anna = house.users["anna"]
    four = replace(anna, limits=Limits(at_once=4), version=anna.version + 1)
    await house.gateway.accounts.change_user(anna, four)
    held.hold()
    before = [asyncio.ensure_future(house.ask("anna", f"A fox {n}")) for n in range(4)]
    await until(lambda: house.gateway.admission.under_way == 4)
    waiting = asyncio.ensure_future(house.ask("anna", "A hare", n=4))
    await until(lambda: house.gateway.admission.waiting == 4)
    held.release()  # four places are free at once, each for another picture of the job
    status, body, _ = await waiting
    assert (status, len(body["data"])) == (200, 4), body
    assert {(await each)[0] for each in before} == {200}
    assert len(await house.bill()) == 8


async def test_a_cost_limit_is_for_all_pictures_together(house: House) -> None:
    high = (await house.gateway.client.plan("A fox", size="1K")).estimate.high
    limit = {"heliograph": {"max_cost": usd(3 * high - 1)}}
    status, body, _ = await house.ask("anna", "A fox", n=3, **limit)
    assert (status, body["error"]["code"]) == (400, "cost_limit")
    assert "3 pictures may cost up to" in body["error"]["message"]
    asked = {"prompt": "A fox", "size": "1K", "count": 3, "max_cost": 3 * high - 1}
    status, problem, _ = await house.call("anna", "POST", "/api/v1/jobs", json=asked)
    assert (status, problem["code"]) == (400, "cost_limit")
    assert await house.bill() == []
    enough = {"heliograph": {"max_cost": usd(3 * high)}}
    assert (await house.ask("anna", "A fox", n=3, **enough))[0] == 200
    assert len(await house.bill()) == 3


async def test_what_failed_among_several_is_told_with_its_cost(house: House) -> None:
    status, body, answer = await house.ask("anna", "A fox [[fault:text-refusal*1]]", n=3)
    told = body["heliograph"]
    assert (status, len(body["data"]), told["missing"]) == (200, 2, 1)
    assert told["missing_charged"] == "yes"
    assert answer["x-heliograph-cost-usd"] == told["cost_usd"] == usd(await house.ours())


async def test_a_failure_that_may_have_cost_says_how_much(house: House) -> None:
    status, body, _ = await house.ask("anna", "A fox [[fault:reset-after-request*1]]", n=2)
    told = body["heliograph"]
    assert (status, told["missing_because"], told["missing_charged"]) == (
        200,
        "outcome_unknown",
        "unknown",
    )
    (doubted,) = [
        call for call in await house.gateway.store.journal.calls(limit=9) if call.stage.is_doubtful
    ]
    assert told["missing_may_cost_usd"] == usd(doubted.reserved)

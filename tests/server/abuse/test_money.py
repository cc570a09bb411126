"""Money, space and turns under attack: S67 to S71, S75 to S77b, S95, S96."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.server.abuse.conftest import PRO, Target, attacked
from tests.server.waiting import until

from heliograph.ledger import default_scopes
from heliograph.ports import Event
from heliograph.server.admission import Share
from heliograph.server.gemini import files

GENERATE = f"/v1beta/models/{PRO}:generateContent"


@pytest.mark.parametrize("fault", ["usage-missing", "usage-negative", "usage-huge"])
async def test_s69_numbers_of_an_upstream_are_believed_in_range_alone(
    tmp_path: Path, emulated: str, fault: str
) -> None:
    """S69: what cannot be right is settled by the table; the ledger stays a sum of prices.

    The upstream's bill has thinking that nobody was told of, so the two are not equal here.
    """
    async with attacked(tmp_path / "home", emulated) as house:
        words = f"a lake [[fault:{fault}]]"
        high = (await house.gateway.client.plan(f"{words} 2", size="1K")).estimate.high
        spent = 0
        for path, body in (
            ("/openai/v1/images/generations", {"prompt": words, "size": "1K"}),
            (GENERATE, {"contents": [{"parts": [{"text": f"{words} 2"}]}]}),
            ("/api/v1/jobs", {"prompt": f"{words} 3", "size": "1K"}),
        ):
            headers = {"prefer": "wait=30"}
            answer = await house.send("anna", "POST", path, json=body, headers=headers)
            assert answer.status == 200, answer.body
            cost = round(float(answer.headers["x-heliograph-cost-usd"]) * 1_000_000)
            assert 0 < cost <= high, path
            spent += cost
        assert await house.ours() == spent


@pytest.mark.parametrize("quantity", [-1, 0, 2**63, 10**30])
async def test_s69_budgets_are_amounts(house: Target, quantity: int) -> None:
    """S69: a limit out of range is refused, and the one that was set stays."""
    path = "/api/v1/budgets/total"
    assert (await house.send("root", "PUT", path, json={"limit_micro": 5_000_000})).status == 200
    refused = await house.send("root", "PUT", path, json={"limit_micro": quantity})
    assert (refused.status, refused.code) == (400, "invalid_request")
    kept = (await house.send("root", "GET", path)).json
    assert kept["limit"]["micro"] == 5_000_000


async def test_s71_what_has_no_price_is_not_bought(house: Target) -> None:
    """S71 on each face: 400 or 404, and no call."""
    model = "nano-banana-pro-preview"
    for path, body in (
        ("/openai/v1/images/generations", {"prompt": "a", "model": model}),
        ("/api/v1/jobs", {"prompt": "a", "model": model}),
        (GENERATE.replace(PRO, model), {"contents": [{"parts": [{"text": "a"}]}]}),
    ):
        answer = await house.send("anna", "POST", path, json=body)
        # on the Gemini face it is no model at all
        expected = (404, "model_not_found") if path.startswith("/v1") else (400, "price_unknown")
        assert (answer.status, answer.code) == expected, (path, answer.body)
    assert await house.bill() == []


async def test_s67_s70_one_picture_too_many(house: Target) -> None:
    """S67, S70: with money for one, ten at once through three faces are one; E = 1."""
    slow = "[[fault:delay_headers:1.0]]"
    high = (await house.gateway.client.plan(f"a lake 0 {slow}", size="1K")).estimate.high
    user = house.users["anna"].id
    await house.gateway.client.set_budget(f"user/{user}", high)
    asked = [
        [
            ("/openai/v1/images/generations", {"prompt": f"a lake {n} {slow}", "size": "1K"}),
            ("/api/v1/jobs", {"prompt": f"a sea {n} {slow}", "size": "1K"}),
        ][n % 2]
        for n in range(10)
    ]
    answers = await asyncio.gather(
        *(
            house.send("anna", "POST", path, json=body, headers={"prefer": "wait=30"})
            for path, body in asked
        )
    )
    assert sorted(answer.status for answer in answers) == [200] + [429] * 9
    for answer in answers:
        if answer.status == 429:
            assert answer.code == "insufficient_quota"
            assert answer.headers["x-should-retry"] == "false"
    assert len(await house.bill()) == 1


async def test_s96_the_queue_of_one_is_not_the_queue_of_others(
    tmp_path: Path, emulated: str
) -> None:
    """S96: a user's cap is 429; whoever comes later has one of the next places."""
    settings: dict[str, Any] = {
        "server_calls_at_once": 2,
        "server_user_waiting": 20,
        "server_waiting": 1000,
    }
    admitted: list[str] = []  # pictures, in the order of their turns

    def watch(event: Event) -> None:
        if event.name == "admitted":
            admitted.append(event.job)

    async with attacked(tmp_path / "home", emulated, observer=watch, **settings) as house:
        admission = house.gateway.admission
        held = [admission.enter_now(Share(user="somebody else", most=2)) for _ in range(2)]
        many = [asyncio.create_task(house.ask("anna", f"a sea {n}")) for n in range(60)]
        await until(lambda: sum(task.done() for task in many) == 40)
        assert {task.result()[0] for task in many if task.done()} == {429}
        assert admission.waiting == 20, "no more than the cap"
        late = asyncio.create_task(house.draw("ben", "a hill"))
        await until(lambda: admission.waiting == 21)
        assert admitted == []
        for place in held:
            assert place is not None
            place.leave()
        job = await house.gateway.jobs.job((await late)["job"])
        found = [status for status, _, _ in await asyncio.gather(*many)]
        assert found.count(200) == 20
        assert job is not None
        assert admitted.index(job.pictures[0]) < 3, "alone it would have been the first"
        assert len(admitted) == 21


async def test_s75_a_call_counts_in_the_window_in_which_it_began(house: Target) -> None:
    """S75: the names of its day and month are written with it; no clock moves it again."""
    user = house.users["anna"].id
    for window in ("day", "month"):
        await house.gateway.client.set_budget(f"user/{user}/{window}", 5_000_000)
    await house.draw("anna")
    budgets = (await house.send("anna", "GET", "/api/v1/budgets")).json["items"]
    left = {each["left"]["micro"] for each in budgets}
    assert left == {5_000_000 - await house.ours()}
    now = datetime(2026, 11, 1, 0, 30, tzinfo=UTC)
    clocks = [now + timedelta(minutes=minutes) for minutes in range(-120, 120, 5)]
    there = [default_scopes(clock) for clock in clocks]
    back = [default_scopes(clock) for clock in reversed(clocks)]
    # going back finds the windows of before: nothing is fresh a second time
    assert there == list(reversed(back))
    assert len(set(there)) == 2


async def test_s76_batches_are_not_sold(house: Target) -> None:
    """S76: no route takes one, so none is begun with too little money."""
    for path in (f"/v1beta/models/{PRO}:batchGenerateContent", "/v1/batches/b1:cancel"):
        answer = await house.send("anna", "POST", path, json={})
        assert answer.status == 501, answer.body
    for path in ("/openai/v1/batches", "/api/v1/batches"):
        assert (await house.send("anna", "POST", path, json={})).status == 404
    assert await house.bill() == []


async def test_s77b_words_order_one_picture(house: Target) -> None:
    """S77b: a number in a prompt is no quantity, and a highest cost is one."""
    words = "100 images of a lake, each one at 4K"
    path = "/openai/v1/images/generations"
    answer = await house.send("anna", "POST", path, json={"prompt": words, "size": "1K"})
    assert len(answer.json["data"]) == 1
    assert len(await house.bill()) == 1
    capped = {"prompt": words, "size": "1K", "max_cost": 1}
    refused = await house.send("anna", "POST", "/api/v1/jobs", json=capped)
    assert (refused.status, refused.code) == (400, "cost_limit"), refused.body
    assert len(await house.bill()) == 1


async def test_s95_one_user_fills_no_disk_with_uploads(
    house: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S95: who has too much gets 503 `storage_low`; others work."""
    monkeypatch.setattr(files, "USER_LIMIT", 1000)

    async def begin(who: str, size: int) -> int:
        start = {
            "x-goog-upload-protocol": "resumable",
            "x-goog-upload-command": "start",
            "x-goog-upload-header-content-length": str(size),
            "x-goog-upload-header-content-type": "image/png",
        }
        path = "/upload/v1beta/files"
        answer = await house.send(who, "POST", path, json={"file": {}}, headers=start)
        assert answer.status == 200 or answer.code == "storage_low"
        return answer.status

    assert await begin("anna", 1001) == 503
    assert await begin("ben", 900) == 200
    await house.draw("ben")

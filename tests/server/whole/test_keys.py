"""Idempotency keys and an SDK's own retries: section 2 of reliability.md, over real sockets."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.server.holding import Held
from tests.server.whole.conftest import House


async def test_the_same_key_gets_the_same_answer_and_one_charge(house: House) -> None:
    headers = {"Idempotency-Key": "order-4711"}
    first = await house.ask("anna", "A fox", headers)
    again = await house.ask("anna", "A fox", headers)
    assert first[0] == again[0] == 200
    assert "idempotency-replayed" not in first[2]
    assert again[2]["idempotency-replayed"] == "true"
    assert again[2]["x-heliograph-cost-usd"] == "0.000000"
    assert first[2]["x-heliograph-job"] == again[2]["x-heliograph-job"]
    assert first[1]["created"] == again[1]["created"]
    assert len(await house.bill()) == 1


async def test_a_key_of_another_request_is_refused(house: House) -> None:
    headers = {"Idempotency-Key": "order-4711"}
    await house.ask("anna", "A fox", headers)
    status, body, answer = await house.ask("anna", "A hare", headers)
    assert (status, body["error"]["code"]) == (422, "idempotency_key_reused")
    assert answer["x-should-retry"] == "false"
    assert len(await house.bill()) == 1


async def test_the_key_of_another_user_is_another_key(house: House) -> None:  # S21
    headers = {"Idempotency-Key": "order-4711"}
    first = await house.ask("anna", "A fox", headers)
    other = await house.ask("ben", "A fox", headers)
    assert first[0] == other[0] == 200
    assert first[2]["x-heliograph-job"] != other[2]["x-heliograph-job"]
    assert len(await house.bill()) == 2


async def test_nobody_gets_the_twin_of_another_user(house: House) -> None:  # S29
    asked: dict[str, Any] = {"heliograph": {"seed": 7}}
    first = await house.ask("anna", "A fox", **asked)
    twin = await house.ask("anna", "A fox", **asked)
    other = await house.ask("ben", "A fox", **asked)
    assert twin[2]["x-heliograph-cost-usd"] == "0.000000"
    assert "0.000000" not in [a[2]["x-heliograph-cost-usd"] for a in (first, other)]
    assert len(await house.bill()) == 2


async def test_a_key_in_use_is_told_when_to_come_back(house: House, held: Held) -> None:
    headers = {"Idempotency-Key": "slow"}
    held.hold()
    first = asyncio.ensure_future(house.ask("anna", "A fox", headers))
    await house.arrived()
    status, body, answer = await house.ask("anna", "A fox", headers)
    assert (status, body["error"]["code"]) == (409, "idempotency_key_in_use")
    assert 1 <= int(answer["retry-after"]) <= 40
    assert body["error"]["heliograph"]["job"]
    waiting = {**headers, "Prefer": "wait=60"}
    joining = asyncio.ensure_future(house.ask("anna", "A fox", waiting))
    assert not first.done()
    held.release()
    joined = await joining
    assert joined[0] == (await first)[0] == 200
    assert joined[2]["x-heliograph-job"] == first.result()[2]["x-heliograph-job"]
    assert len(await house.bill()) == 1


async def test_many_at_once_with_one_key_are_one_call(house: House) -> None:
    headers = {"Idempotency-Key": "many", "Prefer": "wait=60"}
    found = await asyncio.gather(*(house.ask("anna", "A fox", headers) for _ in range(30)))
    assert Counter(status for status, _, _ in found) == {200: 30}
    assert len({answer["x-heliograph-job"] for _, _, answer in found}) == 1
    assert sum("idempotency-replayed" not in answer for _, _, answer in found) == 1
    assert len(await house.bill()) == 1


async def test_the_retry_of_an_sdk_joins_the_request_before_it(house: House, held: Held) -> None:
    prompt = "A fox"
    held.hold()
    first = asyncio.ensure_future(house.ask("anna", prompt))
    await house.arrived()
    retry = asyncio.ensure_future(house.ask("anna", prompt, {"x-stainless-retry-count": "1"}))
    await asyncio.sleep(0.2)
    assert not retry.done()
    held.release()
    assert (await retry)[0] == (await first)[0] == 200
    later = await house.ask("anna", prompt, {"x-stainless-retry-count": "2"})
    assert later[2]["idempotency-replayed"] == "true"
    # a request that is no retry is one of its own, and so is a retry of somebody else
    assert "idempotency-replayed" not in (await house.ask("anna", prompt))[2]
    other = await house.ask("ben", prompt, {"x-stainless-retry-count": "1"})
    assert "idempotency-replayed" not in other[2]
    assert len(await house.bill()) == 3


async def test_a_retry_with_a_key_of_its_own_joins_nothing(house: House) -> None:
    first = await house.ask("anna", "A fox", {"Idempotency-Key": "one"})
    retry = {"Idempotency-Key": "two", "x-stainless-retry-count": "1"}
    other = await house.ask("anna", "A fox", retry)
    assert other[2]["x-heliograph-job"] != first[2]["x-heliograph-job"]
    again = await house.ask("anna", "A fox", retry)
    assert again[2]["x-heliograph-job"] == other[2]["x-heliograph-job"]
    assert len(await house.bill()) == 2


async def test_a_wait_for_a_key_in_use_has_an_end(house: House, held: Held) -> None:
    headers = {"Idempotency-Key": "slow"}
    held.hold()
    first = asyncio.ensure_future(house.ask("anna", "A fox", headers))
    await house.arrived()
    status, body, answer = await house.ask("anna", "A fox", {**headers, "Prefer": "wait=1"})
    assert (status, body["error"]["code"]) == (409, "idempotency_key_in_use")
    assert int(answer["retry-after"]) >= 1
    held.release()
    assert (await first)[0] == 200
    assert len(await house.bill()) == 1


@pytest.mark.parametrize("fault", ["text-refusal", "image:cut", "reset-after-request"])
async def test_an_sdk_s_repeat_of_what_may_have_been_charged_is_no_second_call(
    house: House, fault: str
) -> None:
    first = await house.ask("anna", f"A fox [[fault:{fault}]]")
    retry = await house.ask("anna", f"A fox [[fault:{fault}]]", {"x-stainless-retry-count": "1"})
    assert first[0] == retry[0] >= 400
    assert retry[1]["error"]["code"] == first[1]["error"]["code"]
    assert retry[2]["idempotency-replayed"] == "true"
    assert len(await house.bill()) == 1


async def test_an_sdk_s_repeat_of_a_free_failure_is_a_call(house: House) -> None:
    prompt = "A wolf [[fault:overloaded*3]]"
    assert (await house.ask("anna", prompt))[0] == 503
    again = await house.ask("anna", prompt, {"x-stainless-retry-count": "1"})
    assert again[0] == 200
    assert "idempotency-replayed" not in again[2]


async def test_a_failure_that_may_be_tried_again_is_not_kept(house: House) -> None:
    headers = {"Idempotency-Key": "overloaded"}
    status, body, answer = await house.ask("anna", "A lynx [[fault:overloaded*3]]", headers)
    assert (status, body["error"]["code"]) == (503, "overloaded")
    assert answer["x-should-retry"] == "true"
    again = await house.ask("anna", "A lynx [[fault:overloaded*3]]", headers)
    assert again[0] == 200
    assert "idempotency-replayed" not in again[2]


async def test_a_refusal_is_kept(house: House) -> None:
    headers = {"Idempotency-Key": "blocked"}
    first = await house.ask("anna", "A wolf [[fault:image-safety]]", headers)
    again = await house.ask("anna", "A wolf [[fault:image-safety]]", headers)
    assert first[0] == again[0] == 400
    assert first[1]["error"]["code"] == again[1]["error"]["code"] == "content_policy"
    assert len(await house.bill()) == 1


async def test_a_key_without_a_valid_form_is_refused(house: House) -> None:
    for key in ("", "a b", "x" * 256, "schlüssel".encode().decode("latin-1")):
        status, body, _ = await house.ask("anna", "A fox", {"Idempotency-Key": key})
        assert status == 400, key
        assert "idempotency key" in body["error"]["message"].lower()
    assert await house.bill() == []

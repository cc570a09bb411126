"""What stands for a request that was taken on already is not refused for want of what that took."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from tests.server.holding import Held
from tests.server.waiting import until
from tests.server.whole.conftest import House, running

from heliograph.jobs import Job
from heliograph.ports import Jobs
from heliograph.server.gemini.interactions.left import Left

TALK = {
    "model": "gemini-3-pro-image",
    "input": "A fox",
    "response_format": {"type": "image", "image_size": "1K"},
}
RETRY = {"x-stainless-retry-count": "1"}


async def enough_for_two(house: House) -> None:
    """A budget that two pictures fit into, and a third one does not."""
    high = (await house.gateway.client.plan("A fox", size="1K")).estimate.high
    user = house.users["anna"].id
    await house.gateway.client.set_budget(f"user/{user}", 5 * high // 2)


async def test_several_pictures_are_given_again_whatever_is_left_of_the_budget(
    house: House,
) -> None:
    await enough_for_two(house)
    key = {"Idempotency-Key": "order-1"}
    first = await house.ask("anna", "A fox", key, n=2)
    again = await house.ask("anna", "A fox", key, n=2)
    assert (first[0], again[0]) == (200, 200), again[1]
    assert again[2]["idempotency-replayed"] == "true"
    assert again[2]["x-heliograph-cost-usd"] == "0.000000"
    # a request of its own is refused as before, and so is another one with this key
    assert (await house.ask("anna", "A fox", n=2))[0] == 429
    assert (await house.ask("anna", "A fox", RETRY | {"Idempotency-Key": "other"}, n=2))[0] == 429
    assert (await house.ask("anna", "A hare", key, n=2))[0] == 422
    assert len(await house.bill()) == 2


async def test_the_retry_of_an_sdk_is_not_refused_for_the_money_of_its_own_request(
    house: House, held: Held
) -> None:
    await enough_for_two(house)
    held.hold()
    first = asyncio.ensure_future(house.ask("anna", "A fox", n=2))
    await house.arrived(2)
    first.cancel()
    retry = asyncio.ensure_future(house.ask("anna", "A fox", RETRY, n=2))
    await asyncio.wait([retry], timeout=0.5)
    held.release()
    status, body, answer = await retry
    assert (status, len(body.get("data", []))) == (200, 2), body
    assert answer["idempotency-replayed"] == "true"
    assert len(await house.bill()) == 2


class Stopped:
    """The jobs of a gateway of which the first look for a key's job is slow to be told."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.looked = asyncio.Event()
        self.may = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    async def holder(self, user: str, key: str) -> Job | None:
        found = await self._jobs.holder(user, key)
        if not self.looked.is_set():
            self.looked.set()
            await self.may.wait()
        return found


async def test_of_two_at_once_with_one_key_neither_is_refused_for_the_others_money(
    house: House, held: Held
) -> None:
    await enough_for_two(house)
    jobs = Stopped(house.gateway.jobs)
    house.gateway.jobs = cast("Jobs", jobs)
    headers = {"Idempotency-Key": "order-1", "Prefer": "wait=60"}
    held.hold()
    slow = asyncio.ensure_future(house.ask("anna", "A fox", headers, n=2))
    await jobs.looked.wait()
    quick = asyncio.ensure_future(house.ask("anna", "A fox", headers, n=2))
    await house.arrived(2)
    jobs.may.set()
    await asyncio.wait([slow], timeout=0.5)
    held.release()
    both = await asyncio.gather(slow, quick)
    assert [status for status, _, _ in both] == [200, 200], both
    assert both[0][2]["idempotency-replayed"] == "true"
    assert len(await house.bill()) == 2


@pytest.fixture
async def narrow(tmp_path: Path, emulated: str, held: Held) -> AsyncIterator[House]:
    """A gateway with one place for each user, and nobody waits."""
    one: dict[str, Any] = {"server_user_at_once": 1, "server_user_waiting": 0}
    async with running(tmp_path / "home", emulated, uuid4().hex[:10], way=held.url, **one) as found:
        yield found


@pytest.mark.parametrize("known", [{"Idempotency-Key": "order-1", "Prefer": "wait=60"}, RETRY])
async def test_a_repeat_needs_no_place_beside_its_own_request(
    narrow: House, held: Held, known: Mapping[str, str]
) -> None:
    held.hold()
    key = {} if known is RETRY else known
    first = asyncio.ensure_future(narrow.ask("anna", "A fox", key))
    await narrow.arrived()
    first.cancel()
    again = asyncio.ensure_future(narrow.ask("anna", "A fox", known))
    assert (await narrow.ask("anna", "A hare"))[0] == 429
    await asyncio.wait([again], timeout=0.5)
    held.release()
    status, body, answer = await again
    assert status == 200, body
    assert answer["idempotency-replayed"] == "true"
    assert len(await narrow.bill()) == 1


async def talk(house: House) -> tuple[int, Any, Mapping[str, str]]:
    return await house.call("anna", "POST", "/v1beta/interactions", json=TALK)


@pytest.mark.parametrize("stops", [False, True])
async def test_an_interaction_whose_repeat_was_refused_is_joined_by_the_next(
    narrow: House, held: Held, monkeypatch: pytest.MonkeyPatch, *, stops: bool
) -> None:
    noted: list[str | None] = []
    note = Left.note

    def noting(left: Left, key: tuple[str, str], session: str | None) -> None:
        noted.append(session)
        note(left, key, session)

    monkeypatch.setattr(Left, "note", noting)
    held.hold()
    first = asyncio.ensure_future(talk(narrow))
    await narrow.arrived()
    first.cancel()
    await until(lambda: noted)
    if stops:
        narrow.gateway.is_draining = True
        assert (await talk(narrow))[0] == 503
        narrow.gateway.is_draining = False
    again = asyncio.ensure_future(talk(narrow))
    await asyncio.wait([again], timeout=0.5)
    held.release()
    status, body, answer = await again
    assert status == 200, body
    assert answer["idempotency-replayed"] == "true"
    assert len(await narrow.bill()) == 1
    assert "idempotency-replayed" not in (await talk(narrow))[2]

"""Any number of calls wait, few receive, and a slow answer holds nobody up for long."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from heliograph.providers import room as module
from heliograph.providers.clock import Clock, Deadlines
from heliograph.providers.room import Room


def nothing(name: str, facts: Mapping[str, Any]) -> None:
    del name, facts


async def test_no_more_receive_at_once_than_there_are_places() -> None:
    room, most, inside = Room(3), 0, 0

    async def receive() -> None:
        nonlocal most, inside
        async with asyncio.timeout(60) as timeout:
            clock = Clock(timeout, Deadlines(), nothing)
            async with room.place(clock):
                inside += 1
                most = max(most, inside)
                assert room.taken == inside
                await asyncio.sleep(0.001)
                inside -= 1
            clock.stop()

    await asyncio.gather(*(receive() for _ in range(40)))
    assert most == 3
    assert room.taken == 0


async def test_silence_does_not_count_while_there_is_no_place() -> None:
    room = Room(1)
    begun = asyncio.get_running_loop().time()
    async with asyncio.timeout(0.02) as timeout:
        clock = Clock(timeout, Deadlines(between=0.01), nothing)
        async with room.place(clock):
            await asyncio.sleep(0.05)  # longer than the deadline that stood before
        clock.stop()
    assert asyncio.get_running_loop().time() - begun >= 0.05


async def test_a_slow_answer_gives_its_place_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.02)
    room, order = Room(1), list[str]()
    is_served = asyncio.Event()

    async def slow() -> None:
        async with asyncio.timeout(60) as timeout:
            async with room.place(Clock(timeout, Deadlines(), nothing)):
                order.append("slow begins")
                await is_served.wait()
            order.append("slow ends")

    async def quick() -> None:
        async with asyncio.timeout(60) as timeout:
            async with room.place(Clock(timeout, Deadlines(), nothing)):
                order.append("quick")
            is_served.set()

    first = asyncio.ensure_future(slow())
    await asyncio.sleep(0)
    await asyncio.gather(first, quick())
    assert order == ["slow begins", "quick", "slow ends"]
    assert room.taken == 0

"""Waits for an errand whose client may leave, or whose connection must not fall silent.

Invariant: an errand goes on whoever leaves, and its files stay until nobody sends them any more.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import Any, TypeVar

T = TypeVar("T")
Body = Callable[[], AsyncIterator[bytes]]


class Errands:
    """The errands under way of one face."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Awaitable[T], files: ExitStack) -> "asyncio.Task[T]":
        """Start it; `files` are closed when it is over."""

        async def whole() -> T:
            with files:
                return await work

        task = asyncio.ensure_future(whole())
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; nobody else must miss it


async def settled(task: "asyncio.Task[Any]", seconds: float | None) -> bool:
    """Whether the errand is over within so many seconds; it goes on in any case."""
    done, _ = await asyncio.wait([task], timeout=seconds)
    return bool(done)


async def kept_alive(
    task: "asyncio.Task[Any]", beat: bytes, seconds: float, body: Body
) -> AsyncIterator[bytes]:
    """Signs of life until the errand is over, then its answer."""
    while not task.done():
        yield beat
        await settled(task, seconds)
    async for piece in body():
        yield piece

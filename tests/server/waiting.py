"""How tests wait for what must happen: by the event, and so long that only a hang fails.

Invariant: no test is decided by how quick a machine is; `HANG` only ends a test that would never
end by itself.
"""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
HANG = 60.0  # seconds; a busy machine stands still for a few of them
LOOK = 0.01  # seconds between two looks


async def until(holds: Callable[[], Any]) -> Any:
    """What `holds` says, once that is true; it may be a coroutine function.

    Raises:
        TimeoutError: it does not become true.
    """
    async with asyncio.timeout(HANG):
        while True:
            found = holds()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(LOOK)


def wait_until(holds: Callable[[], T]) -> T:
    """As `until`, for tests without an event loop.

    Raises:
        TimeoutError: it does not become true.
    """
    end = time.monotonic() + HANG
    while not (found := holds()):
        if time.monotonic() > end:
            raise TimeoutError("it does not happen")
        time.sleep(LOOK)
    return found

"""Places for answers that are being received: any number of calls may wait, few may receive.

Waiting for an answer costs a socket; receiving one costs memory, disk and CPU, and a hundred at
once would all come late. Invariant: the upstream is held back by TCP alone, so nothing is lost
while an answer waits for its place.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from heliograph.providers.clock import Clock

# an answer that takes longer is a slow one, which costs little: others need not wait for it
LONGEST = 10.0  # seconds
UNLIMITED = 1 << 30
HANDS = 2  # threads; one keeps up with some gigabits a second


class Room:
    """So many places, shared by all channels of an upstream, and the threads that write."""

    def __init__(self, places: int = UNLIMITED) -> None:
        self.hands = ThreadPoolExecutor(HANDS, thread_name_prefix="heliograph-spool")
        self._places = asyncio.Semaphore(places)
        self.taken = 0  # for metrics

    @asynccontextmanager
    async def place(self, clock: Clock) -> AsyncIterator[None]:
        """A place, for 10 s at most; the clock does not count while there is none."""
        clock.hold()
        await self._places.acquire()
        self.taken += 1
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self.taken -= 1
                self._places.release()

        timer = asyncio.get_running_loop().call_later(LONGEST, leave)
        try:
            yield
        finally:
            timer.cancel()
            leave()

"""How long the machine stood still, and which trials say nothing because it did.

A timer asked for every 50 ms that comes half a second late or more was kept from running: by other
work, by a hypervisor, by somebody's stop signal. The client's process is measured, and the
harness's together with the emulator's. Invariant: what a row demands is never changed here. A trial
of many at once that complains after such a time is made again with nothing beside it, and the last
time decides; one that complains on a machine that moved is not made again.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from heliograph.chaos.report import Told, Try
from heliograph.chaos.row import Kind, Row

TICK = 0.05  # seconds
NOTICED = 0.5  # seconds of lateness from which one tick counts
TOO_LONG = 1.0  # seconds in sum from which a trial says nothing about many at once
TRIES = 2  # more, at most

OnceMore = Callable[[Told], Awaitable[Told]]


class Pulse:
    """Measures how late this process gets to run."""

    def __init__(self) -> None:
        self.lag = 0.0  # seconds, every lateness added up
        self._stalls: list[tuple[float, float]] = []  # when a tick was due, and how late it came
        self._due = math.inf  # the tick that is waited for

    async def beat(self, answer: Callable[[], Awaitable[object]] | None = None) -> None:
        """Measure until cancelled.

        Args:
            answer: asks another process for something trivial; its lateness counts as well.
        """
        try:
            while True:
                self._due = time.monotonic() + TICK
                await asyncio.sleep(TICK)
                if answer is not None:
                    await answer()
                late = max(0.0, time.monotonic() - self._due)
                self.lag += late
                if late >= NOTICED:
                    self._stalls.append((self._due, late))
        finally:
            self._due = math.inf

    def stood_still(self, since: float = 0.0) -> float:
        """Seconds in which this process could not run.

        Args:
            since: monotonic seconds; what ended earlier is left out.
        """
        # whoever asks may be served before a tick that is overdue
        now = time.monotonic()
        stalls = [*self._stalls, (self._due, now - self._due)]
        return sum(late for due, late in stalls if late >= NOTICED and due + late > since)


def says_nothing(row: Row, told: Told) -> bool:
    """Whether a trial complains that nothing can be concluded from."""
    return row.kind is Kind.LOAD and bool(told.complaints) and told.stood_still >= TOO_LONG


async def decided(row: Row, told: Told, once_more: OnceMore) -> Told:
    """The trial that decides, with what the earlier ones told.

    Args:
        once_more: makes the trial again with nothing beside it; is handed what the last one told.
    """
    for _ in range(TRIES):
        if not says_nothing(row, told):
            break
        earlier = (*told.earlier, Try.of(told))
        told = replace(await once_more(told), earlier=earlier)
    return told

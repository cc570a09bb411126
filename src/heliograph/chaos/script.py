"""What a row's script may use: processes, the places of trials, a limit on how much goes on.

Invariant: every process that was started here is gone when the run ends, however it ends.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from heliograph.chaos.nursery import Child
from heliograph.chaos.report import Told
from heliograph.chaos.stage import Where
from heliograph.chaos.working import Ground

T = TypeVar("T")


@dataclass
class Crew:
    """The processes of one run.

    Attributes:
        room: how many trials of scripts may go on at once.
        say: told of what goes on, one line at a time.
        children: every process that was started; shared by all crews of the run.
    """

    where: Where
    repeat: int
    room: asyncio.Semaphore
    say: Callable[[str], None]
    children: list[Child] = field(default_factory=list)

    def start(self, work: str, order: Any, *, trust: str | None = None) -> Child:
        """A process of its own for one piece of work; see `nursery.Child`."""
        log = self.where.folder / f"process-{len(self.children):04d}.log"
        child = Child(work, order, log, trust=trust)
        self.children.append(child)
        return child

    async def each(self, trial: Callable[[T], Awaitable[Told]], of: Iterable[T]) -> list[Told]:
        """Try them all, as many at once as there is room."""

        async def one(item: T) -> Told:
            async with self.room:
                return await trial(item)

        return await asyncio.gather(*(one(item) for item in of))

    def finished(self, ground: Ground, told: Told) -> Told:
        """The library of a trial that holds is not needed any more."""
        if not told.complaints and not self.where.keep:
            shutil.rmtree(ground.home, ignore_errors=True)
        return told

    def kill_all(self) -> None:
        """End everything at once."""
        for child in self.children:
            if child.is_alive:
                child.kill()

"""What happens to jobs, for whoever watches one of them.

Invariant: watching never slows a call down: a watcher that does not keep up loses nothing but
"receiving", of which there are hundreds.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from heliograph.ports import Event, Observer

FINISHED = "finished"  # the last event of every job
SKIPPED = "receiving"
LONGEST = 200  # events kept of a job that is under way


def ignore(event: Event) -> None:
    """An observer that looks away."""
    del event


class Hub:
    """Takes every event of a client and hands it to the watchers of its job."""

    def __init__(self) -> None:
        self._told: dict[str, deque[Event]] = {}
        self._watchers: dict[str, set[asyncio.Queue[Event]]] = {}
        self._jobs: dict[str, str] = {}  # job by the id of each of its pictures
        self._listeners: dict[str, Observer] = {}

    def begin(self, job: str, pictures: tuple[str, ...], listener: Observer) -> None:
        """Events of these pictures are the job's from now on.

        Args:
            listener: told of each event at once.
        """
        self._told[job] = deque(maxlen=LONGEST)
        self._listeners[job] = listener
        self._jobs |= dict.fromkeys(pictures, job)

    def take(self, event: Event) -> None:
        """The client's observer."""
        job = self._jobs.get(event.job)
        if job is None or event.name == SKIPPED:
            return
        self._told[job].append(event)
        self._listeners[job](event)
        for queue in self._watchers.get(job, ()):
            queue.put_nowait(event)

    def end(self, job: str, pictures: tuple[str, ...], last: Event) -> None:
        """The job is over."""
        for queue in self._watchers.get(job, ()):
            queue.put_nowait(last)
        self._told.pop(job, None)
        self._listeners.pop(job, None)
        for picture in pictures:
            self._jobs.pop(picture, None)

    def knows(self, job: str) -> bool:
        """Whether the job is under way here."""
        return job in self._told

    async def watch(self, job: str) -> AsyncIterator[Event]:
        """What happened to a job so far and from now on; ends with "finished".

        A job that is not under way here gives nothing.
        """
        if job not in self._told:
            return
        queue: asyncio.Queue[Event] = asyncio.Queue()
        for event in self._told[job]:
            queue.put_nowait(event)
        watchers = self._watchers.setdefault(job, set())
        watchers.add(queue)
        try:
            while True:
                event = await queue.get()
                yield event
                if event.name == FINISHED:
                    return
        finally:
            watchers.discard(queue)
            if not watchers:
                self._watchers.pop(job, None)

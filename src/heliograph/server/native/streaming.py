"""Server-sent events of one job.

Invariant: the stream ends with the job, or when this process stops before it; watching neither
slows a call down nor keeps it alive.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from heliograph.jobs import Job
from heliograph.ports import Event
from heliograph.server.events import FINISHED
from heliograph.server.native.desk import Desk
from heliograph.server.native.shapes import image as shape

END = "end"  # id of the last event
ALIVE = b": keep-alive\n\n"
Told = Callable[[Desk, Job], Awaitable[shape.Job]]


async def events_of(desk: Desk, job: Job, after: str | None, told: Told) -> AsyncIterator[bytes]:
    """The events of a job as they are sent.

    Args:
        after: id of the last event that the reader has.
    """
    if after != END and job.state.is_open:
        seen = int(after) if after is not None and after.isascii() and after.isdigit() else 0
        yield _line("job", None, (await told(desk, job)).model_dump_json())
        async for piece in _live(desk, job.id, seen):
            yield piece
        pause = desk.gateway.settings.server_keepalive
        # it may be in the hands of another process
        while job.state.is_open:
            job = await desk.gateway.wait(job.id, pause)
            if job.state.is_open:
                if desk.gateway.is_draining and not desk.gateway.works_on(job.id):
                    return  # it goes on elsewhere, or later: who comes back finds it there
                yield ALIVE
    yield _line(FINISHED, END, (await told(desk, job)).model_dump_json())


async def _live(desk: Desk, job_id: str, seen: int) -> AsyncIterator[bytes]:
    pause = desk.gateway.settings.server_keepalive
    events = desk.gateway.hub.watch(job_id)
    number = 0
    while True:
        coming = asyncio.ensure_future(_next(events))
        try:
            while not (await asyncio.wait([coming], timeout=pause))[0]:
                yield ALIVE
        finally:
            if not coming.done():
                coming.cancel()
        event = coming.result()
        if event is None or event.name == FINISHED:
            return
        number += 1
        if number > seen:
            yield _line(event.name, str(number), json.dumps(_told(event)))


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


def _told(event: Event) -> dict[str, Any]:
    # facts may name files of this machine; plain numbers and short words are for everybody
    facts = {
        name: value
        for name, value in event.facts.items()
        if value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and "/" not in value and "\\" not in value)
    }
    return {"record": event.job, "seconds": round(event.at, 3), "facts": facts}


def _line(name: str, number: str | None, data: str) -> bytes:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()

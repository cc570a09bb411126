"""Takes up the jobs that a gateway which is gone had left open, and calls that nobody makes here.

Invariant: a job is taken over only from a process that is provably gone, and by one process only.
What was kept counts; what may have been paid for without a picture is said; only what provably was
not sent is begun again, and only where nobody waited for it on a connection.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from heliograph.aftermath import come_to
from heliograph.aftermath import doubt as doubt_of
from heliograph.client import AsyncHeliograph
from heliograph.errors import (
    CallTaken,
    HeliographError,
)
from heliograph.jobs import Job, JobState, adopted, moved
from heliograph.journal import OPEN, Stage
from heliograph.library import Store
from heliograph.recovery import TROUBLE
from heliograph.server.faults import is_final
from heliograph.server.refusals import interrupted
from heliograph.server.requests import kept_request
from heliograph.server.under_way import worst_of
from heliograph.types import Plan, Record, Request

LOG = logging.getLogger("heliograph.server")
ORPHANS = 3.0  # seconds between looks for gateways that are gone
UNENDED = timedelta(seconds=60)  # between looks for calls of ours that could not be ended
SIDE_BY_SIDE = 8  # jobs that are written down anew at the same time
MOST_OPEN = 1000  # of the calls looked at; the newest, and a gateway makes fewer at once


class Taker(Protocol):
    """What a gateway lends for this.

    Attributes:
        taking: jobs that are being taken up.
    """

    taking: set[str]

    @property
    def store(self) -> Store: ...

    @property
    def client(self) -> AsyncHeliograph: ...

    def works_on(self, job_id: str) -> bool:
        """Whether this process has the job in its hands."""

    async def restart(self, job: Job, request: Request) -> None:
        """Work on a job that another process had begun."""

    async def tell(self, job: Job) -> None:
        """Let its user's webhooks know how a job has ended."""


async def look_for_orphans(gateway: Taker) -> None:
    """Take up what gateways before this one had left, and those beside it, whenever one dies; and
    what this one could not bring to its end.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(_look_for_jobs(gateway, group))
        # a task of its own: an upstream that is asked for a submitted call may take its time
        group.create_task(_look_for_unended(gateway))


async def _look_for_jobs(gateway: Taker, group: asyncio.TaskGroup) -> None:
    """Each look asks whose jobs are open, not who has died since the last one: a gateway may come
    and go between two looks, and what could not be taken up at one is there at the next.
    """
    store = gateway.store
    while True:
        try:
            owners = await store.jobs.open_owners(store.lease.library)
            if owners - await asyncio.to_thread(store.lease.living):
                # whoever dies meanwhile must not wait for the slowest answer of this one
                group.create_task(_resume_or_say(gateway))
        except (HeliographError, OSError) as error:
            LOG.warning("open jobs could not be looked up: %s", error)
        await asyncio.sleep(ORPHANS)


async def _resume_or_say(gateway: Taker) -> None:
    try:
        await resume(gateway)
    except (HeliographError, OSError) as error:
        LOG.warning("open jobs could not be taken up: %s", error)


async def _look_for_unended(gateway: Taker) -> None:
    """See to it that no call, and no job, stays open because a step of it could not be written
    down when it came.

    A task of its own: an upstream that is asked for a submitted call may take its time.
    """
    while True:
        await asyncio.sleep(UNENDED.total_seconds())
        try:
            await _end_unended(gateway)
            await resume_own(gateway)
        except (HeliographError, OSError) as error:
            LOG.warning("open calls could not be looked up: %s", error)


async def _end_unended(gateway: Taker) -> None:
    """Finish calls of this process that have not changed for so long.

    Those that are being made are among them: the client knows them, and lets them be.
    """
    store = gateway.store
    found = await store.journal.calls(stages=OPEN, library=store.lease.library, limit=MOST_OPEN)
    before = datetime.now(UTC) - UNENDED
    if any(call.owner == store.lease.owner and call.changed <= before for call in found):
        await gateway.client.recover()


async def resume(gateway: Taker) -> None:
    """Take up every open job of this library that no living process works on."""
    store = gateway.store
    found = await store.jobs.open_jobs(store.lease.library)
    # looked up after the jobs: whoever has one of them is here, or is gone for good
    living = await asyncio.to_thread(store.lease.living)
    await _take_up_all([job for job in found if job.owner not in living], gateway)


async def resume_own(gateway: Taker) -> None:
    """Take up open jobs of this process that it does not work on, unchanged for so long.

    One that was begun a moment ago, or is being taken over, is not among them.
    """
    store = gateway.store
    if store.lease.owner not in await store.jobs.open_owners(store.lease.library):
        return
    found = await store.jobs.open_jobs(store.lease.library)
    before = datetime.now(UTC) - UNENDED
    own = [job for job in found if job.owner == store.lease.owner and job.changed <= before]
    await _take_up_all(own, gateway)


async def _take_up_all(jobs: Sequence[Job], gateway: Taker) -> None:
    """Take up jobs side by side: none waits for what another one had submitted."""
    orphans = [job for job in jobs if not gateway.works_on(job.id) and job.id not in gateway.taking]
    if not orphans:
        return
    gateway.taking.update(job.id for job in orphans)
    try:
        # what their calls had brought by then is theirs
        await gateway.client.recover(())
        places = asyncio.Semaphore(SIDE_BY_SIDE)
        async with asyncio.TaskGroup() as group:
            for job in orphans:
                group.create_task(_take_up_one(job, gateway, places))
    finally:
        gateway.taking.difference_update(job.id for job in orphans)


async def _take_up_one(job: Job, gateway: Taker, places: asyncio.Semaphore) -> None:
    try:
        if await _is_asked_for(job, gateway.store):
            await gateway.client.recover(job.pictures)
        async with places:
            if not gateway.works_on(job.id):  # meanwhile
                await _take_up(job, gateway)
    except CallTaken:
        pass  # another process was quicker, or the job has moved on
    except TROUBLE as error:
        LOG.warning("job %s could not be taken up: %s", job.id, error)


async def _is_asked_for(job: Job, store: Store) -> bool:
    """Whether its upstream may still bring a picture."""
    for picture in job.pictures:
        if await store.journal.calls(job=picture, stages=[Stage.SENT], limit=1):
            return True
    return False


async def _take_up(job: Job, gateway: Taker) -> None:
    store, now = gateway.store, datetime.now(UTC)
    mine = adopted(job, store.lease.owner, now)
    await store.jobs.change(job, mine)
    found = [await _come_to(mine, picture, store) for picture in mine.pictures]
    if mine.durable and mine.request is not None and not any(found):
        if mine.state is JobState.RUNNING:
            queued = moved(mine, JobState.QUEUED, now)
            await store.jobs.change(mine, queued)
            mine = queued
        try:
            await gateway.restart(mine, await kept_request(mine.request or {}, store))
        except HeliographError as error:
            if not is_final(error):
                raise  # it is tried again
            found = [error]
        else:
            return
    found = await _held_against(mine, found, gateway)
    records = [each for each in found if isinstance(each, Record)]
    errors = [each or interrupted() for each in found if not isinstance(each, Record)]
    worst = worst_of(errors)
    ended = moved(
        mine,
        JobState.DONE if records else JobState.FAILED,
        now,
        records=tuple(record.id for record in records),
        sources=("call",) * len(records),
        cost=sum(record.cost for record in records)
        + sum(int(error.facts.get("cost_micro") or 0) for error in errors),
        error=worst.as_dict() if worst else None,
        keeps_key=bool(records) or (worst is not None and is_final(worst)),
    )
    await store.jobs.change(mine, ended)
    await gateway.tell(ended)


_CameTo = Record | HeliographError | None


async def _held_against(job: Job, found: list[_CameTo], gateway: Taker) -> list[_CameTo]:
    """What a job came to, with an error for each picture that whoever ordered it had refused."""
    if job.request is None or not any(isinstance(each, Record) for each in found):
        return found
    try:
        request = await kept_request(job.request, gateway.store)
        plan = (await gateway.client.order(request)).plan
    except HeliographError as error:
        LOG.warning("what job %s had ordered cannot be told any more: %s", job.id, error)
        return found
    return [await _delivered(each, plan, gateway) for each in found]


async def _delivered(found: _CameTo, plan: Plan, gateway: Taker) -> _CameTo:
    if not isinstance(found, Record):
        return found
    try:
        await gateway.client.deliver(found, plan, "call")
    except HeliographError as error:
        return error
    return found


async def _come_to(job: Job, picture: str, store: Store) -> _CameTo:
    """What one picture of a job has come to; None when it may be begun."""
    found = await come_to(picture, store)
    if isinstance(found, HeliographError):
        found.facts["job"] = job.id
    return found


async def doubt(job: Job, store: Store) -> HeliographError | None:
    """Why a job that nobody works on was, or may have been, paid for without a picture."""
    for picture in job.pictures:
        found = await doubt_of(picture, store)
        if found is not None:
            found.facts["job"] = job.id
            return found
    return None

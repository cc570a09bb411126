"""Takes up the jobs that a gateway which is gone had left open.

Invariant: a job is taken over only from a process that is provably gone, and by one process only.
What was kept counts; what may have been paid for without a picture is said; only what provably was
not sent is begun again, and only where nobody waited for it on a connection.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Protocol

from heliograph.client import AsyncHeliograph
from heliograph.errors import CallTaken, HeliographError, OutcomeUnknown
from heliograph.jobs import Job, JobState, adopted, moved
from heliograph.journal import UNSENT
from heliograph.library import Store
from heliograph.server.refusals import interrupted
from heliograph.server.requests import kept_request
from heliograph.types import Record, Request

LOG = logging.getLogger("heliograph.server")
ORPHANS = 3.0  # seconds between looks for gateways that are gone
MOST_CALLS = 100  # of one picture


class Taker(Protocol):
    """What a gateway lends for this."""

    @property
    def store(self) -> Store: ...

    @property
    def client(self) -> AsyncHeliograph: ...

    def works_on(self, job_id: str) -> bool:
        """Whether this process has the job in its hands."""

    async def made(self, picture: str) -> Record | None:
        """The record of a picture, when it holds one."""

    async def restart(self, job: Job, request: Request) -> None:
        """Work on a job that another process had begun."""


async def look_for_orphans(gateway: Taker) -> None:
    """Take up what gateways before this one had left, and those beside it, whenever one dies.

    Each look asks whose jobs are open, not who has died since the last one: a gateway may come
    and go between two looks, and what could not be taken up at one is there at the next.
    """
    store = gateway.store
    while True:
        try:
            owners = await store.jobs.open_owners(store.lease.library)
            if owners - await asyncio.to_thread(store.lease.living):
                await resume(gateway)
        except (HeliographError, OSError) as error:
            LOG.warning("open jobs could not be looked up: %s", error)
        await asyncio.sleep(ORPHANS)


async def resume(gateway: Taker) -> None:
    """Take up every open job of this library that no living process works on."""
    store = gateway.store
    found = await store.jobs.open_jobs(store.lease.library)
    # looked up after the jobs: whoever has one of them is here, or is gone for good
    living = await asyncio.to_thread(store.lease.living)
    orphans = [job for job in found if job.owner not in living and not gateway.works_on(job.id)]
    if orphans:
        await gateway.client.recover()  # what their calls had brought by then is theirs
    for job in orphans:
        try:
            await _take_up(job, gateway)
        except CallTaken:
            continue  # another process was quicker, or the job has moved on
        except (HeliographError, OSError) as error:
            LOG.warning("job %s could not be taken up: %s", job.id, error)


async def _take_up(job: Job, gateway: Taker) -> None:
    store, now = gateway.store, datetime.now(UTC)
    mine = adopted(job, store.lease.owner, now)
    await store.jobs.change(job, mine)
    records = [r for picture in job.pictures if (r := await gateway.made(picture))]
    unclear = await doubt(mine, store)
    if mine.durable and mine.request is not None and not records and unclear is None:
        if mine.state is JobState.RUNNING:
            queued = moved(mine, JobState.QUEUED, now)
            await store.jobs.change(mine, queued)
            mine = queued
        await gateway.restart(mine, await kept_request(mine.request or {}, store))
        return
    error = unclear or (None if records else interrupted())
    ended = moved(
        mine,
        JobState.DONE if records else JobState.FAILED,
        now,
        records=tuple(record.id for record in records),
        sources=("call",) * len(records),
        cost=sum(record.cost for record in records),
        error=error.as_dict() if error else None,
        keeps_key=bool(records) or unclear is not None,
    )
    await store.jobs.change(mine, ended)


async def doubt(job: Job, store: Store) -> HeliographError | None:
    """Why a job that nobody works on may have been paid for without a picture."""
    for picture in job.pictures:
        for call in await store.journal.calls(job=picture, limit=MOST_CALLS):
            if call.stage.is_doubtful or (call.stage.is_open and call.stage not in UNSENT):
                return OutcomeUnknown(
                    "The job was stopped while the upstream may have been at work.",
                    remedy="It may have been charged; see `heliograph calls list`.",
                    record_id=picture,
                    facts={"job": job.id},
                )
    return None

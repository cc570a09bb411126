"""Jobs: submit, wait, watch, cancel.

Invariant: a job that was taken on is made whether or not anybody waits for it.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from heliograph.accounts import Scope
from heliograph.errors import RecordNotFound
from heliograph.jobs import Job, JobState
from heliograph.server.caller import Errand
from heliograph.server.headers import usd
from heliograph.server.native import telling
from heliograph.server.native.asking import request_of
from heliograph.server.native.conflicts import decided, with_what_is_kept
from heliograph.server.native.desk import At, Desk, IdempotencyKey, Prefer, needs
from heliograph.server.native.documents import fails
from heliograph.server.native.paging import cursor_after, place_of
from heliograph.server.native.reading import StrictRoute
from heliograph.server.native.shapes import image as shape
from heliograph.server.native.shapes.plain import Cursor, Id, Limit, Looked
from heliograph.server.native.shapes.wanted import JobWanted
from heliograph.server.native.streaming import events_of
from heliograph.types import Record, Request

router = APIRouter(route_class=StrictRoute, tags=["jobs"])
ACCEPTED: dict[int | str, dict[str, Any]] = {
    200: {"model": shape.Job, "description": "It ended within the wait."},
    202: {
        "model": shape.Job,
        "description": "It is taken on.",
        "headers": {"Location": {"description": "The job.", "schema": {"type": "string"}}},
    },
}
EVENT = {
    "type": "object",
    "properties": {
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string"},
    },
    "required": ["event", "data"],
}
REFUSALS = (404, 409, 422, 502, 504, 507)


class JobQuery(Looked):
    """Which jobs."""

    state: list[shape.State] = Field(default=[], description="Only in one of these states.")
    cursor: Cursor | None = None
    limit: Limit = 20


@router.post(
    "/jobs",
    status_code=202,
    response_model=shape.Job,
    dependencies=[needs(Scope.GENERATE)],
    responses={**ACCEPTED, **fails(*REFUSALS)},
)
async def submit_job(
    wanted: JobWanted,
    response: Response,
    desk: At,
    *,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> shape.Job:
    """Make one or several pictures of one request.

    Answers when the money is set aside. What is refused before that is an error here; what goes
    wrong later stands in the job.
    """
    del idempotency_key, prefer  # read with the other headers, as all faces do
    request = await request_of(wanted, desk)
    with with_what_is_kept(decided(wanted)):
        return await take_on(desk, request, response, route="POST /jobs", count=wanted.count)


async def take_on(
    desk: Desk, request: Request, response: Response, *, route: str, count: int = 1
) -> shape.Job:
    """Submit, and wait as long as was asked for."""
    manner, gateway = desk.manner, desk.gateway
    began = datetime.now(UTC)
    errand = Errand(
        caller=desk.caller,
        face="native",
        route=route,
        request=request,
        count=count,
        key=manner.key,
        retries=manner.retries,
        wait=manner.wait,
        durable=True,
    )
    job = await gateway.submit(errand)
    if manner.wait is not None:
        job = await gateway.wait(job.id, manner.wait)
    response.status_code = 202 if job.state.is_open else 200
    response.headers["location"] = f"{telling.PREFIX}/jobs/{job.id}"
    response.headers["x-heliograph-job"] = job.id
    replayed = job.created < began
    if replayed:
        response.headers["idempotency-replayed"] = "true"
    found = await told(desk, job)
    if not job.state.is_open:
        response.headers.update(await _spent(desk, found, 0 if replayed else job.cost))
    return found


async def _spent(desk: Desk, job: shape.Job, cost: int) -> dict[str, str]:
    """What a paid answer says of itself, as on all faces."""
    said = {"x-heliograph-cost-usd": usd(cost)}
    left = await desk.gateway.purse.left(desk.caller)
    if left is not None:
        said["x-heliograph-balance"] = usd(left)
    image = job.results[0].image if job.results else None
    if image is not None and image.pixels is not None:
        said["x-heliograph-pixels"] = f"{image.pixels.width}x{image.pixels.height}"
        said["x-heliograph-verified"] = image.verdict or "unasked"
        said["x-heliograph-simulated"] = "true" if image.simulated else "false"
    return said


@router.get("/jobs", dependencies=[needs(Scope.READ)])
async def list_jobs(query: Annotated[JobQuery, Query()], desk: At) -> shape.Jobs:
    """Your jobs, newest first; an admin's list has everybody's."""
    which = f"jobs {sorted(query.state)}"
    found = await desk.gateway.jobs.jobs(
        user=desk.caller.sees,
        states=[JobState(word) for word in query.state],
        before=place_of(desk.caller, which, query.cursor),
        limit=query.limit + 1,
    )
    page, last = found[: query.limit], found[query.limit - 1 : query.limit]
    more = len(found) > query.limit
    following = cursor_after(desk.caller, which, (last[0].created, last[0].id)) if more else None
    return shape.Jobs(items=[telling.job_brief(each) for each in page], next=following)


@router.get("/jobs/{job_id}", dependencies=[needs(Scope.READ)])
async def get_job(job_id: Id, desk: At) -> shape.Job:
    """One job with its pictures, those that came late included."""
    return await told(desk, await desk.gateway.job(desk.caller, job_id))


@router.post("/jobs/{job_id}/cancel", dependencies=[needs(Scope.GENERATE)], responses=fails(409))
async def cancel_job(job_id: Id, desk: At) -> shape.Job:
    """End a job of which nothing was sent; afterwards it is too late, and it is paid for."""
    job = await desk.gateway.job(desk.caller, job_id)
    return await told(desk, await desk.gateway.cancel(job))


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    dependencies=[needs(Scope.READ)],
    responses={
        200: {
            "description": "Server-sent events: `job` with the job as it is, then `planned`, "
            "`reserved`, `sent`, `received`, `checked`, `kept` …, and at its end `finished` with "
            "the job. Comment lines are signs of life.",
            "content": {"text/event-stream": {"schema": EVENT}},
        }
    },
)
async def watch_job(
    job_id: Id,
    desk: At,
    last_event_id: Annotated[
        str | None,
        Header(alias="Last-Event-ID", max_length=40, description="Go on after this event."),
    ] = None,
) -> StreamingResponse:
    """What happens to a job, as it happens."""
    job = await desk.gateway.job(desk.caller, job_id)
    return StreamingResponse(
        events_of(desk, job, last_event_id, told),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def told(desk: Desk, job: Job) -> shape.Job:
    """A job with the records that belong to it."""
    books = desk.gateway.store.books
    records: dict[str, Record] = {}
    wanted = dict.fromkeys(job.records)
    if not job.state.is_open:
        wanted |= dict.fromkeys(job.pictures)
    for record_id in wanted:
        try:
            records[record_id] = await books.find(record_id)
        except RecordNotFound:
            continue  # a picture that never came has no record
    gone = await books.trashed(list(records))
    return telling.job(desk, job, {i: r for i, r in records.items() if i not in gone})

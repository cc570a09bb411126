"""Jobs that a gateway left open are ended or begun by another, and nothing is paid for twice."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.server.holding import Held, holding
from tests.server.waiting import HANG, until
from tests.server.whole.conftest import House, running

from heliograph.accounts import new_id
from heliograph.errors import HeliographError
from heliograph.jobs import Job, JobState
from heliograph.server import resuming
from heliograph.server.resuming import resume, resume_own
from heliograph.storage import request_to_document
from heliograph.types import Request

DEAD = "0123456789abcdef"  # no process
A_WHILE_AGO = timedelta(hours=1)


@pytest.fixture
async def taking(house: House) -> House:
    """A gateway that looks for jobs only when it is told to."""
    await no_looks(house)
    return house


async def no_looks(house: House) -> None:
    looking = house.gateway._resuming
    assert looking is not None
    looking.cancel()
    await asyncio.wait([looking])


def asking(house: House, prompt: str, **fields: Any) -> Request:
    wanted = Request(prompt=prompt, model="gemini-3-pro-image", size="1K", **fields)
    return Request(**{**vars(wanted), "owner": house.users["anna"].id})


async def left(house: House, request: Request, **changes: Any) -> Job:
    """A job in the row as a gateway left it, with a key."""
    now, lease = datetime.now(UTC) - A_WHILE_AGO, house.gateway.store.lease
    durable = changes.pop("durable", True)
    first = new_id()
    fields: dict[str, Any] = {
        "id": first,
        "user": house.users["anna"].id,
        "access": None,
        "face": "native",
        "route": "POST /jobs",
        "state": JobState.RUNNING,
        "mark": "m",
        "pictures": (first,),
        "prompt": request.prompt,
        "created": now,
        "changed": now,
        "owner": DEAD,
        "library": lease.library,
        "durable": durable,
        "request": request_to_document(request) if durable else None,
        "key": uuid4().hex,
        "key_expires": now + timedelta(days=3),
    }
    job = Job(**{**fields, **changes})
    await house.gateway.jobs.submit(job)
    return job


async def after(house: House, job: Job) -> Job:
    """As it stands now."""
    found = await house.gateway.jobs.job(job.id)
    assert found is not None
    return found


# what a person is told where nothing was killed
FAILURES = [
    ("image:cut", "corrupt_image"),
    ("no-image", "refused"),
    ("prompt-blocked", "refused"),  # free
]


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize(("fault", "code"), FAILURES)
async def test_an_answer_without_a_picture_is_paid_for_once(  # K25
    taking: House, fault: str, code: str, durable: bool
) -> None:
    request = asking(taking, f"A fox [[fault:{fault}]]")
    picture = new_id()
    with pytest.raises(HeliographError):
        await taking.gateway.client.run(request, job=picture)
    job = await left(taking, request, id=picture, pictures=(picture,), durable=durable)
    await resume(taking.gateway)
    found = await after(taking, job)
    (line,) = await taking.bill()
    assert (found.state, found.key) == (JobState.FAILED, job.key)
    assert found.error is not None
    assert found.error["code"] == code
    assert found.error["charged"] == ("yes" if line["billed_micro"] else "no")
    assert found.cost == line["billed_micro"]


async def test_what_some_pictures_of_a_job_came_to_is_told(taking: House) -> None:
    good, bad, unsent = new_id(), new_id(), new_id()
    request = asking(taking, "A fox")
    made = await taking.gateway.client.run(request, job=good)
    with pytest.raises(HeliographError):
        await taking.gateway.client.run(asking(taking, "A fox [[fault:image:cut]]"), job=bad)
    job = await left(taking, request, id=good, pictures=(good, bad, unsent))
    await resume(taking.gateway)
    found = await after(taking, job)
    assert (found.state, found.records, found.key) == (JobState.DONE, (made.record.id,), job.key)
    assert found.error is not None
    assert found.error["code"] == "corrupt_image"
    assert found.cost == sum(line["billed_micro"] for line in await taking.bill())


async def test_a_job_that_cannot_be_begun_again_fails(taking: House) -> None:
    job = await left(taking, asking(taking, "Mia runs", casts=("mia",)), state=JobState.QUEUED)
    await resume(taking.gateway)
    found = await after(taking, job)
    assert (found.state, found.cost) == (JobState.FAILED, 0)
    assert found.error is not None
    assert found.error["charged"] == "no"
    assert not await taking.bill()


async def test_an_own_job_that_nobody_works_on_goes_on(
    taking: House, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end, or its new beginning, could not be written down when it came."""
    owner = taking.gateway.store.lease.owner
    held.hold()
    path = f"{taking.url}/api/v1/jobs"
    wanted = {"prompt": "A lynx", "size": "1K"}
    _, busy, _ = await taking.call("anna", "POST", path, json=wanted)
    await taking.arrived()
    idle = await left(taking, asking(taking, "A fox"), owner=owner, state=JobState.QUEUED)
    new = await left(taking, asking(taking, "A hare"), owner=owner, changed=datetime.now(UTC))
    await resume_own(taking.gateway)
    assert not taking.gateway.works_on(new.id)  # it was written down a moment ago
    assert taking.gateway.works_on(idle.id)
    monkeypatch.setattr(resuming, "UNENDED", timedelta())
    await resume_own(taking.gateway)
    held.release()
    for job_id in (busy["id"], idle.id, new.id):
        assert (await taking.gateway.wait(job_id)).state is JobState.DONE
    assert len(await taking.bill()) == 3  # whatever is worked on is left alone


async def test_webhooks_are_told_of_what_was_taken_up(  # K22
    tmp_path: Path, emulated: str
) -> None:
    hosts: dict[str, Any] = {"server_webhook_hosts": "localhost:9"}  # nobody listens there
    async with running(tmp_path / "home", emulated, uuid4().hex[:10], **hosts) as house:
        await no_looks(house)
        webhooks, anna = house.gateway.webhooks, house.users["anna"].id
        made = (await webhooks.register(anna, "http://localhost:9/hook")).webhook
        job = await left(house, asking(house, "A fox"), durable=False, changed=datetime.now(UTC))
        await resume(house.gateway)
        assert (await after(house, job)).state is JobState.FAILED
        told = await webhooks.deliveries(anna, made.id)
        assert [(each.job, each.type) for each in told] == [(job.id, "job.failed")]


async def test_a_gateway_that_stops_leaves_waiting_jobs_to_the_next(  # K24
    tmp_path: Path, emulated: str
) -> None:
    project, home = uuid4().hex[:10], tmp_path / "home"
    one: dict[str, Any] = {"server_calls_at_once": 1}
    async with holding(emulated) as held:
        async with running(home, emulated, project, way=held.url, **one) as house:

            async def submit(prompt: str, **headers: str) -> tuple[int, Any]:
                path, wanted = f"{house.url}/api/v1/jobs", {"prompt": prompt, "size": "1K"}
                answer = await house.call("anna", "POST", path, json=wanted, headers=headers)
                return answer[0], answer[1]

            held.hold()
            _, under_way = await submit("A fox")
            await house.arrived()
            _, waiting = await submit("A hare")
            asked = asyncio.ensure_future(submit("A lynx", prefer="wait=60"))
            inline = asyncio.ensure_future(house.ask("anna", "An owl"))
            await until(lambda: house.gateway.admission.waiting == 3)
            draining = asyncio.ensure_future(house.gateway.drain(HANG))
            status, waited_for = await asked
            assert (status, waited_for["state"]) == (202, "queued")
            status, body, _ = await inline
            assert (status, body["error"]["code"]) == (503, "busy")
            held.release()
            assert await draining == ()
            states = [(await house.gateway.wait(j["id"])).state for j in (under_way, waiting)]
            assert states == [JobState.DONE, JobState.QUEUED]
        async with running(home, emulated, project, keys=house.keys) as house:
            for job in (waiting, waited_for):
                assert (await house.gateway.wait(job["id"])).state is JobState.DONE
            assert len(await house.bill()) == 3


async def test_the_answer_to_what_a_dead_gateway_had_submitted_is_fetched(
    tmp_path: Path, emulated: str
) -> None:
    async with running(tmp_path, emulated, uuid4().hex, transport="interactions") as house:
        await no_looks(house)
        request, picture = asking(house, "A fox [[fault:slow:2]]"), new_id()
        client = house.gateway.client
        making = asyncio.ensure_future(client.run(request, job=picture))

        async def is_submitted() -> bool:
            return any(call.remote is not None for call in await client.calls())

        await until(is_submitted)
        await client.abandon()
        await asyncio.gather(making, return_exceptions=True)
        job = await left(house, request, id=picture, pictures=(picture,))
        await resume(house.gateway)
        found = await after(house, job)
        assert (found.state, found.records) == (JobState.DONE, (picture,))
        assert len(await house.bill()) == 1

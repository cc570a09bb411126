"""A job is cancelled at the worst moment: its money is given back, or its picture is kept."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from tests.e2e.dying import holder, queueing
from tests.server.holding import Held, holding
from tests.server.waiting import HANG, until
from tests.server.whole.conftest import House, running

from heliograph.accounts import new_id
from heliograph.cache import canonical_key
from heliograph.errors import Charged, NoImage
from heliograph.jobs import Job, JobState
from heliograph.journal import OPEN, CallEntry, Stage, moved, opened
from heliograph.killpoints import armed
from heliograph.ledger import default_scopes, reserve_line
from heliograph.ports import Jobs
from heliograph.server import resuming
from heliograph.server.admission import Admission
from heliograph.server.caller import Caller, Errand
from heliograph.server.faults import Busy
from heliograph.server.refusals import TooLate
from heliograph.server.requests import keep_request
from heliograph.storage import plan_to_document
from heliograph.types import Request


async def ticks() -> None:
    """Long enough for a cancellation to get to the bottom of everything that does not wait."""
    for _ in range(50):
        await asyncio.sleep(0)


def once(point: str, act: Callable[[], Any]) -> Callable[[str], None]:
    """Acts the first time that execution comes to a point."""
    left = [act]

    def at(name: str) -> None:
        if name == point and left:
            left.pop()()

    return at


async def begun(house: House, prompt: str = "A fox") -> str:
    """The id of a job that was taken on."""
    asked = {"prompt": prompt, "size": "1K"}
    status, job, _ = await house.call("anna", "POST", "/api/v1/jobs", json=asked)
    assert status == 202, job
    return str(job["id"])


async def ended(house: House, job_id: str) -> Job:
    job = await house.gateway.wait(job_id, 60)
    assert not job.state.is_open
    return job


async def set_aside(house: House) -> tuple[int, int]:
    """Reserved and held micro-dollars."""
    (total,) = [b for b in await house.gateway.client.balances() if b.scope == "total"]
    return total.reserved, total.held


async def test_a_job_that_is_about_to_be_sent_is_cancelled_for_nothing(
    house: House,
) -> None:
    home = house.gateway.store.home
    with (
        holder(home) as holds,
        queueing(holds) as until_queueing,
        armed(once("before-sent", holds.take)),
    ):
        job_id = await begun(house)
        await until_queueing()  # for the step that says "sent"
        shown = await house.gateway.wait(job_id, 0)
        cancelling = []
        for _ in range(4):  # whoever asks again must not stop what writes the end down
            cancelling.append(asyncio.ensure_future(house.gateway.cancel(shown)))
            await ticks()
        holds.let_go()
        answers = await asyncio.gather(*cancelling)
    assert {answer.state for answer in answers} == {JobState.CANCELLED}
    job = await ended(house, job_id)
    assert (job.state, job.error, job.cost) == (JobState.CANCELLED, None, 0)
    (call,) = await house.gateway.client.calls()
    assert [step.stage for step in call.trail][-2:] == [Stage.SENT, Stage.RELEASED]
    assert await set_aside(house) == (0, 0)
    assert await house.bill() == []


async def test_a_job_that_leaves_while_it_is_cancelled_is_too_late(house: House) -> None:
    at_point: list[str] = []

    def cancel() -> None:
        # the last byte leaves before the cancellation gets to whoever would hold it back
        (run,) = house.gateway._runs.values()
        at_point.append(run.job.id)
        run.cancel()

    with armed(once("sent", cancel)):
        job_id = await begun(house)
        job = await ended(house, job_id)
    assert at_point == [job_id]
    assert job.state is JobState.DONE
    assert job.cost == sum(line["billed_micro"] for line in await house.bill()) > 0
    assert await set_aside(house) == (0, 0)
    with pytest.raises(TooLate):
        await house.gateway.cancel(job)


class Slow:
    """The jobs of a gateway on a slow disk: the step to a state waits for `disk`.

    It is written all the same when nobody waits for it any more, as by the writer's thread.
    """

    def __init__(self, jobs: Jobs, state: JobState) -> None:
        self._jobs = jobs
        self._state = state
        self.came = asyncio.Event()
        self.disk = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    async def change(self, before: Job, after: Job) -> None:
        async def write() -> None:
            if after.state is self._state:
                self.came.set()
                await self.disk.wait()
            await self._jobs.change(before, after)

        await asyncio.shield(asyncio.ensure_future(write()))


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.CANCELLED])
async def test_a_job_is_cancelled_while_a_step_of_its_own_is_written(
    house: House, held: Held, state: JobState
) -> None:
    house.gateway.admission = Admission(1, 10, 10)
    held.hold()
    first = await begun(house, "A hare")
    await house.arrived()
    second = await begun(house)
    slow = Slow(house.gateway.jobs, state)
    house.gateway.jobs = cast("Jobs", slow)
    shown = await house.gateway.wait(second, 0)
    assert shown.state is JobState.QUEUED
    cancelling = []
    if state is JobState.CANCELLED:
        cancelling.append(asyncio.ensure_future(house.gateway.cancel(shown)))
    else:
        held.release()  # now there is a place for it
    async with asyncio.timeout(HANG):
        await slow.came.wait()
    cancelling.append(asyncio.ensure_future(house.gateway.cancel(shown)))
    await ticks()
    slow.disk.set()
    held.release()
    for answer in await asyncio.gather(*cancelling):
        assert answer.state is JobState.CANCELLED
    assert (await ended(house, second)).state is JobState.CANCELLED
    assert (await ended(house, first)).state is JobState.DONE
    assert len(await house.bill()) == 1
    assert await set_aside(house) == (0, 0)


# ---------------------------------------------------------------- what was left open


async def left_open(house: House, *way: Stage, owner: str) -> CallEntry:
    """A call that a task had brought so far before it was gone."""
    client, store = house.gateway.client, house.gateway.store
    plan = await client.plan("A fox", size="1K")
    call = opened(
        CallEntry(
            id=f"{(job := new_id())}-1",
            job=job,
            stage=Stage.RESERVED,
            owner=owner,
            library=store.lease.library,
            model=plan.model,
            upstream=urlsplit(house.upstream).netloc,
            project="default",
            simulated=True,
            transport="generate_content",
            reserved=plan.estimate.high,
            scopes=default_scopes(datetime.now(UTC)),
            twin=canonical_key(plan),
            plan=plan_to_document(plan),
            begun=datetime.now(UTC),
            changed=datetime.now(UTC),
        )
    )
    await store.journal.open(call, reserve_line(call, plan, call.begun))
    for stage in way:
        before, call = call, moved(call, stage, datetime.now(UTC))
        await store.journal.change(before, call)
    return call


def left_job(house: House, picture: str, **facts: Any) -> Job:
    """A job of a gateway that is gone."""
    now = datetime.now(UTC)
    job = Job(
        id=picture,
        user=house.users["anna"].id,
        access=None,
        face="openai",
        route="POST /images/generations",
        state=JobState.RUNNING,
        mark="m",
        pictures=(picture,),
        prompt="A fox",
        created=now,
        changed=now,
        owner="0123456789abcdef",
        library=house.gateway.store.lease.library,
    )
    return replace(job, **facts)


async def test_no_call_of_a_running_gateway_stays_open_when_nobody_makes_it(
    tmp_path: Path, emulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "UNENDED", timedelta(seconds=0.05))
    project = uuid4().hex[:10]
    async with (
        holding(emulated) as held,
        running(tmp_path / "home", emulated, project, way=held.url) as house,
    ):
        held.hold()
        living = await begun(house, "A hare")
        await house.arrived()
        mine = house.gateway.store.lease.owner
        sent = await left_open(house, Stage.INTENT, Stage.SENT, owner=mine)
        unsent = await left_open(house, Stage.INTENT, owner=mine)

        async def is_ended() -> bool:
            open_ones = await house.gateway.client.calls(stages=OPEN)
            return {call.job for call in open_ones} == {living}

        await until(is_ended)
        found = {call.id: call.stage for call in await house.gateway.client.calls()}
        assert (found[sent.id], found[unsent.id]) == (Stage.UNKNOWN, Stage.RELEASED)
        held.release()  # the one that is being made was let be
        assert (await ended(house, living)).state is JobState.DONE
        assert len(await house.bill()) == 1
        assert await set_aside(house) == (0, sent.reserved)


async def test_a_job_that_was_sent_by_a_gateway_that_is_gone_may_have_been_charged(
    house: House,
) -> None:
    gone = "0123456789abcdef"
    call = await left_open(house, Stage.INTENT, Stage.SENT, owner=gone)
    await house.gateway.jobs.submit(left_job(house, call.job))
    job = await ended(house, call.job)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert (job.error["code"], job.error["charged"]) == ("outcome_unknown", "unknown")
    assert job.error["facts"]["may_have_cost_micro"] == call.reserved


async def test_a_job_that_was_paid_for_without_a_picture_is_not_begun_again(
    house: House,
) -> None:
    client, picture = house.gateway.client, new_id()
    request = client.request("A fox [[fault:no-image]]", size="1K")
    with pytest.raises(NoImage) as caught:
        await client.run(request, job=picture)
    assert caught.value.charged is Charged.YES
    document = await keep_request(request, house.gateway.store)
    await house.gateway.jobs.submit(left_job(house, picture, durable=True, request=document))
    job = await ended(house, picture)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["charged"] == "yes"
    assert job.cost == sum(line["billed_micro"] for line in await house.bill()) > 0
    assert len(await house.bill()) == 1


@pytest.mark.parametrize("ticks", range(4))
async def test_a_job_that_has_only_just_begun_is_cancelled_with_its_place(
    house: House, ticks: int
) -> None:
    gateway, user = house.gateway, house.users["anna"]
    (key,) = await gateway.accounts.keys(user.id)
    errand = Errand(
        caller=Caller(user=user, key=key, address="here", request_id="r"),
        face="native",
        route="POST /jobs",
        request=Request(prompt="A fox", size="1K", model="gemini-3-pro-image"),
        durable=True,
    )
    asking = asyncio.ensure_future(gateway.submit(errand))
    while not gateway._runs:  # noqa: ASYNC110 - the very turn of the loop matters
        await asyncio.sleep(0)
    for _ in range(ticks):
        await asyncio.sleep(0)
    (run,) = gateway._runs.values()
    cancelled = await gateway.cancel(run.job)
    assert cancelled.state is JobState.CANCELLED
    with contextlib.suppress(Busy):  # its submission may be told so
        await asking
    await until(lambda: not gateway._runs)
    assert gateway.admission.under_way == 0
    assert [b for b in await gateway.client.balances() if b.reserved or b.held] == []
    assert await house.bill() == []

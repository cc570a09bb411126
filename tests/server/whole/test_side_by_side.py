"""Jobs that are taken up keep to what was ordered, and do not wait for one another."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.server.waiting import until
from tests.server.whole.conftest import House, running
from tests.server.whole.test_taking_up import after, asking, left, taking

from heliograph.accounts import new_id
from heliograph.errors import HeliographError
from heliograph.jobs import JobState
from heliograph.server.resuming import resume

__all__ = ["taking"]
SLOW = 12  # seconds that an upstream takes; well above what taking up another job does


async def test_a_strict_job_that_came_smaller_fails_as_it_would_have(taking: House) -> None:
    request = replace(asking(taking, "A fox [[fault:image:1K]]", strict=True), size="2K")
    picture = new_id()
    with pytest.raises(HeliographError):
        await taking.gateway.client.run(request, job=picture)
    job = await left(taking, request, id=picture, pictures=(picture,))
    await resume(taking.gateway)
    found = await after(taking, job)
    (line,) = await taking.bill()
    assert (found.state, found.cost) == (JobState.FAILED, line["billed_micro"])
    assert found.error is not None
    assert (found.error["code"], found.error["charged"]) == ("size_mismatch", "yes")


async def test_no_job_waits_for_what_another_one_had_submitted(
    tmp_path: Path, emulated: str
) -> None:
    project, home = uuid4().hex[:10], tmp_path / "home"
    options: dict[str, Any] = {
        "transport": "interactions",
        "server_drain": 0.2,
        "server_calls_at_once": 1,
    }

    async def submit(house: House, prompt: str) -> str:
        wanted = {"prompt": prompt, "size": "1K"}
        status, job, _ = await house.call("anna", "POST", "/api/v1/jobs", json=wanted)
        assert status == 202, job
        return str(job["id"])

    async def ended(house: House, job_id: str) -> bool:
        found = await house.gateway.jobs.job(job_id)
        return found is not None and not found.state.is_open

    async with running(home, emulated, project, **options) as house:
        slow = await submit(house, f"A fox [[fault:slow:{SLOW}]]")

        async def submitted() -> bool:
            calls = await house.gateway.store.journal.calls(job=slow, limit=5)
            return any(call.remote for call in calls)

        await until(submitted)
        queued = await submit(house, "A hare")
        keys = house.keys
    async with running(home, emulated, project, keys=keys, **options) as house:
        await until(lambda: ended(house, queued))
        assert not await ended(house, slow)
        await until(lambda: ended(house, slow))
        job = await house.gateway.jobs.job(slow)
        assert job is not None
        assert job.state is JobState.DONE
        assert len(await house.bill()) == 2

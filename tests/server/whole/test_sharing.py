"""Calls at once, of a user and of each key: nobody's limit holds up another one."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.server.holding import Held, holding
from tests.server.waiting import until
from tests.server.whole.conftest import House, running
from tests.server.whole.test_taking_up import asking, left, no_looks

from heliograph.accounts import Limits
from heliograph.jobs import JobState
from heliograph.server.resuming import resume


async def begun(house: House, key: str, prompt: str) -> str:
    """The state of a new job, as its submission is answered."""
    status, job, _ = await house.call(
        "anna",
        "POST",
        "/api/v1/jobs",
        json={"prompt": prompt, "size": "1K"},
        headers={"authorization": f"Bearer {key}"},
    )
    assert status == 202, job
    return str(job["state"])


async def new_key(house: House, limits: dict[str, int]) -> str:
    wanted = {"name": "narrow", "limits": limits}
    status, made, _ = await house.call("anna", "POST", "/api/v1/keys", json=wanted)
    assert status == 201, made
    return str(made["text"])


async def test_a_key_with_all_it_may_have_holds_up_no_other_key(house: House, held: Held) -> None:
    narrow = await new_key(house, {"at_once": 1})
    held.hold()
    assert await begun(house, house.keys["anna"], "A fox") == "running"
    assert await begun(house, narrow, "A hare") == "running", "others' calls are not its own"
    assert await begun(house, narrow, "A lynx") == "queued"
    assert await begun(house, house.keys["anna"], "An owl") == "running"
    await house.arrived(3)
    held.release()
    for job in await house.gateway.jobs.open_jobs(house.gateway.store.lease.library):
        assert (await house.gateway.wait(job.id)).state is JobState.DONE
    assert len(await house.bill()) == 4


async def test_a_key_has_no_more_than_its_user_has_by_default(
    tmp_path: Path, emulated: str
) -> None:
    one: dict[str, Any] = {"server_user_at_once": 1}
    async with holding(emulated) as held:
        found = running(tmp_path / "home", emulated, uuid4().hex[:10], way=held.url, **one)
        async with found as house:
            wide = await new_key(house, {"at_once": 50})
            held.hold()
            assert await begun(house, wide, "A fox") == "running"
            assert await begun(house, wide, "A hare") == "queued"
            held.release()


async def test_jobs_that_are_taken_up_keep_to_their_users_limit(house: House, held: Held) -> None:
    await no_looks(house)
    anna = house.users["anna"]
    after = replace(anna, limits=Limits(at_once=1), version=anna.version + 1)
    await house.gateway.accounts.change_user(anna, after)
    jobs = [await left(house, asking(house, f"A fox {n}"), state=JobState.QUEUED) for n in range(3)]
    held.hold()
    await resume(house.gateway)
    await house.arrived(1)
    admission = house.gateway.admission
    await until(lambda: admission.waiting == 2)
    assert admission.under_way == 1
    held.release()
    for job in jobs:
        assert (await house.gateway.wait(job.id)).state is JobState.DONE

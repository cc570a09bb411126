"""Pictures that come after their callers were told that they are late."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.server.holding import holding
from tests.server.waiting import HANG, until
from tests.server.whole.conftest import running


@pytest.mark.parametrize("strict", [False, True])
async def test_a_late_picture_ends_its_job_with_its_cost(
    tmp_path: Path, emulated: str, *, strict: bool
) -> None:
    project = f"late-{strict}"
    deadlines: dict[str, Any] = {"answer_timeout": 1.0, "late_timeout": HANG}
    async with (
        holding(emulated) as held,
        running(tmp_path / "home", emulated, project, way=held.url, **deadlines) as house,
    ):
        headers = {"Idempotency-Key": "order-1"}
        prompt, asked = "A hare [[fault:silent-1k]]", {"size": "4K"}
        ours = {"heliograph": {"strict": strict}}
        held.hold()
        status, told, _ = await house.ask("anna", prompt, headers, **asked, **ours)
        assert (status, told["error"]["code"]) == (504, "outcome_unknown")
        job_id = told["error"]["heliograph"]["job"]
        held.release()
        await until(lambda: not house.gateway.works_on(job_id))
        job = await house.gateway.jobs.job(job_id)
        assert job is not None
        (line,) = await house.bill()
        assert job.cost == line["billed_micro"] > 0
        async with asyncio.timeout(HANG):
            status, body, again = await house.ask("anna", prompt, headers, **asked, **ours)
        assert again["idempotency-replayed"] == "true"
        if strict:
            assert (status, body["error"]["code"]) == (502, "size_mismatch")
            assert job.error is not None
            assert job.error["charged"] == "yes"
        else:
            assert status == 200
            assert job.sources == ("call",)
        assert len(await house.bill()) == 1


async def test_a_wait_for_a_late_picture_has_an_end(tmp_path: Path, emulated: str) -> None:
    deadlines: dict[str, Any] = {"answer_timeout": 1.0, "late_timeout": HANG}
    async with (
        holding(emulated) as held,
        running(tmp_path / "home", emulated, "late-wait", way=held.url, **deadlines) as house,
    ):
        headers = {"Idempotency-Key": "order-1"}
        held.hold()
        status, _, _ = await house.ask("anna", "A hare", headers)
        assert status == 504
        asking = house.ask("anna", "A hare", {**headers, "Prefer": "wait=1"})
        async with asyncio.timeout(HANG / 2):
            status, body, answer = await asking
        assert (status, body["error"]["code"]) == (409, "idempotency_key_in_use")
        assert int(answer["retry-after"]) >= 1
        held.release()
        status, _, answer = await house.ask("anna", "A hare", {**headers, "Prefer": "wait=60"})
        assert (status, answer["idempotency-replayed"]) == (200, "true")
        assert len(await house.bill()) == 1


async def test_who_shares_a_late_picture_gets_it_too(tmp_path: Path, emulated: str) -> None:
    deadlines: dict[str, Any] = {"answer_timeout": 1.0, "late_timeout": HANG}
    async with (
        holding(emulated) as held,
        running(tmp_path / "home", emulated, "late-shared", way=held.url, **deadlines) as house,
    ):
        held.hold()
        seed: dict[str, Any] = {"heliograph": {"seed": 7}}
        one = asyncio.ensure_future(house.ask("anna", "A hare", **seed))
        await house.arrived()
        both = await asyncio.gather(one, house.ask("anna", "A hare", **seed))
        assert {status for status, _, _ in both} == {504}
        ids = [body["error"]["heliograph"]["job"] for _, body, _ in both]
        assert len(set(ids)) == 2
        held.release()
        jobs = [await house.gateway.wait(job_id, HANG) for job_id in ids]
        assert [job.sources for job in jobs] == [("call",), ("joined",)]
        (line,) = await house.bill()
        assert [job.cost for job in jobs] == [line["billed_micro"], 0]

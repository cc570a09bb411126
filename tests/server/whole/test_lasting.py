"""What is paid for is kept, when clients hang up, answers are late, gateways stop or are killed."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
from tests.server.holding import Held, holding
from tests.server.waiting import HANG, until
from tests.server.whole.conftest import House, running

from heliograph.accounts import new_id
from heliograph.jobs import Job, JobState
from heliograph.server.faults import Busy


async def test_a_client_that_hangs_up_finds_its_picture_later(  # F16
    house: House, held: Held
) -> None:
    parts = urlsplit(house.url)

    async def begin(number: int) -> asyncio.StreamWriter:
        body = json.dumps({"model": "gemini-3-pro-image", "prompt": f"A fox {number}"})
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        head = (
            "POST /openai/v1/images/generations HTTP/1.1\r\n"
            f"host: {parts.netloc}\r\nauthorization: Bearer {house.keys['anna']}\r\n"
            f"idempotency-key: left-{number}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        writer.write((head + body).encode())
        await writer.drain()
        return writer

    held.hold()
    writers = await asyncio.gather(*(begin(number) for number in range(20)))
    admission = house.gateway.admission
    await until(lambda: admission.under_way + admission.waiting == 20)
    await house.arrived()
    for writer in writers:
        writer.transport.abort()
    held.release()
    found = await asyncio.gather(
        *(
            house.http.post(
                f"{house.url}/openai/v1/images/generations",
                data=json.dumps({"model": "gemini-3-pro-image", "prompt": f"A fox {n}"}),
                headers={
                    "authorization": f"Bearer {house.keys['anna']}",
                    "idempotency-key": f"left-{n}",
                    "content-type": "application/json",
                    "prefer": "wait=60",
                },
            )
            for n in range(20)
        )
    )
    assert Counter(answer.status for answer in found) == {200: 20}
    for answer in found:
        answer.release()
    assert len(await house.bill()) == 20


async def test_a_late_answer_is_an_error_first_and_a_picture_then(  # F15
    tmp_path: Path, emulated: str
) -> None:
    settings: dict[str, Any] = {"answer_timeout": 0.4, "late_timeout": HANG}
    project, home = uuid4().hex[:10], tmp_path / "home"
    async with (
        holding(emulated) as held,
        running(home, emulated, project, way=held.url, **settings) as house,
    ):
        headers = {"Idempotency-Key": "late"}
        prompt = "A fox"
        held.hold()
        status, body, answer = await house.ask("anna", prompt, headers)
        assert (status, body["error"]["code"]) == (504, "outcome_unknown")
        assert answer["x-should-retry"] == "false"
        job = body["error"]["heliograph"]["job"]
        held.release()
        later = await house.ask("anna", prompt, {**headers, "Prefer": "wait=60"})
        assert later[0] == 200
        assert later[2]["x-heliograph-job"] == job
        _, shown, _ = await house.call("anna", "GET", f"/api/v1/jobs/{job}")
        assert shown["state"] == "done"
        assert len(await house.bill()) == 1
        assert await house.ours() == sum(line["billed_micro"] for line in await house.bill())


async def test_a_gateway_that_stops_finishes_what_it_began(  # K24
    house: House, held: Held
) -> None:
    held.hold()
    asked = asyncio.ensure_future(house.ask("anna", "A fox"))
    await house.arrived()
    draining = asyncio.ensure_future(house.gateway.drain(HANG))
    await asyncio.sleep(0)
    async with house.http.get(f"{house.url}/readyz") as answer:
        assert answer.status == 503
    status, body, headers = await house.ask("ben", "A hare")
    assert (status, body["error"]["code"]) == (503, Busy.code)
    assert int(headers["retry-after"]) >= 1
    assert not draining.done()
    held.release()
    assert (await asked)[0] == 200
    assert await draining == ()
    assert len(await house.bill()) == 1


async def test_what_a_gateway_left_that_nobody_saw_come_is_taken_up(house: House) -> None:  # K25
    """It came, took a job and died, all between two looks of the one that lives."""
    await house.ask("anna", "A fox")  # the first look is over
    now, lease = datetime.now(UTC), house.gateway.store.lease
    left = Job(
        id=new_id(),
        user=house.users["anna"].id,
        access=None,
        face="openai",
        route="POST /images/generations",
        state=JobState.RUNNING,
        mark="m",
        pictures=(new_id(),),
        prompt="A hare",
        created=now,
        changed=now,
        owner="0123456789abcdef",
        library=lease.library,
    )
    await house.gateway.jobs.submit(left)

    async def ended() -> bool:
        found = await house.gateway.jobs.job(left.id)
        return found is not None and not found.state.is_open

    await until(ended)
    found = await house.gateway.jobs.job(left.id)
    assert found is not None
    assert (found.state, found.owner) == (JobState.FAILED, lease.owner)


@asynccontextmanager
async def serving(home: Path, upstream: str, project: str) -> AsyncIterator[dict[str, Any]]:
    """`heliograph serve` as a process; it is killed at the end."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("HELIOGRAPH", "GEMINI"))},
        "HELIOGRAPH_BASE_URL": upstream,
        "GEMINI_API_KEY": f"emu-project-{project}",
        "HELIOGRAPH_WORKERS": "1",
    }
    words = ("-m", "heliograph", "serve", "--port", "0", "--json", "--home", str(home))
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    assert child.stdout is not None
    try:
        yield {**json.loads(await child.stdout.readline()), "child": child}
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL)
        await child.wait()


async def test_a_gateway_that_is_killed_goes_on_where_it_was(tmp_path: Path, emulated: str) -> None:
    project, home, count = uuid4().hex[:10], tmp_path / "home", 40
    jobs: list[str] = []
    async with aiohttp.ClientSession() as http:
        async with serving(home, emulated, project) as gateway:
            headers = {"authorization": f"Bearer {gateway['admin_key']}"}
            for number in range(count):
                # many of them are with the upstream when the gateway dies
                asked = {"prompt": f"A fox {number} [[fault:slow:1.0]]", "size": "1K"}
                address = f"{gateway['native']}/jobs"
                async with http.post(address, json=asked, headers=headers) as answer:
                    assert answer.status == 202, await answer.text()
                    jobs.append((await answer.json())["id"])
        async with serving(home, emulated, project) as gateway:
            async with http.get(f"{gateway['url']}/readyz") as answer:
                assert answer.status == 200, "it is ready before what it found is finished"
            states: Counter[str] = Counter()
            for job in jobs:
                while True:
                    async with http.get(f"{gateway['native']}/jobs/{job}", headers=headers) as got:
                        shown = await got.json()
                    if shown["state"] not in ("queued", "running"):
                        break
                    await asyncio.sleep(0.05)
                states[shown["state"]] += 1
                if shown["state"] == "failed":
                    assert shown["error"]["code"] == "outcome_unknown", shown
    assert states["done"] + states["failed"] == count
    # afterwards, with nobody in the library: both ledgers
    async with running(home, emulated, project, keys={}) as house:
        lines = await house.bill()
        billed = sum(line["billed_micro"] for line in lines)
        held = sum(balance.held for balance in await house.gateway.client.balances())
        settled = await house.ours()
        in_doubt = [line for line in lines if line["billed_micro"]]
        assert settled <= billed <= settled + held
        assert len(in_doubt) <= count  # nothing was paid twice

"""Calls that were submitted and not fetched: never written off in error, nobody waits for them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from tests.e2e.raw import picture
from tests.providers.bodies import USAGE, image, interaction, output

from heliograph import AsyncHeliograph, recovery
from heliograph.errors import CredentialRejected
from heliograph.journal import Stage
from heliograph.ports import Event, Observer
from heliograph.providers import interactions
from heliograph.providers.interactions import Polling

GOOD, BAD = "g" * 39, "b" * 39
BAD_KEY = {
    "error": {
        "code": 400,
        "status": "INVALID_ARGUMENT",
        "message": "API key not valid.",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        ],
    }
}


class Upstream:
    """Takes submissions; answers a prompt with "now" at once, the others when they are done."""

    def __init__(self) -> None:
        self.url = ""
        self.posts = 0
        self.asked = asyncio.Event()  # for the answer of a submission
        self.done = asyncio.Event()  # the answers are there
        self.is_silent = False  # it says nothing of what is not done
        self.proxy: tuple[int, Any] | None = None  # what comes instead of any asked-for answer

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            verb, path, _ = lines[0].split(" ")
            status, said = await self._answer(verb, path, fields.get("x-goog-api-key"), body)
            raw = said if isinstance(said, bytes) else json.dumps(said).encode()
            writer.write(
                f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n"
                f"content-length: {len(raw)}\r\n\r\n".encode()
                + raw
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, verb: str, path: str, key: str | None, body: bytes) -> tuple[int, Any]:
        if path.startswith("/_emulator"):
            return 404, {}
        if key != GOOD:
            return 400, BAD_KEY
        if verb == "POST":
            self.posts += 1
            if b"now" in body:
                self.done.set()
            return 200, self._told(f"v1_{self.posts}")
        self.asked.set()
        if self.proxy is not None:
            return self.proxy
        if self.is_silent:
            await self.done.wait()
        return 200, self._told(path.rpartition("/")[2])

    def _told(self, name: str) -> dict[str, Any]:
        if not self.done.is_set():
            return {**interaction(status="in_progress"), "id": name}
        return {**interaction(output(image(picture())), usage=USAGE), "id": name}

    def client(
        self, key: str = GOOD, observer: Observer | None = None, **settings: Any
    ) -> AsyncHeliograph:
        settings = {"transport": "interactions", **settings}
        return AsyncHeliograph(api_key=key, base_url=self.url, observer=observer, settings=settings)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with _listening() as found:
        yield found


@asynccontextmanager
async def _listening() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    listening = await asyncio.start_server(upstream.handle, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        upstream.done.set()
        listening.close()
        await listening.wait_closed()


async def leave_pending(upstream: Upstream) -> None:
    """Submit a call, and go away before its answer is there."""
    helio = upstream.client()
    task = asyncio.ensure_future(helio.generate("later", size="1K"))
    await upstream.asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await helio.close(abandon=True)
    upstream.asked.clear()


async def stage_of(helio: AsyncHeliograph) -> Stage:
    """How far the first call came."""
    return (await helio.calls())[-1].stage


@pytest.mark.parametrize("trouble", ["wrong key", "proxy"])
async def test_a_wrong_key_or_a_proxy_writes_nothing_off(
    trouble: str, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_pending(upstream)
    # the first denial that counts would be the last
    monkeypatch.setattr(interactions, "Polling", partial(Polling, lag=0.0))
    if trouble == "proxy":
        upstream.proxy = (404, b"<html>")
        async with upstream.client() as helio:
            await helio.access()
        assert upstream.asked.is_set()
    else:
        async with upstream.client(BAD) as helio:
            with pytest.raises(CredentialRejected):
                await helio.generate("now", size="1K")
    upstream.proxy = None
    upstream.done.set()
    async with asyncio.timeout(60), upstream.client() as helio:
        assert await stage_of(helio) is Stage.SENT
        await helio.access()
        await helio.recover()
        assert await stage_of(helio) is Stage.SETTLED
        (record,) = await helio.images()
    assert record.result is not None
    assert upstream.posts == 1


@pytest.mark.parametrize("is_silent", [False, True])
async def test_nobody_waits_for_the_pending_call_of_somebody_else(
    is_silent: bool, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "FIRST_WORD", 0.05)
    await leave_pending(upstream)
    upstream.is_silent = is_silent
    # what is pending ends only once the new call was sent
    async with asyncio.timeout(60), upstream.client() as helio:
        made = await helio.generate("now", size="1K")
        assert made.source == "call"
        await helio.recover()
        assert await stage_of(helio) is Stage.SETTLED
        assert len(await helio.images()) == 2
        assert await helio.audit() == ()
    assert upstream.posts == 2


async def test_what_has_ended_meanwhile_is_there_when_the_library_is_open(
    upstream: Upstream,
) -> None:
    await leave_pending(upstream)
    upstream.done.set()
    async with upstream.client() as helio:
        await helio.access()
        assert await stage_of(helio) is Stage.SETTLED


async def test_closing_leaves_what_is_pending_to_the_next(upstream: Upstream) -> None:
    await leave_pending(upstream)
    async with asyncio.timeout(60), upstream.client() as helio:
        await helio.access()
    assert upstream.asked.is_set()
    async with asyncio.timeout(60), upstream.client() as helio:
        assert await stage_of(helio) is Stage.SENT
        upstream.done.set()
        await helio.access()
        await helio.recover()
        assert await stage_of(helio) is Stage.SETTLED
    assert upstream.posts == 1


@pytest.mark.parametrize(
    ("keeps", "stage"),
    [(timedelta(days=60), Stage.SENT), (timedelta(0), Stage.UNKNOWN)],
)
async def test_what_no_upstream_keeps_any_more_is_unknown(
    keeps: timedelta, stage: Stage, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_pending(upstream)
    monkeypatch.setattr(recovery, "UPSTREAM_KEEPS", keeps)
    upstream.proxy = (404, b"<html>")
    events: list[Event] = []
    limits: dict[str, Any] = {"call_timeout": 1.0, "late_timeout": 0.0}
    async with asyncio.timeout(60), upstream.client(observer=events.append, **limits) as helio:
        await helio.access()
        await helio.recover()
        assert await stage_of(helio) is stage
    assert [event.name for event in events].count("recovered") == (stage is Stage.UNKNOWN)


async def test_only_the_jobs_that_are_named_are_waited_for(upstream: Upstream) -> None:
    await leave_pending(upstream)
    async with asyncio.timeout(60), upstream.client() as helio:
        await helio.access()
        (call,) = await helio.calls()
        assert await helio.recover(["0" * 32]) == ()
        waiting = asyncio.ensure_future(helio.recover([call.job]))
        upstream.asked.clear()
        await upstream.asked.wait()  # it is asked for again and again meanwhile
        assert not waiting.done()
        upstream.done.set()
        (found,) = await waiting
    assert (found.call_id, found.stage) == (call.id, Stage.SETTLED)
    assert upstream.posts == 1

"""What lies on the disk when a call is given up, or its process is gone, is nobody's doubt."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.dying import die_at
from tests.e2e.raw import Said, answer, part, picture, saying
from tests.e2e.test_pending import GOOD, Upstream, leave_pending, stage_of, upstream
from tests.providers.bodies import USAGE, image, interaction, output
from tests.server.waiting import until

from heliograph import AsyncHeliograph, recovery
from heliograph.errors import OutcomeUnknown
from heliograph.journal import Stage
from heliograph.ports import Event
from heliograph.types import Outcome, Request

__all__ = ["upstream"]
JOB = "ab" * 16
INTERACTIONS = {"transport": "interactions"}
LINGERS = 60.0  # seconds; whoever waits for the end of an answer finds it open


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "library"


def all_but(said: Said, missing: int) -> Said:
    """The same without its last bytes, on a connection that stays open."""
    return Said(said.body[:-missing], missing=missing, lingers=LINGERS)


async def give_up(
    said: Said, home: Path, *, transport: str = "generate_content"
) -> tuple[list[Event], str]:
    """Give a call up once everything that comes of its answer is here; the upstream's address."""
    events: list[Event] = []
    async with saying(said) as server:
        helio = AsyncHeliograph(
            base_url=server.url, observer=events.append, settings={"transport": transport}
        )
        task = asyncio.ensure_future(helio.generate("A fox", size="1K"))

        def is_here() -> bool:
            found = (home / "spool").glob("*/attempt-*/body.raw")
            return any(path.stat().st_size == len(said.body) for path in found)

        await until(is_here)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await helio.close(abandon=True)
        assert server.requests == 1
    return events, server.url


async def test_a_picture_that_is_here_when_it_is_given_up_is_kept(home: Path) -> None:
    whole = Said(answer(part(picture()), finishReason="STOP"))
    events, url = await give_up(all_but(whole, 3), home)
    async with AsyncHeliograph(base_url=url) as again:
        (record,) = await again.images()
        (call,) = await again.calls()
        assert await again.audit() == ()
    assert (call.stage, record.outcome) == (Stage.SETTLED, Outcome.KEPT)
    assert "given up" not in [event.name for event in events]
    (told,) = [event for event in events if event.name == "recovered"]
    assert told.facts["stage"] == Stage.SETTLED.value


async def test_an_answer_without_a_picture_yet_is_given_up_as_unknown(home: Path) -> None:
    whole = Said(answer(part(picture()), finishReason="STOP"))
    events, url = await give_up(all_but(whole, 2000), home)
    async with AsyncHeliograph(base_url=url) as again:
        assert await stage_of(again) is Stage.UNKNOWN
    assert [event.name for event in events].count("given up") == 1


async def test_an_id_that_is_here_when_it_is_given_up_can_be_asked_for(home: Path) -> None:
    said = Said({**interaction(output(image(picture())), usage=USAGE), "id": "v1_77"})
    events, url = await give_up(all_but(said, 2000), home, transport="interactions")
    async with AsyncHeliograph(base_url="http://127.0.0.1:9") as again:
        (call,) = await again.calls()
    assert (call.stage, call.remote) == (Stage.SENT, "v1_77")
    assert "given up" not in [event.name for event in events]
    assert url


async def test_a_submitted_answer_that_is_here_is_not_asked_for(upstream: Upstream) -> None:
    client: dict[str, Any] = {"api_key": GOOD, "base_url": upstream.url, "settings": INTERACTIONS}
    await die_at("spooled", "now", client=client, options={"size": "1K"})
    async with upstream.client() as helio:
        assert await stage_of(helio) is Stage.SETTLED  # without any upstream
    assert not upstream.asked.is_set()
    assert upstream.posts == 1


async def test_one_call_that_cannot_be_read_closes_no_library(
    upstream: Upstream, home: Path
) -> None:
    client: dict[str, Any] = {"api_key": GOOD, "base_url": upstream.url, "settings": INTERACTIONS}
    await die_at("created", "now", client=client, options={"size": "1K"})
    (raw,) = (home / "spool").glob("*/attempt-*/body.raw")
    raw.rename(raw.with_name("aside"))
    raw.mkdir()  # no file, whoever reads it
    events: list[Event] = []
    async with upstream.client(observer=events.append) as helio:
        assert await stage_of(helio) is Stage.SENT
        assert "not recovered" in [event.name for event in events]
        raw.rmdir()
        raw.with_name("aside").rename(raw)
        await helio.recover()
        assert await stage_of(helio) is Stage.SETTLED


async def test_an_upstream_that_never_comes_back_is_waited_for_only_so_long(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_pending(upstream)
    async with saying(Said({})) as other:
        settings: dict[str, Any] = {"base_url": other.url, "api_key": GOOD}
        async with AsyncHeliograph(**settings) as helio:
            await helio.access()
            assert await stage_of(helio) is Stage.SENT
            monkeypatch.setattr(recovery, "UPSTREAM_KEEPS", timedelta())
            await helio.recover()
            assert await stage_of(helio) is Stage.UNKNOWN


# ---------------------------------------------------------------- the same job again


async def test_a_job_that_is_asked_for_again_is_paid_once() -> None:
    request = Request(prompt="A fox", size="1K", model="gemini-3-pro-image")
    async with (
        saying(Said(answer(part(picture()), finishReason="STOP"))) as server,
        AsyncHeliograph(base_url=server.url) as helio,
    ):
        first = await helio.run(request, job=JOB)
        again = await helio.run(request, job=JOB)
        assert server.requests == 1
    assert (first.source, again.source) == ("call", "replay")
    assert again.record.id == first.record.id == JOB


async def test_a_job_in_doubt_is_not_begun_again() -> None:
    request = Request(prompt="A fox", size="1K", model="gemini-3-pro-image")
    cut = Said({}, missing=100)
    async with saying(cut) as server, AsyncHeliograph(base_url=server.url) as helio:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown) as caught:
                await helio.run(request, job=JOB)
            assert caught.value.record_id == JOB
        assert server.requests == 1
        (call,) = await helio.calls()
        await helio.resolve(call.id, 0)
        with pytest.raises(OutcomeUnknown, match="resolved by hand"):
            await helio.run(request, job=JOB)
        assert server.requests == 1


async def test_nothing_is_sent_for_whoever_left_before_the_fallback() -> None:
    gone = {"error": {"code": 404, "status": "NOT_FOUND", "message": "models/x is not found"}}
    good = answer(part(picture()), finishReason="STOP")
    async with saying(Said(gone, status=404), Said(good)) as server:
        asking: list[asyncio.Task[Any]] = []

        def leave(event: Event) -> None:
            if event.name == "falling back":
                asking[0].cancel()

        async with AsyncHeliograph(base_url=server.url, observer=leave) as helio:
            asking.append(
                asyncio.ensure_future(
                    helio.generate(
                        "A fox",
                        size="1K",
                        model="gemini-3-pro-image",
                        fallback=["gemini-nano-banana-2.1"],
                    )
                )
            )
            with pytest.raises(asyncio.CancelledError):
                await asking[0]
            stages = {call.stage for call in await helio.calls()}
        assert server.requests == 1
    assert stages == {Stage.RELEASED}

"""Submitting and asking against servers on real sockets that lag, refuse, lie and break off."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.providers.bodies import ID, image, interaction, output
from tests.providers.plans import plan_for

from heliograph.errors import (
    Charged,
    OutcomeUnknown,
    Overloaded,
    PolicyBlocked,
    ProtocolError,
    RequestRejected,
)
from heliograph.ports import Event
from heliograph.providers import interactions as module
from heliograph.providers.calling import Caller
from heliograph.providers.http import Channel, Deadlines
from heliograph.providers.interactions import Interactions, Polling
from heliograph.providers.pool import Place
from heliograph.providers.rereading import reread_answer
from heliograph.types import Reply

LIMITS = Deadlines(connect=60, write=60, first_byte=60, between=60, call=100, late=100, patience=60)
POLLING = Polling(first=0.01, longest=0.05, lag=0.2)
PICTURE = b"\xff\xd8picture" * 500
DONE = interaction(output(image(PICTURE)))
BEGUN = interaction(status="in_progress")
NO_BACKGROUND = {
    "error": {
        "code": "invalid_request",
        "message": "Model 'm' does not support background interactions.",
    }
}


def denied(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "There was a problem."}}


Told = tuple[int, Any]  # status, and a body as JSON or bytes


class Server:
    """Answers POST and GET each from their own list, the last entry again and again."""

    def __init__(self, posts: Sequence[Told], gets: Sequence[Told]) -> None:
        self._told = {"POST": list(posts), "GET": list(gets)}
        self.seen: list[tuple[str, str, str, bytes]] = []  # verb, path, key, body
        self.url = ""
        self.asked = asyncio.Event()

    def of(self, verb: str) -> list[tuple[str, str, str, bytes]]:
        return [seen for seen in self.seen if seen[0] == verb]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            verb, path, _ = lines[0].split(" ")
            told = self._told[verb]
            if verb == "GET":
                self.asked.set()
            status, said = told[min(len(self.of(verb)), len(told) - 1)]
            self.seen.append((verb, path, fields["x-goog-api-key"], body))
            cut = isinstance(said, tuple)
            raw = said[0] if cut else said if isinstance(said, bytes) else json.dumps(said).encode()
            length = len(raw) + (99 if cut else 0)
            writer.write(
                f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n"
                f"content-length: {length}\r\n\r\n".encode()
                + raw
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(posts: Sequence[Told], gets: Sequence[Told]) -> AsyncIterator[Server]:
    server = Server(posts, gets)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        await listening.wait_closed()


class Log:
    """Takes down the steps of a call, with what had been sent by then."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.steps: list[str] = []

    async def room(self, project: str, ask: int) -> float:
        assert project == "p0"
        assert ask > 0
        return 0.0

    async def intent(self, project: str, attempt: int) -> None:
        assert project == "p0"
        assert attempt > 0
        self.steps.append("intent")

    async def sent(self) -> None:
        self.steps.append("sent")

    async def failed(self, facts: Mapping[str, Any]) -> None:
        assert facts
        self.steps.append("failed")

    async def submitted(self, remote: str) -> None:
        assert not self._server.of("GET"), "asked before the id was written down"
        self.steps.append(f"submitted {remote}")


Make = Callable[..., Interactions]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[Interactions] = []

    def build(server: Server, *keys: str, **options: Any) -> Interactions:
        channels = {
            Place(project=f"p{n}", key=0): Channel(server.url, "v1", key, LIMITS)
            for n, key in enumerate(keys or ("secret",))
        }
        caller = Caller(channels, LIMITS)
        made.append(
            Interactions(caller, simulated=True, deadlines=LIMITS, polling=POLLING, **options)
        )
        return made[-1]

    yield build
    for provider in made:
        await provider.close()


async def generate(provider: Interactions, server: Server, spool: Path) -> tuple[Reply, Log]:
    log = Log(server)
    events: list[Event] = []
    reply = await provider.generate(plan_for(), spool, log, events.append)
    assert all(event.job == spool.name for event in events)
    return reply, log


async def resume(provider: Interactions, server: Server, spool: Path, project: str = "p0") -> Reply:
    log = Log(server)
    return await provider.resume(plan_for(), spool, ID, log, lambda _: None, project=project)


WRITTEN = ["intent", "sent", f"submitted {ID}"]


async def test_submitted_asked_received(tmp_path: Path, make: Make) -> None:
    waits = [(200, BEGUN), (200, interaction(status="queued")), (200, BEGUN)]
    async with serving([(200, BEGUN)], [*waits, (200, DONE)]) as server:
        provider = make(server)
        reply, log = await generate(provider, server, tmp_path)
    assert (provider.transport, provider.simulated) == ("interactions", True)
    assert reply.images[0].path.read_bytes() == PICTURE
    assert log.steps == WRITTEN
    assert (len(server.of("POST")), len(server.of("GET"))) == (1, 4)
    assert {path for _, path, _, _ in server.of("GET")} == {f"/v1/interactions/{ID}"}
    assert json.loads(server.of("POST")[0][3])["background"] is True
    assert (reply.attempts, reply.response_id) == (1, ID)
    done, sent = reply.timing.done, reply.timing.sent
    assert done is not None
    assert sent is not None
    assert done > sent
    # asks that said nothing leave nothing: what is newest is the answer
    assert not (tmp_path / "attempt-3").exists()
    assert reread_answer(tmp_path, ID).images[0].path.read_bytes() == PICTURE


async def test_what_is_complete_at_once_is_not_asked_for(tmp_path: Path, make: Make) -> None:
    async with serving([(200, DONE)], [(500, {})]) as server:
        reply, log = await generate(make(server), server, tmp_path)
        assert not server.of("GET")
    assert log.steps == WRITTEN
    assert reply.images[0].path.read_bytes() == PICTURE


@pytest.mark.parametrize(
    "told",
    [
        (403, denied("permission_denied")),  # recorded of interactions at work
        (404, denied("not_found")),  # and of a store that lags behind
        (400, denied("invalid_request")),
        (200, b"<html>"),
        (200, {**DONE, "id": "v1_another"}),
        (200, (json.dumps(DONE)[:900].encode(),)),
    ],
)
async def test_an_ask_that_fails_is_asked_again(told: Told, tmp_path: Path, make: Make) -> None:
    async with serving([(200, BEGUN)], [told, told, (200, DONE)]) as server:
        reply, log = await generate(make(server), server, tmp_path)
        assert len(server.of("POST")) == 1
    assert log.steps == WRITTEN
    assert reply.images[0].path.read_bytes() == PICTURE


async def test_a_submission_that_breaks_off_is_asked_for(tmp_path: Path, make: Make) -> None:
    broken = (json.dumps(DONE)[:400].encode(),)
    async with serving([(200, broken)], [(200, DONE)]) as server:
        reply, log = await generate(make(server), server, tmp_path)
        assert len(server.of("POST")) == 1
    assert log.steps == WRITTEN
    assert reply.images[0].path.read_bytes() == PICTURE


async def test_past_the_deadline_it_may_be_asked_for_later(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    async with serving([(200, BEGUN)], [(200, BEGUN)]) as server:
        log = Log(server)
        # half a minute for each time it is asked for
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 30 * len(server.of("GET")))
        monkeypatch.setattr(module, "time", clock)
        with pytest.raises(OutcomeUnknown) as caught:
            await make(server).generate(plan_for(), tmp_path, log, events.append)
    assert caught.value.charged is Charged.UNKNOWN
    assert caught.value.facts["interaction"] == ID
    assert caught.value.facts["may_be_asked_for"] is True
    assert log.steps == WRITTEN
    assert [event.name for event in events].count("late") == 1
    assert {"submitted", "waiting"} <= {event.name for event in events}


async def test_a_model_that_refuses_the_background_answers_in_the_front(
    tmp_path: Path, make: Make
) -> None:
    posts = [(400, NO_BACKGROUND), (200, DONE), (200, DONE)]
    async with serving(posts, [(500, {})]) as server:
        provider = make(server)
        reply, log = await generate(provider, server, tmp_path / "a")
        await generate(provider, server, tmp_path / "b")
    sent = [json.loads(body) for _, _, _, body in server.of("POST")]
    assert [body.get("background") for body in sent] == [True, None, None]
    assert all(body["store"] for body in sent)
    assert log.steps == ["intent", "sent", "failed", *WRITTEN], "free before the next begins"
    assert reply.attempts == 2


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(400, "invalid_request", RequestRejected), (400, "safety", PolicyBlocked)],
)
async def test_a_refused_submission_is_free(
    status: int, code: str, kind: type[Exception], tmp_path: Path, make: Make
) -> None:
    async with serving([(status, denied(code))], []) as server:
        with pytest.raises(kind) as caught:
            await generate(make(server), server, tmp_path)
        assert len(server.of("POST")) == 1
    assert getattr(caught.value, "charged", None) is Charged.NO


async def test_an_interaction_that_failed_is_its_own_word(tmp_path: Path, make: Make) -> None:
    failed = interaction(status="failed", errors=[{"code": "service_unavailable"}])
    async with serving([(200, BEGUN)], [(200, failed)]) as server:
        with pytest.raises(Overloaded) as caught:
            await generate(make(server), server, tmp_path)
        assert (len(server.of("POST")), len(server.of("GET"))) == (1, 1)
    assert caught.value.charged is Charged.NO


async def test_giving_up_cancels_nothing_upstream(tmp_path: Path, make: Make) -> None:
    async with serving([(200, BEGUN)], [(200, BEGUN)]) as server:
        task = asyncio.ensure_future(generate(make(server), server, tmp_path))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        assert [path for verb, path, *_ in server.seen if verb == "POST"] == ["/v1/interactions"]


async def test_resumed_by_whichever_key_submitted_it(tmp_path: Path, make: Make) -> None:
    gets = [(404, denied("not_found")), (200, BEGUN), (200, DONE)]
    async with serving([], gets) as server:
        provider = make(server, "first", "second")
        reply = await resume(provider, server, tmp_path / "s")
        keys = [key for _, _, key, _ in server.seen]
    assert keys == ["first", "second", "second"]
    assert reply.images[0].path.read_bytes() == PICTURE


async def test_resuming_takes_a_new_folder(tmp_path: Path, make: Make) -> None:
    (tmp_path / "attempt-7").mkdir()
    async with serving([], [(200, DONE)]) as server:
        await resume(make(server), server, tmp_path)
    assert reread_answer(tmp_path, ID).images[0].path.parent.parent.name == "attempt-8"


async def test_what_nobody_knows_any_more_is_unknown(tmp_path: Path, make: Make) -> None:
    async with serving([], [(404, denied("not_found"))]) as server:
        provider = make(server, "first", "second")
        with pytest.raises(OutcomeUnknown) as caught:
            await resume(provider, server, tmp_path, project="p1")
    assert caught.value.charged is Charged.UNKNOWN
    assert caught.value.facts["may_be_asked_for"] is False


NOT_FOUND = {"error": {"code": 404, "status": "NOT_FOUND", "message": "No such method."}}
NO_KEY = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid."}}


@pytest.mark.parametrize(
    ("told", "project"),
    [
        ((404, b"<html>"), "p0"),  # of a proxy on the way
        ((404, NOT_FOUND), "p0"),  # of another service of Google
        ((400, NO_KEY), "p0"),
        ((401, denied("authentication")), "p0"),
        ((403, denied("permission_denied")), "p0"),
        ((400, denied("invalid_request")), "p0"),
        ((404, denied("not_found")), "p7"),  # of a project that never had it
    ],
)
async def test_what_only_its_own_project_may_deny_stays_to_be_had(
    told: Told, project: str, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving([], [told]) as server:
        # a minute for each time it is asked for
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 60 * len(server.of("GET")))
        monkeypatch.setattr(module, "time", clock)
        with pytest.raises(OutcomeUnknown) as caught:
            await resume(make(server), server, tmp_path, project=project)
    assert len(server.of("GET")) > 1
    assert caught.value.facts["may_be_asked_for"] is True


async def test_one_at_work_is_waited_for_though_it_says_403(tmp_path: Path, make: Make) -> None:
    gets = [(403, denied("permission_denied"))] * 12 + [(200, DONE)]
    async with serving([], gets) as server:
        reply = await resume(make(server), server, tmp_path)
    assert reply.images


def linked(server: Server, host: str | None = None) -> dict[str, Any]:
    uri = f"{host or server.url}/v1beta/files/abc:download?alt=media"
    return interaction(output({"type": "image", "mime_type": "image/jpeg", "uri": uri}))


async def test_a_picture_by_address(tmp_path: Path, make: Make) -> None:
    told: list[Told] = [(200, BEGUN)]
    async with serving([(200, BEGUN)], told) as server:
        server._told["GET"] = [(200, linked(server)), (503, {}), (200, PICTURE)]
        provider = make(server, delivery="uri")
        reply, log = await generate(provider, server, tmp_path)
        asked = json.loads(server.of("POST")[0][3])
    assert asked["response_format"]["delivery"] == "uri"
    assert server.of("GET")[-1][1] == "/v1/files/abc:download?alt=media"
    assert reply.images[0].path.read_bytes() == PICTURE
    assert (reply.images[0].size, reply.refusal) == (len(PICTURE), None)
    assert log.steps == WRITTEN


async def test_the_key_goes_nowhere_else(tmp_path: Path, make: Make) -> None:
    async with serving([], []) as other, serving([(200, BEGUN)], []) as server:
        server._told["GET"] = [(200, linked(server, other.url))]
        with pytest.raises(ProtocolError) as caught:
            await generate(make(server), server, tmp_path)
        assert not other.seen
    assert caught.value.charged is Charged.YES

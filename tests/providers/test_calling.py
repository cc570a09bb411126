"""One call against servers that misbehave on real sockets: how far it came decides what it says."""

import asyncio
import datetime as dt
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.providers.plans import plan_for, reference

from heliograph.calls import unbroken
from heliograph.errors import (
    Charged,
    DeadlineExceeded,
    HeliographError,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    RequestRejected,
    StorageError,
    UntrustedUpstream,
)
from heliograph.observe import MemoryLog
from heliograph.ports import Event
from heliograph.providers.calling import Caller, Errand
from heliograph.providers.gemini import Gemini, encode
from heliograph.providers.http import Channel, Deadlines, Tell
from heliograph.providers.pool import Place
from heliograph.providers.turnstile import Wait
from heliograph.providers.wire import WireReply, WireRequest
from heliograph.types import Reply

# so long that no machine is too slow; a test in which a deadline passes shortens that one alone
AMPLE = Deadlines(connect=60, write=60, first_byte=60, between=60, call=120, late=0.1, patience=120)
GUARD = 60  # seconds after which a test that hangs is stopped
HERE = Place(project="here")
IMAGE = {"inlineData": {"mimeType": "image/jpeg", "data": "QUJD"}}
GOOD = json.dumps(
    {"candidates": [{"content": {"parts": [IMAGE]}, "finishReason": "STOP"}]}
).encode()

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {length or len(body)}\r\n\r\n".encode() + body


async def request_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    return head, await reader.readexactly(length)


class Server:
    """Answers each connection with the next handler, the last one again and again."""

    def __init__(self, *handlers: Handle) -> None:
        self.handlers = handlers
        self.arrivals: list[float] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = min(len(self.arrivals), len(self.handlers) - 1)
        self.arrivals.append(time.monotonic())
        try:
            await self.handlers[turn](reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*handlers: Handle, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(*handlers)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        listening.close()
        await listening.wait_closed()


def says(body: bytes, status: str = "200 OK", length: int | None = None) -> Handle:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(answer(body, status, length))
        await writer.drain()

    return handle


def says_then_waits(part: bytes, seconds: float) -> Handle:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(seconds)

    return handle


def error(code: int, *details: Mapping[str, object]) -> Handle:
    body = {"error": {"code": code, "message": "no", "details": list(details)}}
    return says(json.dumps(body).encode(), f"{code} no")


async def call(
    url: str,
    folder: Path,
    limits: Deadlines = AMPLE,
    events: list[Event] | None = None,
    log: MemoryLog | None = None,
) -> Reply:
    spool = folder / "spool"
    spool.mkdir()
    channels = {HERE: Channel(url, "v1", "secret-key", limits)}
    provider = Gemini(Caller(channels, limits), simulated=False)
    try:
        seen: list[Event] = [] if events is None else events
        return await provider.generate(plan_for(), spool, log or MemoryLog(), seen.append)
    finally:
        await provider.close()


async def test_a_good_answer_and_its_events(tmp_path: Path) -> None:
    events: list[Event] = []
    async with serving(says(GOOD)) as server:
        reply = await call(server.url, tmp_path, events=events)
    assert reply.images[0].path.read_bytes() == b"ABC"
    names = [e.name for e in events if e.name != "receiving"]
    assert names == ["connected", "sent", "answering"]
    times = (reply.timing.connected, reply.timing.sent, reply.timing.first_byte, reply.timing.done)
    assert all(t is not None for t in times)
    assert list(times) == sorted(t for t in times if t is not None)


async def test_what_goes_over_the_wire(tmp_path: Path) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request_of(reader))
        writer.write(answer(GOOD))
        await writer.drain()

    big = tmp_path / "big.png"
    big.write_bytes(bytes(range(256)) * 20_000)
    parts = reference(b"small"), replace(reference(big.read_bytes()), source=big)
    async with serving(look) as server:
        limits = Deadlines()
        channels = {HERE: Channel(server.url, "v1", "secret-key", limits)}
        provider = Gemini(Caller(channels, limits), simulated=False)
        (tmp_path / "spool").mkdir()
        plan = plan_for(checked_references=parts)
        await provider.generate(plan, tmp_path / "spool", MemoryLog(), lambda _event: None)
        await provider.close()
    head, body = seen[0]
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /v1/models/gemini-3-pro-image:generatecontent http/1.1"
    assert "x-goog-api-key: secret-key" in lines
    assert "accept-encoding: identity" in lines
    assert "x-server-timeout: 180" in lines
    assert len(json.loads(body)["contents"][0]["parts"]) == 3


async def test_nobody_listens(tmp_path: Path) -> None:
    async with serving(says(GOOD)) as server:
        url = server.url
    events: list[Event] = []
    with pytest.raises(NotSent) as caught:
        await call(url, tmp_path, events=events)
    assert caught.value.charged is Charged.NO
    assert caught.value.facts["attempts"] == 4
    assert [e.name for e in events] == ["retrying"] * 3


async def test_no_such_host(tmp_path: Path) -> None:
    with pytest.raises(NotSent):
        await call("http://upstream.invalid", tmp_path)


def certificate(folder: Path, name: str, days: int) -> ssl.SSLContext:
    """A self-signed certificate that lasts `days`, expired when negative."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize("days", [30, -1])
async def test_a_certificate_that_does_not_hold(tmp_path: Path, days: int) -> None:
    received: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(100_000))

    tls = certificate(tmp_path, "upstream", days)
    async with serving(listen, tls=tls) as server:
        with pytest.raises(UntrustedUpstream) as caught:
            await call(server.url, tmp_path)
    assert caught.value.facts["attempts"] == 1
    assert not any(b"secret-key" in data for data in received)


async def test_silence_after_sending_is_an_unknown_outcome(tmp_path: Path) -> None:
    begun = time.monotonic()
    async with serving(says_then_waits(b"", 600)) as server, asyncio.timeout(GUARD):
        with pytest.raises(OutcomeUnknown) as caught:
            await call(server.url, tmp_path, replace(AMPLE, first_byte=0.4))
    assert time.monotonic() - begun >= 0.4
    assert caught.value.charged is Charged.UNKNOWN
    assert len(server.arrivals) == 1


async def test_silence_inside_the_answer_keeps_what_arrived(tmp_path: Path) -> None:
    part = answer(GOOD)[: -len(GOOD) + GOOD.index(b"QUJD") + 2]
    async with serving(says_then_waits(part, 600)) as server, asyncio.timeout(GUARD):
        with pytest.raises(OutcomeUnknown):
            await call(server.url, tmp_path, replace(AMPLE, between=4))
    assert len(server.arrivals) == 1
    assert [p.name for p in (tmp_path / "spool").rglob("part-*")]


async def test_a_steady_drip_ends_at_the_deadline_of_the_call(tmp_path: Path) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        whole = answer(GOOD.replace(b"QUJD", b"QUJD" * 1000))
        body = whole.index(b"QUJD")
        writer.write(whole[:body])
        for byte in whole[body:]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)  # 270 s in all

    begun = time.monotonic()
    async with serving(drip) as server, asyncio.timeout(GUARD):
        with pytest.raises(OutcomeUnknown):
            await call(server.url, tmp_path, replace(AMPLE, call=5))
    assert time.monotonic() - begun >= 5


@pytest.mark.parametrize("cut", [0, 1, 40, -50])
async def test_a_broken_connection_after_sending(tmp_path: Path, cut: int) -> None:
    whole = answer(GOOD)
    async with serving(says_then_waits(whole[:cut], 0)) as server:
        with pytest.raises(OutcomeUnknown):
            await call(server.url, tmp_path)
    assert len(server.arrivals) == 1


async def test_a_whole_picture_is_saved_from_a_broken_answer(tmp_path: Path) -> None:
    whole = answer(GOOD)
    async with serving(says_then_waits(whole[:-5], 0)) as server:
        reply = await call(server.url, tmp_path)
    assert reply.salvaged
    assert reply.images[0].path.read_bytes() == b"ABC"


async def test_every_step_is_taken_down_before_the_next(tmp_path: Path) -> None:
    log = MemoryLog()
    async with serving(error(503), says(GOOD)) as server:
        await call(server.url, tmp_path, log=log)
    assert log.steps == ["intent", "sent", "failed", "intent", "sent"]


async def test_the_last_byte_waits_until_sent_is_written(tmp_path: Path) -> None:
    held: list[int] = []
    written = asyncio.Event()

    async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        try:
            async with asyncio.timeout(GUARD):
                await reader.readexactly(length - 1)
            last = b""
            with suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    last = await reader.read(1)
            held.append(1 - len(last))
        finally:
            written.set()
        await reader.readexactly(1 - len(last))
        writer.write(answer(GOOD))
        await writer.drain()

    class SlowLog(MemoryLog):
        async def sent(self) -> None:
            await written.wait()
            await super().sent()

    async with serving(counts) as server:
        await call(server.url, tmp_path, log=SlowLog())
    assert held == [1]


async def test_a_journal_that_refuses_keeps_the_last_byte(tmp_path: Path) -> None:
    received: list[int] = []
    done = asyncio.Event()

    async def counts(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = b""
        while piece := await reader.read(length):
            body += piece
        received.append(length - len(body))
        done.set()

    class BrokenLog(MemoryLog):
        async def sent(self) -> None:
            raise StorageError("The database is locked.")

    async with serving(counts) as server:
        with pytest.raises(StorageError, match="locked"):
            await call(server.url, tmp_path, log=BrokenLog())
        await asyncio.wait_for(done.wait(), GUARD)
    assert received == [1]


async def test_a_journal_that_refuses_holds_no_place_of_another_project(tmp_path: Path) -> None:
    class BrokenLog(MemoryLog):
        async def failed(self, facts: Mapping[str, object]) -> None:
            raise StorageError(f"The database is locked: {facts}")

    busy = b'{"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}}'
    there, plan = Place(project="there"), plan_for()
    async with serving(says(busy, "503 S")) as server:
        channels = {place: Channel(server.url, "v1", "k", AMPLE) for place in (HERE, there)}
        caller = Caller(channels, AMPLE)
        breaker = caller._pool.lane(there, plan.model).breaker
        breaker._open(time.monotonic() - 3600)  # so that the next one is its trial
        (tmp_path / "spool").mkdir()
        provider = Gemini(caller, simulated=False)
        with pytest.raises(StorageError, match="locked"):
            await provider.generate(plan, tmp_path / "spool", BrokenLog(), print)
        await provider.close()
        assert len(server.arrivals) == 1
    assert not isinstance(breaker.may_pass(time.monotonic()), Wait)


async def test_a_file_that_is_gone_is_no_failure_of_the_upstream(tmp_path: Path) -> None:
    gone = replace(reference(b"x" * 9), source=tmp_path / "gone.png")
    log = MemoryLog()
    async with serving(says(GOOD)) as server:
        channels = {HERE: Channel(server.url, "v1", "k", AMPLE)}
        provider = Gemini(Caller(channels, AMPLE), simulated=False)
        (tmp_path / "spool").mkdir()
        with pytest.raises(StorageError, match=r"ref\.png cannot be read") as caught:
            await provider.generate(
                plan_for(checked_references=(gone,)), tmp_path / "spool", log, print
            )
        await provider.close()
    assert caught.value.charged is Charged.NO
    assert log.steps == ["intent"]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    "change",
    [lambda old: bytes(reversed(old)), lambda old: old[:-1], lambda old: old + b"x" * 400],
)
async def test_a_file_that_changed_is_not_sent_whole(
    change: Callable[[bytes], bytes], is_stream: bool, tmp_path: Path
) -> None:
    received: list[tuple[int, int]] = []
    is_over = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        announced = re.search(rb"(?i)content-length: ([0-9]+)", head)
        assert announced
        body = await reader.read()
        received.append((len(body), int(announced[1])))
        is_over.set()
        writer.close()

    picture = tmp_path / "picture.png"
    picture.write_bytes(bytes(range(256)) * 9000)
    part = replace(reference(picture.read_bytes()), source=picture)
    picture.write_bytes(change(picture.read_bytes()))
    log = MemoryLog()
    async with serving(take) as server:
        channels = {HERE: Channel(server.url, "v1", "k", AMPLE)}
        provider = Gemini(Caller(channels, AMPLE), simulated=False)
        (tmp_path / "spool").mkdir()
        plan = plan_for(checked_references=(part,), stream=is_stream)
        with pytest.raises(StorageError, match=r"ref\.png changed") as caught:
            await provider.generate(plan, tmp_path / "spool", log, lambda _event: None)
        await provider.close()
        async with asyncio.timeout(GUARD):
            await is_over.wait()
    assert caught.value.charged is Charged.NO
    assert log.steps == ["intent"]
    [(came, announced)] = received
    assert came < announced


@pytest.mark.parametrize(("charged", "arrivals"), [(Charged.UNKNOWN, 1), (Charged.NO, 3)])
async def test_a_changed_request_is_sent_only_while_that_is_free(
    tmp_path: Path, charged: Charged, arrivals: int
) -> None:
    request = encode(plan_for())
    log = MemoryLog()

    async def ask(_place: Place, _tell: Tell) -> WireRequest:
        return request

    async def mend(_place: Place, _error: HeliographError) -> bool:
        return True

    def read(_wire: WireReply) -> Reply:
        raise RequestRejected("No.", charged=charged)

    async with serving(says(GOOD)) as server:
        caller = Caller({HERE: Channel(server.url, "v1", "k", AMPLE)}, AMPLE)
        errand = Errand(
            request=ask,
            read=read,
            model="m",
            ask=1,
            spool=tmp_path,
            log=log,
            observer=print,
            mend=mend,
        )
        with pytest.raises(RequestRejected):
            await caller.call(errand)
        await caller.close()
    assert len(server.arrivals) == arrivals
    assert log.steps.count("failed") == arrivals - 1


async def test_told_waits_are_never_undercut(tmp_path: Path) -> None:
    told = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}
    async with serving(error(429, told), says(GOOD)) as server:
        reply = await call(server.url, tmp_path)
    first, second = server.arrivals
    assert second - first >= 1.0
    assert reply.attempts == 2


async def test_patience_ends_the_retries(tmp_path: Path) -> None:
    told = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "300s"}
    async with serving(error(429, told)) as server, asyncio.timeout(GUARD):
        with pytest.raises(RateLimited) as caught:
            await call(server.url, tmp_path)
    assert caught.value.retry_after == 300
    assert len(server.arrivals) == 1


@pytest.mark.parametrize(
    ("handle", "kind", "calls"),
    [
        (error(503), Overloaded, 3),
        (error(504), DeadlineExceeded, 2),
    ],
)
async def test_failures_that_cost_nothing_are_tried_again(
    tmp_path: Path, handle: Handle, kind: type[HeliographError], calls: int
) -> None:
    async with serving(handle) as server:
        with pytest.raises(kind):
            await call(server.url, tmp_path)
    assert len(server.arrivals) == calls
    folders = sorted(p.name for p in (tmp_path / "spool").iterdir())
    assert folders == [f"attempt-{n}" for n in range(1, calls + 1)]


@pytest.mark.parametrize("status", ["502 Bad Gateway", "504 Gone", "524 T", "408 T", "203 N"])
async def test_what_a_box_on_the_way_says_after_sending_proves_nothing(
    tmp_path: Path, status: str
) -> None:
    async with serving(says(b"<html>a proxy</html>", status)) as server:
        with pytest.raises(OutcomeUnknown, match="on the way") as caught:
            await call(server.url, tmp_path)
    assert caught.value.charged is Charged.UNKNOWN
    assert len(server.arrivals) == 1


@pytest.mark.parametrize("status", ["301 Moved", "403 Forbidden", "404 None", "413 Large"])
async def test_a_refusal_is_free_whoever_says_it(tmp_path: Path, status: str) -> None:
    async with serving(says(b"<html>no</html>", status)) as server:
        with pytest.raises(HeliographError) as caught:
            await call(server.url, tmp_path)
    assert caught.value.charged is Charged.NO


async def test_an_error_before_the_request_was_whole_is_free(tmp_path: Path) -> None:
    async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"<html>busy</html>", "502 Bad Gateway"))
        await writer.drain()
        await asyncio.sleep(0.3)

    big = tmp_path / "big.png"
    big.write_bytes(b"x" * 30_000_000)
    part = replace(reference(big.read_bytes()), source=big)
    async with serving(at_once) as server:
        channels = {HERE: Channel(server.url, "v1", "k", AMPLE)}
        provider = Gemini(Caller(channels, AMPLE), simulated=False)
        (tmp_path / "spool").mkdir()
        with pytest.raises(HeliographError) as caught:
            await provider.generate(
                plan_for(checked_references=(part,)), tmp_path / "spool", MemoryLog(), print
            )
        await provider.close()
    assert caught.value.charged is Charged.NO


async def test_the_key_is_in_no_error(tmp_path: Path) -> None:
    echo = {"error": {"code": 400, "message": "bad key secret-key c2VjcmV0LWtleQ=="}}
    async with serving(says(json.dumps(echo).encode(), "400 no")) as server:
        with pytest.raises(HeliographError) as caught:
            await call(server.url, tmp_path)
    assert "secret-key" not in str(caught.value)
    assert "c2VjcmV0LWtleQ==" not in str(caught.value)
    assert "bad key (key)" in str(caught.value)
    assert "secret-key" not in json.dumps(caught.value.as_dict())


async def test_no_part_of_the_key_is_in_an_error_that_was_cut(tmp_path: Path) -> None:
    echo = {"error": {"code": 400, "message": f"{'a ' * 296}secret-key"}}
    async with serving(says(json.dumps(echo).encode(), "400 no")) as server:
        with pytest.raises(HeliographError) as caught:
            await call(server.url, tmp_path)
    assert "secret" not in json.dumps(caught.value.as_dict())


@pytest.mark.parametrize(("date", "known"), [("+0000", True), (f"+{'9' * 20}", False)])
async def test_a_clock_that_makes_no_sense_is_not_compared(date: str, known: bool) -> None:
    async def lists(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        day = f"date: Mon, 16 Nov 2009 13:32:02 {date}"
        body = b'{"models": []}'
        writer.write(f"HTTP/1.1 200 OK\r\n{day}\r\ncontent-length: {len(body)}\r\n\r\n".encode())
        writer.write(body)
        await writer.drain()

    async with serving(lists) as server:
        channel = Channel(server.url, "v1", "secret-key", AMPLE)
        listing = await channel.models(GUARD)
        await channel.close()
    assert (listing.ahead is not None) is known


async def test_the_last_byte_never_leaves_for_whoever_is_cancelled_before_it(
    tmp_path: Path,
) -> None:
    """Its log finishes what it is writing, as a journal does, after nobody waits any more."""
    writing, may_write, hung_up = asyncio.Event(), asyncio.Event(), asyncio.Event()
    came: list[bytes] = []

    class SlowLog(MemoryLog):
        async def sent(self) -> None:
            writing.set()
            await unbroken(may_write.wait())
            await super().sent()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            came.append((await request_of(reader))[1])
        hung_up.set()

    events: list[Event] = []
    async with serving(listen) as server:
        task = asyncio.ensure_future(call(server.url, tmp_path, events=events, log=SlowLog()))
        async with asyncio.timeout(GUARD):
            await writing.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            may_write.set()
            await hung_up.wait()
    assert came == []
    assert [event.name for event in events] == ["connected"]

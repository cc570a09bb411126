"""Uploads against the emulator and against upstreams that want the bytes elsewhere or lose them."""

import asyncio
import hashlib
import json
import traceback
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image
from tests.providers.plans import plan_for
from tests.providers.test_calling import GOOD, Server, answer, request_of, serving
from tests.providers.turns import picture, turn_of

from heliograph.emulator import EmulatorSettings, serve
from heliograph.errors import (
    Charged,
    CredentialRejected,
    HeliographError,
    InvalidRequest,
    NotSent,
    Overloaded,
    ProtocolError,
    RequestRejected,
    StorageError,
)
from heliograph.observe import MemoryLog
from heliograph.ports import Card, Event
from heliograph.providers.calling import Caller
from heliograph.providers.files import KIND, Files, upload_address
from heliograph.providers.gemini import Gemini
from heliograph.providers.http import Channel, Deadlines
from heliograph.providers.pool import Place
from heliograph.storage import MemoryCabinet
from heliograph.types import Plan, Reference, Reply

LIMITS = Deadlines(connect=5, write=10, first_byte=20, between=20, call=20, late=5, patience=9)


@dataclass
class Bench:
    """One upstream, a provider with two projects, and what it knows of uploads."""

    url: str
    folder: Path
    mode: str = "auto"
    cabinet: MemoryCabinet = field(default_factory=MemoryCabinet)
    ahead: timedelta = timedelta(0)  # our clock against the true one
    events: list[Event] = field(default_factory=list)
    log: MemoryLog = field(default_factory=MemoryLog)
    calls: int = 0

    async def __aenter__(self) -> "Bench":
        self.channels = {
            Place(project=name): Channel(self.url, "v1", f"emu-project-{name}", LIMITS)
            for name in ("one", "two")
        }
        now = lambda: datetime.now(UTC) + self.ahead  # noqa: E731
        files = Files(self.channels, self.cabinet, now=now)
        caller = Caller(self.channels, LIMITS)
        self.provider = Gemini(caller, simulated=True, files=files, mode=self.mode)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.provider.close()

    async def generate(self, plan: Plan) -> Reply:
        self.calls += 1
        self.events.clear()
        self.log = MemoryLog()
        spool = self.folder / f"spool-{self.mode}-{self.ahead}-{self.calls}"
        return await self.provider.generate(plan, spool, self.log, self.events.append)

    async def control(self, verb: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(verb, f"{self.url}/_emulator/{path}", json=body) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json()

    async def later(self, hours: float) -> None:
        """Let time pass, here and there."""
        self.ahead += timedelta(hours=hours)
        await self.control("POST", "clock", {"advance_seconds": hours * 3600})

    async def requests(self, part: str) -> list[dict[str, Any]]:
        return [r for r in await self.control("GET", "requests") if part in r["path"]]

    async def parts(self) -> list[dict[str, Any]]:
        """The user's last content in the last call."""
        last = (await self.requests(":generateContent"))[-1]
        found: list[dict[str, Any]] = last["json"]["contents"][-1]["parts"]
        return found

    def names(self) -> list[str]:
        return [event.name for event in self.events]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with (
        serve(EmulatorSettings(small=True, seed=1)) as emulator,
        Bench(url=emulator.url, folder=tmp_path) as bench,
    ):
        yield bench


def drawn(folder: Path, side: int = 700, name: str = "noise.png") -> Reference:
    """A picture of noise; 700 px are more than a megabyte."""
    path = folder / name
    Image.effect_noise((side, side), 90).convert("RGB").save(path, compress_level=0)
    return picture(path, name, "image/png")


def plan_of(*references: Reference, session: str | None = "s", words: str = "A lamp") -> Plan:
    made = plan_for(words, checked_references=references)
    return replace(made, request=replace(made.request, session=session))


async def test_uploaded_once_and_named_from_then_on(bench: Bench, tmp_path: Path) -> None:
    large = drawn(tmp_path)
    await bench.generate(plan_of(large))
    assert bench.names()[0] == "uploading"
    assert [event.facts["of"] for event in bench.events[:1]] == [large.size]
    text, file = await bench.parts()
    assert set(text) == {"text"}
    assert file["fileData"]["mimeType"] == "image/png"
    [card] = await bench.cabinet.cards(KIND)
    host = bench.url.partition("://")[2]
    assert card.name == f"{host}/one/{large.sha256}"
    assert card.body["uri"] == file["fileData"]["fileUri"]
    assert card.body["uri"].endswith(f"/files/{card.body['name']}")
    assert card.body["media_type"] == "image/png"
    lasts = datetime.fromisoformat(card.body["expires"]) - datetime.now(UTC)
    assert timedelta(hours=47, minutes=59) < lasts <= timedelta(hours=48)
    await bench.generate(plan_of(large))
    assert len(await bench.requests("/upload/")) == 2
    sent = [event.facts["bytes"] for event in bench.events if event.name == "sent"]
    assert sent[0] < 1000
    assert sent == [(await bench.requests(":generateContent"))[-1]["bytes"]]


async def test_the_key_goes_with_the_first_request_alone(bench: Bench, tmp_path: Path) -> None:
    large = drawn(tmp_path, 1800)
    assert large.size > 8 << 20
    await bench.generate(plan_of(large))
    start, *chunks = await bench.requests("/upload/")
    assert "x-goog-api-key" in start["headers"]
    assert not any("x-goog-api-key" in chunk["headers"] for chunk in chunks)
    assert [chunk["bytes"] for chunk in chunks] == [8 << 20, large.size - (8 << 20)]
    commands = [chunk["headers"]["x-goog-upload-command"] for chunk in chunks]
    assert commands == ["upload", "upload, finalize"]
    assert "fileData" in (await bench.parts())[1]


async def test_what_is_sent_once_or_is_small_stays_inline(bench: Bench, tmp_path: Path) -> None:
    await bench.generate(plan_of(drawn(tmp_path), session=None))
    await bench.generate(plan_of(drawn(tmp_path, 100)))
    assert not await bench.requests("/upload/")
    assert "inlineData" in (await bench.parts())[1]


async def test_always_and_never(bench: Bench, tmp_path: Path) -> None:
    large, small = drawn(tmp_path), drawn(tmp_path, 50, "small.png")
    async with replace(bench, mode="never") as never:
        await never.generate(plan_of(large))
    assert not await bench.requests("/upload/")
    async with replace(bench, mode="always") as always:
        await always.generate(plan_of(large, small, session=None))
    assert len(await bench.requests("/upload/")) == 4
    # and what is known is used by everyone who may
    await bench.generate(plan_of(large, small, session=None))
    assert ["fileData" in part for part in await bench.parts()] == [False, True, True]


@pytest.mark.parametrize(("hours", "uploads"), [(46.9, 2), (47.1, 4), (49, 4)])
async def test_an_address_is_used_until_an_hour_before_its_end(
    bench: Bench, tmp_path: Path, hours: float, uploads: int
) -> None:
    large = drawn(tmp_path)
    await bench.generate(plan_of(large))
    await bench.later(hours)
    await bench.generate(plan_of(large))
    assert len(await bench.requests("/upload/")) == uploads
    assert len(await bench.cabinet.cards(KIND)) == 1


async def test_old_cards_are_dropped(bench: Bench, tmp_path: Path) -> None:
    await bench.generate(plan_of(drawn(tmp_path)))
    await bench.later(50)
    async with replace(bench) as another:
        await another.generate(plan_of(drawn(tmp_path, 701)))
    assert len(await bench.cabinet.cards(KIND)) == 1


async def test_a_file_that_is_gone_is_sent_inline_once(bench: Bench, tmp_path: Path) -> None:
    large = drawn(tmp_path)
    await bench.generate(plan_of(large))
    await bench.control("POST", "clock", {"advance_seconds": 49 * 3600})
    reply = await bench.generate(plan_of(large))
    assert bench.log.steps == ["intent", "sent", "failed", "intent", "sent"]
    assert reply.attempts == 2
    assert "inlineData" in (await bench.parts())[1]
    assert not await bench.cabinet.cards(KIND)
    ledger = await bench.control("GET", "ledger")
    assert [bool(call["billed_micro"]) for call in ledger] == [True, False, True]
    # the 403 was not the key's
    await bench.generate(plan_of(large))
    assert "fileData" in (await bench.parts())[1]
    assert {call["project"] for call in await bench.control("GET", "ledger")} == {"one"}


async def test_a_file_of_another_project_is_gone_too(bench: Bench, tmp_path: Path) -> None:
    large = drawn(tmp_path)
    await bench.generate(plan_of(large))
    [card] = await bench.cabinet.cards(KIND)
    await bench.cabinet.put(KIND, card.name.replace("/one/", "/two/"), card.body, version=0)
    rule = {"match": {"project": "one"}, "action": "overloaded"}
    await bench.control("POST", "rules", rule)
    reply = await bench.generate(plan_of(large))
    assert reply.attempts == 3
    assert "inlineData" in (await bench.parts())[1]
    assert [c.name for c in await bench.cabinet.cards(KIND)] == [card.name]


async def test_another_project_gets_its_own_upload(bench: Bench, tmp_path: Path) -> None:
    large = drawn(tmp_path)
    await bench.generate(plan_of(large))
    rule = {"match": {"project": "one", "method": "generateContent"}, "action": "overloaded"}
    await bench.control("POST", "rules", rule)
    await bench.generate(plan_of(large))
    names = [card.name.split("/")[1] for card in await bench.cabinet.cards(KIND)]
    assert names == ["one", "two"]
    uris = {card.body["uri"] for card in await bench.cabinet.cards(KIND)}
    assert len(uris) == 2


async def test_an_upload_that_fails_costs_nothing(bench: Bench, tmp_path: Path) -> None:
    await bench.control(
        "POST", "rules", {"match": {"path": "/upload/*"}, "action": "overloaded", "count": 1}
    )
    await bench.generate(plan_of(drawn(tmp_path)))
    assert "inlineData" in (await bench.parts())[1]
    [failed] = [event for event in bench.events if event.name == "upload failed"]
    assert failed.facts["error"] == Overloaded.code
    assert failed.facts["project"] == "one"
    assert bench.log.steps == ["intent", "sent"]
    assert not await bench.cabinet.cards(KIND)


async def test_a_picture_that_changed_is_not_remembered(bench: Bench, tmp_path: Path) -> None:
    large = drawn(tmp_path)
    wrong = replace(large, sha256=hashlib.sha256(b"before").hexdigest())
    with pytest.raises(StorageError, match=r"noise\.png changed") as caught:
        await bench.generate(plan_of(wrong))
    assert caught.value.charged is Charged.NO
    assert bench.log.steps == []
    assert "upload failed" not in bench.names()
    assert not await bench.cabinet.cards(KIND)
    assert len(await bench.requests("/upload/")) == 1
    assert not await bench.requests(":generateContent")


async def test_a_picture_that_is_gone_ends_the_call(bench: Bench, tmp_path: Path) -> None:
    large, others = drawn(tmp_path), [drawn(tmp_path, 701 + n, f"{n}.png") for n in range(5)]
    large = replace(large, source=tmp_path / "noise.png.gone")
    with pytest.raises(StorageError, match=r"noise\.png cannot be read") as caught:
        await bench.generate(plan_of(large, *others))
    assert caught.value.charged is Charged.NO
    assert bench.log.steps == []
    assert not await bench.requests(":generateContent")


async def test_two_calls_at_once_upload_once(bench: Bench, tmp_path: Path) -> None:
    large = drawn(tmp_path)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(bench.generate(plan_of(large)))
    assert len(await bench.requests("/upload/")) == 2
    assert all("fileData" in str(r["json"]) for r in await bench.requests(":generateContent"))


async def test_signed_pictures_go_back_as_they_came(bench: Bench, tmp_path: Path) -> None:
    async with replace(bench, mode="always") as always:
        first = plan_of(drawn(tmp_path, 60))
        turn = turn_of(first, await always.generate(first))
        await always.generate(replace(plan_of(words="Now red"), history=(turn,)))
    contents = (await bench.requests(":generateContent"))[-1]["json"]["contents"]
    assert [set(part) for part in contents[0]["parts"]] == [{"text"}, {"fileData"}]
    assert {"inlineData", "thoughtSignature"} in [set(part) for part in contents[1]["parts"]]


def sparse(folder: Path, size: int) -> Reference:
    path = folder / "sparse.png"
    with path.open("wb") as file:
        file.truncate(size)
    return replace(picture(b""), source=path, size=size, sha256="5" * 64)


async def test_too_large_is_said_before_any_call(bench: Bench, tmp_path: Path) -> None:
    async with replace(bench, mode="never") as never:
        with pytest.raises(InvalidRequest, match="100000000 bytes"):
            await never.generate(replace(plan_of(), references=(sparse(tmp_path, 80_000_000),)))
        assert never.log.steps == []
    assert not await bench.requests("")


async def test_too_large_and_no_upload(tmp_path: Path) -> None:
    async with serving(says_start("")) as server, Bench(url=server.url, folder=tmp_path) as bench:
        plan = replace(plan_of(session=None), references=(sparse(tmp_path, 80_000_000),))
        with pytest.raises(ProtocolError, match="did not take") as caught:
            await bench.generate(plan)
    assert caught.value.charged is Charged.NO
    assert bench.log.steps == []


# ---------------------------------------------------------------- upstreams that lie


def said(status: str, headers: str, body: bytes = b"{}") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


def says_start(url: str) -> Any:
    """An upstream that wants the bytes at `url`, and draws otherwise."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await request_of(reader)
        is_start = head.startswith(b"POST /upload/")
        writer.write(said("200 OK", f"X-Goog-Upload-URL: {url}\r\n") if is_start else answer(GOOD))
        await writer.drain()

    return handle


async def test_bytes_and_key_go_nowhere_else(tmp_path: Path) -> None:
    elsewhere: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        elsewhere.append(await reader.read(100))
        writer.close()

    async with serving(listen) as other, serving(says_start(f"{other.url}/upload")) as server:
        async with Bench(url=server.url, folder=tmp_path) as bench:
            await bench.generate(plan_of(drawn(tmp_path)))
        assert [e.facts["error"] for e in bench.events if e.name == "upload failed"]
    assert elsewhere == []


@pytest.mark.parametrize(
    "url",
    [
        "https://host:8080@evil.example/upload",
        "https://host:8080.evil.example/upload",
        "https://host:9090/upload",
        "https://user@host:8080/upload",
        "http://host:8080/upload",
        "file:///etc/passwd",
        "//evil.example/upload",
        "https://[",
        "/upload",
        "",
    ],
)
def test_an_upload_goes_on_nowhere_else(url: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        upload_address(url, "https://host:8080/prefix")
    assert caught.value.charged is Charged.NO


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://host/upload/v1/files?upload_id=x", "https://HOST:443"),
        ("http://127.0.0.1:80/x", "http://127.0.0.1"),
        ("https://host:8080/elsewhere?a=b", "https://host:8080/prefix"),
    ],
)
def test_an_upload_goes_on_at_the_same_host(url: str, base: str) -> None:
    assert upload_address(url, base) == url


def losing(
    told: dict[str, Any],
    status: str = "final",
    code: str = "200 OK",
    answers: bytes = answer(GOOD),
) -> Any:
    """An upstream that says this of the file that it was given."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await request_of(reader)
        first = head.split(b"\r\n")[0]
        host = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"host:"))
        if b"generateContent" in first:
            writer.write(answers)
        elif b"x-goog-upload-command: start" in head.lower():
            url = f"http://{host[5:].strip().decode()}/upload/v1/files?upload_id=1"
            writer.write(said("200 OK", f"X-Goog-Upload-URL: {url}\r\n"))
        else:
            body = json.dumps(told).encode()
            writer.write(said(code, f"X-Goog-Upload-Status: {status}\r\n", body))
        await writer.drain()

    return handle


FILE = {"uri": "https://g/v1/files/abc", "name": "files/abc"}


@pytest.mark.parametrize(
    "handle",
    [
        losing({}),
        losing({"file": {}}),
        losing({"file": {**FILE, "uri": "https://g/"}}),
        losing({"file": {**FILE, "state": "PROCESSING"}}),
        losing({"file": {**FILE, "sizeBytes": "7"}}),
        losing({"file": {**FILE, "sha256Hash": "AAAA"}}),
        losing({"file": {**FILE, "sha256Hash": "?"}}),
        losing({"file": FILE}, status="active"),
        losing({"file": FILE}, code="500 no"),
    ],
)
async def test_a_file_that_is_not_the_picture_is_not_used(handle: Any, tmp_path: Path) -> None:
    bodies: list[bytes] = []
    async with serving(handle) as server, Bench(url=server.url, folder=tmp_path) as bench:
        await bench.generate(plan_of(drawn(tmp_path)))
        bodies = [event.name.encode() for event in bench.events]
        sent = next(event.facts["bytes"] for event in bench.events if event.name == "sent")
    assert b"upload failed" in bodies
    assert sent > 1 << 20
    assert not await bench.cabinet.cards(KIND)


async def test_a_file_with_few_facts_is_used(tmp_path: Path) -> None:
    async with (
        serving(losing({"file": FILE})) as server,
        Bench(url=server.url, folder=tmp_path) as bench,
    ):
        await bench.generate(plan_of(drawn(tmp_path)))
        sent = next(event.facts["bytes"] for event in bench.events if event.name == "sent")
    assert sent < 1000


INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Your API key was reported as leaked."},
        {"message": "The service of abc is disabled.", "details": [INFO]},
    ],
)
async def test_a_bad_key_is_still_the_keys_fault(error: dict[str, Any], tmp_path: Path) -> None:
    """A 403 that names no file of ours, or says what is wrong with the key, is not about a file."""
    body = {"error": {"code": 403, "status": "PERMISSION_DENIED", **error}}
    handle = losing({"file": FILE}, answers=answer(json.dumps(body).encode(), "403 no"))
    async with serving(handle) as server, Bench(url=server.url, folder=tmp_path) as bench:
        with pytest.raises(CredentialRejected):
            await bench.generate(plan_of(drawn(tmp_path)))
    assert await bench.cabinet.cards(KIND)


async def test_a_cabinet_that_fails_harms_no_call(bench: Bench, tmp_path: Path) -> None:
    class Broken(MemoryCabinet):
        async def card(self, kind: str, name: str) -> Card | None:
            raise StorageError(f"The database is locked: {kind} {name}.")

        async def cards(self, kind: str) -> Sequence[Card]:
            raise StorageError(f"The database is locked: {kind}.")

    async with replace(bench, cabinet=Broken()) as broken:
        await broken.generate(plan_of(drawn(tmp_path)))
    assert "fileData" in (await bench.parts())[1]


async def test_a_file_that_is_gone_and_not_forgotten(bench: Bench, tmp_path: Path) -> None:
    class Stubborn(MemoryCabinet):
        async def drop(self, kind: str, name: str) -> None:
            raise StorageError(f"The database is locked: {kind} {name}.")

    large = drawn(tmp_path)
    async with replace(bench, cabinet=Stubborn()) as stubborn:
        await stubborn.generate(plan_of(large))
        await bench.control("POST", "clock", {"advance_seconds": 49 * 3600})
        await stubborn.generate(plan_of(large))
        assert stubborn.log.steps == ["intent", "sent", "failed", "intent", "sent"]
    assert "inlineData" in (await bench.parts())[1]


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "0001-01-01T00:00:00Z"},
        {"expires": "0001-01-01T00:00:00+23:59"},
        {"expires": "9999-12-31T23:59:59-23:59", "uri": 7},
        {"expires": "soon"},
        {"expires": "2999-01-01T00:00:00"},
        {"expires": 5},
        {"uri": "https://g/"},
    ],
)
async def test_a_card_that_says_nothing_is_replaced(
    change: dict[str, Any], bench: Bench, tmp_path: Path
) -> None:
    large = drawn(tmp_path)
    await bench.generate(plan_of(large))
    [card] = await bench.cabinet.cards(KIND)
    bad = {**card.body, **change}
    await bench.cabinet.put(KIND, card.name, bad, version=card.version)
    await bench.generate(plan_of(large))
    assert "fileData" in (await bench.parts())[1]
    assert len(await bench.requests("/upload/")) == 4
    [card] = await bench.cabinet.cards(KIND)
    assert datetime.fromisoformat(card.body["expires"]) > datetime.now(UTC) + timedelta(hours=47)


async def test_a_card_that_cannot_be_read_is_dropped(bench: Bench, tmp_path: Path) -> None:
    large = drawn(tmp_path)
    await bench.generate(plan_of(large))
    [card] = await bench.cabinet.cards(KIND)
    await bench.cabinet.put(KIND, card.name, {"uri": "u/x"}, version=card.version)
    # too small for an upload of its own: nothing takes the card's place
    await bench.generate(plan_of(large, session=None))
    assert not await bench.cabinet.cards(KIND)


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"])
async def test_a_file_that_ends_at_once_is_used_and_not_remembered(
    end: str, tmp_path: Path
) -> None:
    handle = losing({"file": {**FILE, "expirationTime": end}})
    async with serving(handle) as server, Bench(url=server.url, folder=tmp_path) as bench:
        for _ in range(2):
            await bench.generate(plan_of(drawn(tmp_path)))
            assert next(e.facts["bytes"] for e in bench.events if e.name == "sent") < 1000
            assert not await bench.cabinet.cards(KIND)


# ---------------------------------------------------------------- the address of an upload

SECRET = "AHmUSGc-capability"


def breaking(end: bytes, url: str = "http://{host}/upload/v1/files?upload_id=" + SECRET) -> Any:
    """An upstream that takes no bytes: it ends with this instead of taking them."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await request_of(reader)
        host = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"host:"))
        if b"generateContent" in head.split(b"\r\n")[0]:
            writer.write(answer(GOOD))
        elif b"x-goog-upload-command: start" in head.lower():
            there = url.format(host=host[5:].strip().decode())
            writer.write(said("200 OK", f"X-Goog-Upload-URL: {there}\r\n"))
        else:
            writer.write(end)
        await writer.drain()

    return handle


def refusing(message: str) -> bytes:
    error = {"code": 400, "status": f"NO {SECRET}", "message": message}
    return said("400 no", "", json.dumps({"error": error}).encode())


@pytest.mark.parametrize(
    "handle",
    [
        breaking(b""),
        breaking(b"HTTP/1.1 200 OK\r\nbad header line\x00\r\n\r\n"),
        breaking(refusing(f"There is no upload {SECRET}.")),
        breaking(refusing(f"POST /upload/v1/files?upload_id={SECRET} cannot be.")),
        breaking(refusing("a/b c"), "http://{host}/u?upload_id=a%2Fb%20c&x=" + SECRET),
        breaking(b"", "http://{host}/up load?\\upload_id=" + SECRET),
        breaking(b"", "http://{host}/upload%zz/?upload_id=" + SECRET),
        breaking(b"", "http://elsewhere.example/upload?upload_id=" + SECRET),
    ],
)
async def test_the_address_of_an_upload_is_told_to_nobody(
    handle: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with serving(handle) as server, Bench(url=server.url, folder=tmp_path) as bench:
        large = drawn(tmp_path)
        await bench.generate(plan_of(large))
        [failed] = [event for event in bench.events if event.name == "upload failed"]
        assert failed.facts["why"]
        assert "a/b c" not in failed.facts["why"]
        files = Files(bench.channels, bench.cabinet)
        with pytest.raises(HeliographError) as caught:
            await files.upload(Place(project="one"), large, lambda _name, _facts: None)
    for told in (bench.events, caught.value.as_dict(), caplog.text, _traceback(caught.value)):
        assert SECRET not in str(told)
        assert "upload_id" not in str(told)


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


# ---------------------------------------------------------------- countTokens


async def test_tokens_are_counted(bench: Bench) -> None:
    channel = next(iter(bench.channels.values()))
    assert await channel.count_tokens("gemini-3-pro-image", "A" * 400) == 100
    assert await channel.count_tokens("gemini-3-pro-image", "") == 0
    with pytest.raises(RequestRejected):
        await channel.count_tokens("gemini-1/../x", "A")


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        (answer(b"[]"), ProtocolError),
        (answer(b"<html>"), ProtocolError),
        (answer(b'{"totalTokens":{}}'), ProtocolError),
        (answer(b'{"error":{"code":400,"message":"secret"}}', "400 no"), RequestRejected),
        (answer(b"<html>", "503 no"), Overloaded),
        (answer(b"{}", "403 no"), CredentialRejected),
        (b"", NotSent),
    ],
)
async def test_tokens_that_cannot_be_counted(handle: bytes, kind: type[Exception]) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(handle)
        await writer.drain()

    server: Server
    async with serving(say) as server:
        channel = Channel(server.url, "v1", "secret", LIMITS)
        try:
            with pytest.raises(kind) as caught:
                await channel.count_tokens("m", "words")
        finally:
            await channel.close()
    assert "secret" not in str(caught.value)
    assert getattr(caught.value, "charged", None) is Charged.NO

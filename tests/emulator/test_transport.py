"""Broken connections, seen on a bare socket, and when they are billed."""

import asyncio
import base64
import gc
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from heliograph.emulator.desk import Desk
from heliograph.emulator.encoding import Body
from heliograph.emulator.settings import EmulatorSettings

GUARD = 60.0  # seconds after which something that hangs is given up


class Wire:
    """One request on one socket, and every byte that came back."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        self.address = (address.hostname, address.port)
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def send(
        self,
        prompt: str,
        *,
        body_part: float = 1.0,
        header: str = "",
        version: str = "1.1",
        size: str = "1K",
    ) -> None:
        self.reader, self.writer = await asyncio.open_connection(*self.address)
        config = {"imageConfig": {"imageSize": size}}
        contents = [{"parts": [{"text": prompt}]}]
        body = json.dumps({"contents": contents, "generationConfig": config}).encode()
        head = (
            f"POST /v1/models/gemini-3-pro-image:generateContent HTTP/{version}\r\nHost: x\r\n"
            f"x-goog-api-key: k\r\nContent-Length: {len(body)}\r\n{header}\r\n"
        )
        self.writer.write(head.encode() + body[: int(len(body) * body_part)])
        await self.writer.drain()

    async def receive(self, limit: float = GUARD) -> tuple[bytes, str]:
        """What came, and how it ended: `end`, `reset` or `silence`."""
        got = b""
        try:
            while True:
                piece = await asyncio.wait_for(self.reader.read(65536), limit)
                if not piece:
                    return got, "end"
                got += piece
        except TimeoutError:
            return got, "silence"
        except ConnectionResetError:
            return got, "reset"
        finally:
            self.writer.close()


async def exchange(emu: Any, prompt: str, limit: float = GUARD, **how: Any) -> tuple[bytes, str]:
    wire = Wire(emu.url)
    await wire.send(prompt, **how)
    return await wire.receive(limit)


def unchunked(raw: bytes) -> tuple[bytes, bool]:
    """The chunked body that came, and whether it ended with the last chunk."""
    rest = raw.partition(b"\r\n\r\n")[2]
    body = b""
    while rest:
        head, found, rest = rest.partition(b"\r\n")
        if not found:
            return body, False
        length = int(head, 16)
        if length == 0:
            return body, True
        body += rest[:length]
        if len(rest) < length + 2:
            return body, False
        rest = rest[length + 2 :]
    return body, False


async def last_line(emu: Any) -> dict[str, Any]:
    """The last call, once it is closed."""
    return await line_when(emu, lambda line: line["state"] == "closed")


async def line_when(emu: Any, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The last call, once something is so of it."""
    async with asyncio.timeout(GUARD):
        while True:
            lines: list[dict[str, Any]] = await emu.ledger()
            if lines and is_so(lines[-1]):
                return lines[-1]
            await asyncio.sleep(0.05)


async def test_a_good_answer_ends_with_the_last_chunk(emu: Any) -> None:
    raw, end = await exchange(emu, "a lake", header="Connection: close\r\n")
    body, whole = unchunked(raw)
    assert (end, whole) == ("end", True)
    assert json.loads(body)["modelVersion"] == "gemini-3-pro-image"
    line = await last_line(emu)
    assert (line["peer_closed_early"], line["cut_by_fault"]) == (False, False)


async def test_reset_before_the_body_is_read(emu: Any) -> None:
    _, end = await exchange(emu, "a lake", body_part=0.5, header="x-emu-fault: reset-before\r\n")
    assert end == "reset"
    line = await last_line(emu)
    assert (line["request_read"], line["billed"], line["cut_by_fault"]) == (None, False, True)


async def test_reset_before_by_rule(emu: Any) -> None:
    await emu.post("/_emulator/rules", {"action": "reset-before", "count": 1})
    assert (await exchange(emu, "a lake"))[1] == "reset"
    assert (await emu.generate()).status == 200


@pytest.mark.parametrize(("mode", "billed"), [("on_complete", False), ("on_accept", True)])
async def test_reset_after_the_request(start: Any, mode: str, *, billed: bool) -> None:
    async with start(billing=mode) as emu:
        raw, end = await exchange(emu, "[[fault:reset-after-request]]")
        assert (raw, end) == (b"", "reset")
        line = await last_line(emu)
        assert line["request_read"] is not None
        assert (line["billed"], line["images"]) == (billed, [])


async def test_reset_after_bytes(emu: Any) -> None:
    raw, end = await exchange(emu, "[[fault:reset-after-bytes:5000]]")
    assert end == "reset"
    assert len(unchunked(raw)[0]) == 5000
    assert (await last_line(emu))["billed"] is True


async def test_cut_after_the_image(emu: Any) -> None:
    raw, end = await exchange(emu, "[[fault:cut-after-image]]")
    body, whole = unchunked(raw)
    assert (end, whole) == ("end", False)
    assert body.endswith(b'"')
    data = body[body.index(b'"data": "') + 9 : -1]
    sent = base64.b64decode(data, validate=True)
    line = await last_line(emu)
    assert line["images"][0]["bytes"] == len(sent)
    assert (line["billed"], line["cut_by_fault"], line["peer_closed_early"]) == (True, True, False)


async def test_cut_after_the_image_politely(emu: Any) -> None:
    raw, _ = await exchange(emu, "[[fault:cut-after-image:clean]]", header="Connection: close\r\n")
    body, whole = unchunked(raw)
    assert whole
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


async def test_cut_inside_the_image(emu: Any) -> None:
    raw, end = await exchange(emu, "[[fault:cut-json]]")
    body, whole = unchunked(raw)
    assert (end, whole) == ("end", False)
    data = body[body.index(b'"data": "') + 9 :]
    assert data
    assert b'"' not in data
    raw, _ = await exchange(emu, "[[fault:cut-json:10]]")
    assert len(unchunked(raw)[0]) == 10


async def test_length_lie(emu: Any) -> None:
    raw, end = await exchange(emu, "[[fault:length-lie:77]]")
    head, _, body = raw.partition(b"\r\n\r\n")
    promised = next(line for line in head.lower().split(b"\r\n") if b"content-length" in line)
    assert int(promised.split(b":")[1]) == len(body) + 77
    assert end == "end"
    json.loads(body)


async def test_a_stall_holds_the_line_until_the_peer_leaves(emu: Any) -> None:
    wire = Wire(emu.url)
    await wire.send("[[fault:stall-after:3000]]")
    raw = b""
    async with asyncio.timeout(GUARD):
        while len(unchunked(raw)[0]) < 3000:
            raw += await wire.reader.read(65536)
    more, end = await wire.receive(limit=0.4)
    assert end == "silence"
    assert len(unchunked(raw + more)[0]) == 3000
    assert (await last_line(emu))["billed"] is True


async def test_drip_is_as_slow_as_asked(emu: Any) -> None:
    wire = Wire(emu.url)
    begun = time.monotonic()
    await wire.send("[[fault:drip:4000]]")
    first = await wire.reader.readuntil(b"\r\n\r\n")
    got = len(first)
    async with asyncio.timeout(GUARD):
        while got < 4000:
            got += len(await wire.reader.read(65536))
    # it may be ahead by its first piece
    assert got - 2000 < 4000 * (time.monotonic() - begun)
    wire.writer.close()
    assert (await last_line(emu))["peer_closed_early"] is True


async def test_a_peer_that_leaves_while_the_model_thinks_still_pays(start: Any) -> None:
    async with start(latency=0.5) as emu:
        wire = Wire(emu.url)
        await wire.send("a lake")
        wire.writer.close()
        line = await last_line(emu)
        assert (line["peer_closed_early"], line["billed"]) == (True, True)
    async with start(latency=0.5, billing="on_first_byte") as emu:
        wire = Wire(emu.url)
        await wire.send("a lake")
        wire.writer.close()
        line = await last_line(emu)
        assert (line["peer_closed_early"], line["billed"]) == (True, False)


async def test_a_peer_that_leaves_while_sending_pays_nothing(
    start: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    async with start(billing="on_accept") as emu:
        wire = Wire(emu.url)
        await wire.send("a lake", body_part=0.5)
        await asyncio.sleep(0.05)
        wire.writer.close()
        line = await last_line(emu)
        assert (line["request_read"], line["billed"]) == (None, False)
        assert (line["peer_closed_early"], line["http_status"]) == (True, None)
    assert "Traceback" not in capfd.readouterr().err


async def test_first_byte_billing_pays_for_what_began(start: Any) -> None:
    async with start(billing="on_first_byte") as emu:
        await exchange(emu, "[[fault:cut-json:10]]")
        assert (await last_line(emu))["billed"] is True


async def test_an_open_call_is_in_the_ledger(start: Any) -> None:
    async with start(latency=600, billing="on_accept") as emu:
        wire = Wire(emu.url)
        await wire.send("a lake")
        line = await line_when(emu, lambda line: line["billed"])
        assert (line["state"], line["billed"], line["http_status"]) == ("open", True, None)
        wire.writer.close()


async def test_http_1_0_gets_an_answer_that_ends_with_the_connection(emu: Any) -> None:
    raw, end = await exchange(emu, "a lake", version="1.0")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert (end, b"chunked" in head.lower()) == ("end", False)
    assert json.loads(body)["modelVersion"] == "gemini-3-pro-image"


async def test_a_stopped_emulator_does_not_blame_the_peer(start: Any, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with start(latency=600, ledger=ledger) as emu:
        wire = Wire(emu.url)
        await wire.send("a lake")
        await line_when(emu, lambda line: line["request_read"] is not None)
    assert await wire.receive() == (b"", "end")
    (line,) = [json.loads(text) for text in ledger.read_text().splitlines()]
    assert (line["state"], line["billed"]) == ("closed", False)
    assert (line["peer_closed_early"], line["cut_by_fault"]) == (False, True)


async def test_an_answer_is_let_go_with_its_peer(start: Any) -> None:
    def held() -> int:
        return sum(isinstance(each, Body) and each.length > 10**6 for each in gc.get_objects())

    gc.disable()
    try:
        async with start(signatures="realistic") as emu:
            wire = Wire(emu.url)
            await wire.send("a lake", size="4K")
            await wire.reader.readuntil(b"\r\n\r\n")
            assert held() == 1
            wire.writer.transport.abort()
            assert (await last_line(emu))["peer_closed_early"] is True
            assert held() == 0
    finally:
        gc.enable()


async def test_four_pictures_are_painted_at_a_time_and_small_work_passes_them() -> None:
    desk = Desk(EmulatorSettings(seed=1))
    gate, begun = threading.Event(), threading.Semaphore(0)

    def paint() -> None:
        begun.release()
        gate.wait(GUARD)

    try:
        pictures = [asyncio.create_task(desk.paint_aside(paint)) for _ in range(16)]
        assert await asyncio.wait_for(desk.read_aside(lambda: "read"), GUARD / 2) == "read"
        assert await desk.read_aside(lambda: [begun.acquire(timeout=GUARD / 4) for _ in range(4)])
        assert not begun.acquire(blocking=False)
        gate.set()
        await asyncio.gather(*pictures)
    finally:
        gate.set()
        desk.close()


def test_a_reset_is_a_real_one() -> None:
    """The double of this file's own tool: a plain close must not look like a reset."""
    server = socket.create_server(("127.0.0.1", 0))

    async def close_politely() -> tuple[bytes, str]:
        wire = Wire(f"http://127.0.0.1:{server.getsockname()[1]}")
        sending = asyncio.create_task(wire.send("x"))
        await asyncio.sleep(0.05)
        accepted, _ = server.accept()
        await sending
        accepted.recv(65536)
        accepted.close()
        return await wire.receive()

    try:
        assert asyncio.run(close_politely()) == (b"", "end")
    finally:
        server.close()

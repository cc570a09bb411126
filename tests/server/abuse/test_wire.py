"""Bytes on sockets of a whole gateway: S12, S52, S56, S58 to S61, S97."""

import asyncio
import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.living import files_in, weight_of
from tests.server.abuse.conftest import PRO, Target, attacked
from tests.server.abuse.serving import Process
from tests.server.counting import lines_of
from tests.server.waiting import HANG

GENERATE = f"/v1beta/models/{PRO}:generateContent"
PLACES = (
    GENERATE,
    "/openai/v1/images/generations",
    "/openai/v1/images/edits",
    "/api/v1/jobs",
    "/upload/v1beta/files",
)
MEGABYTE = 1 << 20


def status(answer: bytes) -> int:
    """0 when nothing came."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


def head(path: str, key: str | None, *lines: str) -> bytes:
    own = [f"Authorization: Bearer {key}"] if key else []
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *own, *lines, "", ""]).encode()


async def flood(house: Target, begin: bytes, *, chunked: bool, most: int) -> tuple[int, int]:
    """Status, and how many bytes the other side took before it had enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1 << 20)
    piece = b"x" * 16384
    frame = b"4000\r\n" + piece + b"\r\n" if chunked else piece
    taken, answer = 0, b""
    async with asyncio.timeout(HANG):
        with suppress(ConnectionError):
            writer.write(begin)
            while taken < most:
                writer.write(frame)
                await writer.drain()
                taken += len(piece)
                if reader.at_eof() or reader._buffer:  # type: ignore[attr-defined]
                    break
                await asyncio.sleep(0)
        with suppress(ConnectionError):
            answer = await reader.read(65536)
    writer.close()
    return status(answer), taken


@pytest.mark.parametrize("chunked", [True, False])
async def test_s56_no_byte_of_a_stranger_is_read(house: Target, *, chunked: bool) -> None:
    """S56: 401 by the head, whatever comes after it."""
    for path in PLACES:
        length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 104857600"
        begin = head(path, None, length, "Content-Type: application/json")
        found, taken = await flood(house, begin, chunked=chunked, most=100 * MEGABYTE)
        assert found in (401, 0), path  # 0: it was reset before the answer was read
        assert taken < 16 * MEGABYTE, path  # what lies in the system's own buffers
        early = await house.raw(begin)  # nothing of the body was sent
        assert status(early) == 401
        assert b"connection: close" in early.lower()


@pytest.mark.parametrize("chunked", [True, False])
async def test_s52_more_than_the_limit_is_not_kept(
    tmp_path: Path, emulated: str, *, chunked: bool
) -> None:
    """S52: 413 while it is read, told by its length at once; nothing of it stays."""
    async with attacked(tmp_path / "home", emulated, server_body_limit=2 * MEGABYTE) as house:
        for path in PLACES[:4]:
            kind = "application/json" if "edits" not in path else "multipart/form-data; boundary=b"
            length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 209715200"
            begin = head(path, house.keys["anna"], length, f"Content-Type: {kind}")
            found, taken = await flood(house, begin, chunked=chunked, most=100 * MEGABYTE)
            # 400: it was clear before the limit that this is no form and no JSON
            assert found in (413, 400, 0), path
            assert taken < 16 * MEGABYTE, path
            if not chunked:
                assert status(await house.raw(begin)) == 413
        assert weight_of(tmp_path) < 16 * MEGABYTE
        assert (await house.send("anna", "GET", "/api/v1/me")).status == 200


FORMS: dict[str, tuple[str, bytes]] = {
    "parts": ("b", b'--b\r\nContent-Disposition: form-data; name="a[]"\r\n\r\nx\r\n' * 10_000),
    "headers": ("b", b"--b\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\nx\r\n--b--\r\n"),
    "boundary": ("b" * 20_000, b"--b--\r\n"),
    "preamble": ("b", b"x" * (2 * MEGABYTE) + b"\r\n--b--\r\n"),
    "epilogue": (
        "b",
        b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx\r\n--b--\r\n'
        + b"x" * (2 * MEGABYTE),
    ),
    "no end": ("b", b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx'),
    "nothing": ("b", b""),
}


@pytest.mark.parametrize("kind", FORMS)
async def test_s58_forms_without_end_cost_little(house: Target, kind: str) -> None:
    """S58: 400 or 413, and little work."""
    boundary, body = FORMS[kind]
    begin = head(
        "/openai/v1/images/edits",
        house.keys["anna"],
        f"Content-Type: multipart/form-data; boundary={boundary}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    with lines_of("heliograph.server", "python_multipart") as lines:
        found = await house.raw(begin + body)
    assert status(found) in (400, 413), found[:300]
    assert lines.count < 50_000  # ten thousand parts or headers, each read, take more
    left = house.gateway.store.home / "server"
    assert not [path for path in files_in(left) if path.name.startswith("part-")]


async def test_s59_ranges_are_one_or_none(house: Target) -> None:
    """S59: 416 or the whole file, at once."""
    image = await house.draw("anna")
    path = f"/pictures/{image['id']}/original"
    whole = await house.send("anna", "GET", path)
    many = "bytes=" + ",".join("0-1" for _ in range(5_000))
    for told in (many, "bytes=0-1,0-1", "bytes=-", "bytes=5-1", "bytes=a-b", "items=0-1"):
        with lines_of("heliograph.server") as lines:
            answer = await house.send("anna", "GET", path, headers={"range": told})
        assert lines.count < 5000  # as many as parts were asked for
        assert answer.status in (200, 416), (told[:40], answer.status)
        if answer.status == 200:
            assert answer.body == whole.body
    beyond = await house.send("anna", "GET", path, headers={"range": "bytes=99999999-"})
    assert beyond.status == 416
    huge = await house.send("anna", "GET", path, headers={"range": "bytes=0-" + "9" * 5000})
    assert huge.status in (200, 206, 416)


SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
TWO_WAYS = {
    "both lengths": ("Content-Length: 4", "Transfer-Encoding: chunked"),
    "two lengths": ("Content-Length: 4", "Content-Length: 5"),
    "bad chunk": ("Transfer-Encoding: chunked",),
    "folded": ("X-A: 1", " folded"),
    "space": ("Content-Length : 4",),
    "coding": ("Transfer-Encoding: xchunked",),
}


@pytest.mark.parametrize("kind", TWO_WAYS)
async def test_s61_what_two_servers_read_differently(house: Target, kind: str) -> None:
    """S61 on each face: 400, and the connection ends there."""
    for path in PLACES:
        body = b"zz\r\nabcd\r\n0\r\n\r\n"
        found = await house.raw(head(path, house.keys["anna"], *TWO_WAYS[kind]) + body + SMUGGLED)
        assert status(found) == 400, (path, found)
        assert found.count(b"HTTP/1.1 ") == 1, path
    assert await house.bill() == []


async def test_s60_many_idle_connections_leave_room(house: Target) -> None:
    """S60: those that say nothing go first; who asks is answered meanwhile."""
    opened = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(400)]
    async with asyncio.timeout(HANG):
        assert (await house.send(None, "GET", "/healthz")).status == 200
    assert len(house.wire.idle) <= house.wire.patience.idle
    assert house.wire.patience.head_seconds == 10
    assert house.wire.patience.body_seconds == 60
    for _, writer in opened:
        writer.close()


# ------------------------------------------------------------ the process that operators start


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, emulated: str) -> Any:
    with Process(tmp_path_factory.mktemp("served") / "home", emulated, "canary-of-wire") as process:
        yield process


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET http://evil.test/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET //healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /x/../healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /x%2f..%2fhealthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /healthz;x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x/healthz?\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: evil.test\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"TRACE /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"FOO /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"GET /Healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
        (b"GET /healthz. HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
        (b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
        (b"GET /debug/pprof HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
        (b"GET /_emulator/ledger HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
        (
            (
                b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: 1\r\n" * 200 + b"\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 405),  # TLS, read as a method of nobody
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
def test_s12_s61_the_process_has_the_same_wire(served: Process, sent: bytes, expected: int) -> None:
    """S12, S61, S65, S94, S97, S99: what `heliograph serve` runs is what is tested here."""
    found = served.raw(sent)
    if sent.startswith(b"PRI"):
        assert status(found) in (400, 405), found
    else:
        assert status(found) == expected, found
    assert not re.search(rb"(?im)^(server|x-powered-by|via):", found)
    for word in (b"uvicorn", b"starlette", b"fastapi", b"httptools", b"python", b"Traceback"):
        assert word.lower() not in found.lower()


def test_s99_the_emulator_refuses_other_machines() -> None:
    """S99: it listens on loopback alone, and `serve` has no route of it."""
    child = subprocess.run(
        [sys.executable, "-m", "heliograph.emulator", "--host", "0.0.0.0"],  # noqa: S104
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert child.returncode != 0
    assert "Traceback" not in child.stderr


def test_s97_nothing_names_a_version(served: Process) -> None:
    """S97: probes and documents say what we are, and neither a version nor parts."""
    import heliograph

    for path in ("/healthz", "/readyz", "/openai/v1/openapi.json", "/api/v1/openapi.json"):
        answer = served.ask("GET", path)
        assert answer[0] == 200, answer
        said = json.dumps(answer[1]) + answer[2].decode()
        assert heliograph.__version__ not in said.replace("127.0.0.1", "")

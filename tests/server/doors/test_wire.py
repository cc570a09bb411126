"""HTTP as attackers write it: S12, S52, S56, S57, S60, S61, S65, S97, S98 on raw sockets."""

import asyncio
import re
import time
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

import httpx2 as httpx
import pytest
from tests.server.doors.house import BODY_LIMIT, a_house, ask
from tests.server.waiting import HANG, until

from heliograph.server.wire import Patience, Protocol, Wire

HEAD = b"POST /body HTTP/1.1\r\nHost: localhost\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def with_key(key: str, *lines: bytes, method: bytes = b"POST", path: bytes = b"/body") -> bytes:
    first = method + b" " + path + b" HTTP/1.1"
    own = b"x-api-key: " + key.encode()
    return b"\r\n".join([first, b"Host: localhost", own, *lines, b"", b""])


@pytest.mark.parametrize(
    ("name", "lines", "body"),
    [
        ("both lengths", [b"Content-Length: 4", b"Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        ("both, other order", [b"Transfer-Encoding: chunked", b"Content-Length: 4"], b"0\r\n\r\n"),
        ("two lengths", [b"Content-Length: 4", b"Content-Length: 5"], b"abcde"),
        ("length list", [b"Content-Length: 4, 4"], b"abcd"),
        ("signed length", [b"Content-Length: +4"], b"abcd"),
        ("negative length", [b"Content-Length: -4"], b"abcd"),
        ("huge length", [b"Content-Length: 99999999999999999999999"], b""),
        ("hexadecimal length", [b"Content-Length: 0x4"], b"abcd"),
        ("unknown coding", [b"Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
        ("coding not last", [b"Transfer-Encoding: chunked, identity"], b"0\r\n\r\n"),
        ("coding twice", [b"Transfer-Encoding: chunked", b"Transfer-Encoding: x"], b"0\r\n\r\n"),
        ("space before colon", [b"Content-Length : 4"], b"abcd"),
        ("folded header", [b"X-A: 1", b" folded"], b""),
        ("bad chunk size", [b"Transfer-Encoding: chunked"], b"zz\r\nabcd\r\n0\r\n\r\n"),
        ("chunk too long", [b"Transfer-Encoding: chunked"], b"2\r\nabcd\r\n0\r\n\r\n"),
        ("chunk of line feeds", [b"Transfer-Encoding: chunked"], b"4\nabcd\n0\n\n"),
        ("huge chunk size", [b"Transfer-Encoding: chunked"], b"ffffffffffffffffff\r\nab"),
        ("bare return", [b"X-A: 1\rX-B: 2"], b""),
        ("no name", [b": 1"], b""),
    ],
)
async def test_what_two_servers_could_read_differently_is_refused(
    name: str, lines: list[bytes], body: bytes
) -> None:
    async with a_house() as house:
        key = await house.key(await house.user("anna"))
        smuggled = b"GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n"
        found = await house.raw(with_key(key, *lines) + body + smuggled)
        assert status(found) == 400, (name, found)
        assert found.count(b"HTTP/1.1 ") == 1, "the connection is closed, and nothing follows"
        assert b"200" not in found


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (b"GET http://evil.test/who HTTP/1.1", b"localhost"),
        (b"GET http://localhost/who HTTP/1.1", b"localhost"),
        (b"GET //who HTTP/1.1", b"localhost"),
        (b"GET /x//who HTTP/1.1", b"localhost"),
        (b"GET /healthz/../who HTTP/1.1", b"localhost"),
        (b"GET /healthz/%2e%2e/who HTTP/1.1", b"localhost"),
        (b"GET /healthz/.%2E/who HTTP/1.1", b"localhost"),
        (b"GET /healthz%2f..%2fwho HTTP/1.1", b"localhost"),
        (b"GET /healthz;/who HTTP/1.1", b"localhost"),
        (b"GET /healthz%3b HTTP/1.1", b"localhost"),
        (b"GET /who%00 HTTP/1.1", b"localhost"),
        (b"GET /who%0d%0aX:1 HTTP/1.1", b"localhost"),
        (b"GET \\who HTTP/1.1", b"localhost"),
        (b"GET /wh%6 HTTP/1.1", b"localhost"),
        (b"GET /%ff HTTP/1.1", b"localhost"),
        (b"GET who HTTP/1.1", b"localhost"),
        (b"GET /who HTTP/1.1", b"x/healthz?"),
        (b"GET /who HTTP/1.1", b"evil.test"),
        (b"GET /who HTTP/1.1", b"localhost.evil.test"),
        (b"GET /who HTTP/1.1", b"localhost."),
        (b"GET /who HTTP/1.1", b"localhost:99999"),
        (b"GET /who HTTP/1.1", b"localhost:8700:1"),
        (b"GET /who HTTP/1.1", b"user@localhost"),
        (b"GET /who HTTP/1.1", b"localhost, evil.test"),
        (b"GET /who HTTP/1.1", b"169.254.169.254"),
        (b"GET /who HTTP/1.1", b""),
        (b"GET /healthz HTTP/1.1", b"evil.test"),
        (b"CONNECT localhost:80 HTTP/1.1", b"localhost"),
        (b"OPTIONS * HTTP/1.1", b"localhost"),
    ],
)
async def test_odd_addresses_are_refused_with_and_without_a_key(line: bytes, host: bytes) -> None:
    async with a_house() as house:
        key = await house.key(
            await house.user(
                "anna",
            )
        )
        for more in (b"", b"x-api-key: " + key.encode() + b"\r\n"):
            found = await house.raw(
                line + b"\r\nHost: " + host + b"\r\n" + more + b"Connection: close\r\n\r\n"
            )
            assert status(found) == 400, found


async def test_one_host_and_only_one() -> None:
    async with a_house() as house:
        for host in (b"", b"Host: localhost\r\nHost: localhost\r\n"):
            found = await house.raw(
                b"GET /healthz HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n"
            )
            assert status(found) == 400
        for host in (b"LocalHost", b"127.0.0.1:1", b"[::1]:80", b"helio.test"):
            line = b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
            assert status(await house.raw(line)) == 200


@pytest.mark.parametrize(
    "path", ["/WHO", "/who.", "/who/", "/Who", "/who%20", "/v1/models/%E2%82%AC"]
)
async def test_other_spellings_are_other_paths(path: str) -> None:
    async with a_house() as house:
        assert (await ask(house, path))[0] in (400, 401)
        key = await house.key(await house.user("anna"))
        expected = {"/v1/models/%E2%82%AC": 200, "/who%20": 404}.get(path, 404)
        assert (await ask(house, path, key))[0] == expected


@pytest.mark.parametrize("method", [b"TRACE", b"PROPFIND", b"FOO", b"get", b"PURGE"])
async def test_other_methods_are_refused(method: bytes) -> None:
    async with a_house() as house:
        key = await house.key(await house.user("anna"))
        found = await house.raw(with_key(key, b"Connection: close", method=method, path=b"/who"))
        assert status(found) == 405, found
        assert b"allow: " in found.lower()


async def test_a_method_override_is_ignored() -> None:
    async with a_house() as house:
        key = await house.key(await house.user("anna"))
        for header in ("x-http-method-override", "x-method-override", "x-http-method"):
            got = await ask(house, "/who", key, headers={header: "DELETE"})
            assert got[0] == 200
            assert (await ask(house, "/who", key, method="DELETE", headers={header: "GET"}))[
                0
            ] == 405


async def test_compressed_bodies_are_refused() -> None:
    async with a_house() as house:
        key = await house.key(await house.user("anna"))
        for coding in ("gzip", "br", "deflate", "GZIP", "identity, gzip", "x"):
            found = await house.raw(
                with_key(key, b"Content-Encoding: " + coding.encode(), b"Content-Length: 100000")
            )
            assert status(found) == 415
        assert house.reads == []
        plain = {"content-encoding": "identity"}
        assert (await ask(house, "/body", key, method="POST", headers=plain))[0] == 200


async def flood(house: Any, head: bytes, *, chunked: bool) -> tuple[int, int]:
    """Status, and how many bytes the server took before it closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    taken = 0
    answer = b""
    piece = b"x" * 16384
    frame = b"4000\r\n" + piece + b"\r\n" if chunked else piece
    async with asyncio.timeout(HANG):
        with suppress(ConnectionError):
            writer.write(head)
            for _ in range(4000):
                writer.write(frame)
                await writer.drain()
                taken += len(piece)
                if reader.at_eof() or reader.exception():
                    break
                await asyncio.sleep(0)
        with suppress(ConnectionError):
            answer = await reader.read()
    writer.close()
    return status(answer), taken


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_is_counted_while_it_is_read(chunked: bool) -> None:
    async with a_house() as house:
        key = await house.key(await house.user("anna"))
        length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 60000000"
        await flood(house, with_key(key, length), chunked=chunked)
        # nothing at all where the length was told
        assert sum(house.reads) <= (BODY_LIMIT if chunked else 0)

        async def parts() -> Any:
            for _ in range(20):
                yield b"x" * 65536

        body = parts() if chunked else b"x" * (20 * 65536)
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                house.url + "/body", content=body, headers={"x-api-key": key}
            )
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "too_large"
        assert answer.headers["connection"] == "close"
        exact = await ask(house, "/body", key, method="POST", data=b"x" * BODY_LIMIT)
        assert (exact[0], exact[1]["size"]) == (200, BODY_LIMIT)


async def test_a_flood_without_a_key_is_not_read() -> None:
    async with a_house() as house:
        for chunked in (True, False):
            length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 900000"
            _, taken = await flood(house, HEAD + length + b"\r\n\r\n", chunked=chunked)
            assert taken < 16 << 20, "what lies in the system's own buffers, and no more"
        assert house.reads == []


async def test_a_client_that_sends_much_still_sees_why_it_is_refused() -> None:
    async with a_house() as house, httpx.AsyncClient() as client:
        for size in (100_000, 900_000):
            answer = await client.post(house.url + "/body", content=b"x" * size)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "unauthenticated"


async def test_a_small_body_that_comes_after_its_head_is_read_out() -> None:
    """As http.client sends it: in two pieces. The answer is seen, and the connection stays."""
    async with a_house() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        for _ in range(3):
            writer.write(HEAD + b"Content-Length: 50000\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(b"x" * 50_000)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            assert status(head) == 401
            assert b"connection: close" not in head
            (length,) = re.findall(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length))
        writer.close()
        assert house.reads == []


async def test_a_small_body_that_never_comes_is_not_waited_for() -> None:
    async with a_house() as house:
        for line in (b"Content-Length: 50\r\n", b"Content-Length: 50\r\nExpect: 100-continue\r\n"):
            found = await house.raw(HEAD + line + b"\r\n")
            assert status(found) == 401
            assert b"connection: close" in found


QUICK = Patience(head_seconds=0.3)


@pytest.mark.parametrize("begin", [b"", b"GET /", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A"])
async def test_slow_headers_end_the_connection(begin: bytes) -> None:
    """However long the client goes on: each byte is no new beginning."""
    async with a_house(patience=QUICK) as house:
        begun = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)

        async def drip() -> None:
            for letter in chain(begin, repeat(ord("a"))):
                if begin:
                    writer.write(bytes([letter]))
                await asyncio.sleep(0.05)

        dripping = asyncio.ensure_future(drip())
        assert await asyncio.wait_for(reader.read(), HANG) == b""
        assert time.monotonic() - begun > 0.29
        dripping.cancel()
        writer.close()


class ByHand(Wire):
    """Connections whose time is over when the test says so."""

    _last: "Handed | None" = None

    def __call__(self, *args: Any, **named: Any) -> Protocol:
        self._last = Handed(*args, **named)
        self._last.wire = self
        return self._last

    @property
    def limit(self) -> float | None:
        """Seconds after which the last connection would be looked at; None when no time runs."""
        return self._last.limit if self._last else None

    def pass_by(self) -> None:
        """So much time is over."""
        assert self._last is not None
        self._last.over()


class Handed(Protocol):
    """One connection; it keeps the one time limit that runs."""

    limit: float | None = None  # seconds
    over: Any = None

    def _wait(self, seconds: float | None, then: Any = None) -> None:
        self.limit, self.over = seconds, then


@pytest.mark.parametrize(
    ("piece", "is_enough"), [(0, False), (1, False), (999, False), (1000, True)]
)
async def test_a_slow_body_ends_the_connection_and_a_steady_one_does_not(
    piece: int, is_enough: bool
) -> None:
    """In each time as long as `body_seconds`, so many bytes must come, or its end."""
    wire = ByHand(patience=Patience(body_seconds=60, body_bytes=1000))
    async with a_house(wire=wire) as house:
        key = await house.key(await house.user("anna"))
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(with_key(key, b"Content-Length: 4000"))

        async def arrived(count: int) -> None:
            await until(lambda: sum(house.reads) == count)

        for turn in range(1, 4):
            writer.write(b"x" * piece)
            await until(lambda: wire.limit == 60)
            await arrived(turn * piece)
            wire.pass_by()
            if not is_enough:
                assert await asyncio.wait_for(reader.read(), HANG) == b""
                writer.close()
                return
            assert wire.limit == 60, "the next time has begun"
        writer.write(b"x" * 1000)
        assert (await asyncio.wait_for(reader.readline(), HANG)).startswith(b"HTTP/1.1 200")
        assert wire.limit is None
        writer.close()


async def test_a_long_answer_is_no_slow_request() -> None:
    """Nor is a kept connection, which may rest longer than headers may take."""
    wire = ByHand()
    async with a_house(wire=wire) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        for _ in range(3):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANG)
            assert status(head) == 200
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
            await reader.readexactly(length)
            assert wire.limit is None, "no time runs"
        writer.close()


async def test_the_longest_idle_connections_make_room() -> None:
    async with a_house(patience=Patience(head_seconds=300, idle=5)) as house:
        opened = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(8)]
        await until(lambda: sum(reader.at_eof() for reader, _ in opened) == 3)
        ended = [reader.at_eof() for reader, _ in opened]
        assert ended == [True] * 3 + [False] * 5
        assert (await ask(house, "/healthz"))[0] == 200
        for _, writer in opened:
            writer.close()
        await until(lambda: not house.wire.idle)


@pytest.mark.parametrize(
    "sent", [b"X-A: " + b"a" * 200_000, b"X-A: 1\r\n" * 20_000, b"a" * 200_000]
)
async def test_endless_headers_are_refused(sent: bytes) -> None:
    async with a_house() as house:
        found = await house.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + sent)
        assert status(found) in (0, 400)
        assert b"200" not in found[:20]
        assert (await ask(house, "/healthz"))[0] == 200


async def test_trailers_change_nothing() -> None:
    async with a_house() as house:
        key = await house.key(await house.user("anna"))
        body = b"2\r\nab\r\n0\r\nx-api-key: other\r\nhost: evil.test\r\n\r\n"
        lines = (b"Transfer-Encoding: chunked", b"Connection: close")
        found = await house.raw(with_key(key, *lines) + body)
        assert status(found) == 200
        assert found.endswith(b'{"size":2}')


async def test_answers_name_no_software_and_no_cause() -> None:
    async with a_house() as house:
        key = await house.key(await house.user("anna"))
        for path, expected in (("/body", 200), ("/who", 200), ("/broken", 500), ("/none", 404)):
            code, answer, headers = await ask(house, path, key)
            assert code == expected
            assert headers["x-content-type-options"] == "nosniff"
            assert len(headers["x-request-id"]) == 32
            assert not {"server", "x-powered-by", "via"} & set(headers)
            text = str(answer).lower() + str(headers).lower()
            for word in ("uvicorn", "starlette", "traceback", "select", "/srv", "lookuperror"):
                assert word not in text
        code, answer, headers = await ask(house, "/broken", key)
        assert answer["error"]["code"] == "internal"
        assert answer["error"]["request"] == headers["x-request-id"]
        assert headers["x-should-retry"] == "false"


async def test_web_sockets_are_no_way_in() -> None:
    async with a_house() as house:
        lines = (b"Connection: Upgrade, close", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
        found = await house.raw(
            with_key("none", *lines, b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", method=b"GET"),
        )
        assert status(found) == 401

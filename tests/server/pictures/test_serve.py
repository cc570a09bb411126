"""One function sends all bytes: conditions, ranges, types (S53, S59)."""

import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.imaging.pictures import encoded, natural
from tests.server.counting import calls_of
from tests.server.pictures.conftest import Site, render, serving

from heliograph.errors import HeliographError
from heliograph.server.faults import RangeNotSatisfiable
from heliograph.server.pictures.serve import Shown, range_of, serve

PICTURE = encoded(natural(1500, 1000), "png")  # several pieces long
ETAG = f'"{hashlib.sha256(PICTURE).hexdigest()}"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(PICTURE)
    (tmp_path / "tail.jpg").write_bytes(encoded(natural(64, 64), "jpeg") + b"<script>")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.fixture
async def site(folder: Path) -> AsyncIterator[Site]:
    async def show(request: Request) -> Response:
        return serve(Shown(source=folder / request.path_params["name"], name="a"))

    async def describe(_: Request) -> Response:
        text = b"<Image/>"
        return serve(Shown(source=text, name="d", media_type="application/xml", suffix=".dzi"))

    routes = [Route("/d", describe), Route("/{name}", show)]
    app = Starlette(routes=routes, exception_handlers={HeliographError: render})
    async with serving(app) as base, aiohttp.ClientSession() as session:
        yield Site(base, session)


async def test_whole_and_in_parts(site: Site) -> None:
    size = len(PICTURE)
    assert size > 1 << 20
    for header, start, end in (
        ("bytes=0-", 0, size),
        ("bytes=0-0", 0, 1),
        ("bytes=5-300000", 5, 300_001),
        ("bytes=300000-", 300_000, size),
        ("bytes=-10", size - 10, size),
        (f"bytes=-{size * 2}", 0, size),
        (f"bytes=7-{10**15}", 7, size),
    ):
        answer = await site.ask("/a.png", range=header)
        assert (answer.status, answer.body) == (206, PICTURE[start:end]), header
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert answer.headers["content-length"] == str(end - start)
        assert answer.headers["etag"] == ETAG
    answer = await site.ask("/a.png")
    assert (answer.status, answer.body) == (200, PICTURE)


MANY = "bytes=" + ",".join(f"{n}-{n}" for n in range(4000))


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (MANY, 200),
        ("bytes=0-1,0-1", 200),
        ("bytes=5-1", 200),
        ("bytes=--1", 200),
        ("bytes=-", 200),
        ("bytes=a-b", 200),
        ("rows=0-1", 200),
        ("bytes=1-٣", 200),
        ("bytes=-0", 416),
        (f"bytes={10**9}-", 416),
        (f"bytes={10**17}-", 416),
    ],
)
async def test_strange_ranges(site: Site, header: str, status: int) -> None:
    """S59."""
    answer = await site.ask("/a.png", range=header)
    assert answer.status == status
    assert answer.body == (PICTURE if status == 200 else b"")
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(PICTURE)}"


def test_many_ranges_cost_nothing() -> None:
    """S59: 10,000 parts are passed over by the same steps as five, and no byte of them is read."""

    def steps(count: int) -> list[str]:
        header = "bytes=" + ",".join(f"{1000 + n}-{1000 + n}" for n in range(count))
        assert len(header) >= 50
        assert range_of(header, 10**7) is None
        return calls_of(lambda: range_of(header, 10**7))

    assert steps(10_000) == steps(5)
    assert "Pattern.fullmatch" not in steps(10_000)


@given(st.integers(1, 10**6), st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_range_lies_in_the_file(size: int, first: int, last: int) -> None:
    for header in (f"bytes={first}-{last}", f"bytes={first}-", f"bytes=-{last}"):
        try:
            part = range_of(header, size)
        except RangeNotSatisfiable:
            assert header.startswith("bytes=-0") or first >= size
            continue
        if part is None:
            assert last < first
            continue
        assert 0 <= part[0] < part[1] <= size


async def test_conditions(site: Site) -> None:
    for header, status in (
        (ETAG, 304),
        (f"W/{ETAG}", 304),
        (f'"x", {ETAG}', 304),
        ("*", 304),
        ('"x"', 200),
        ("", 200),
    ):
        answer = await site.ask("/a.png", if_none_match=header)
        assert (answer.status, answer.headers["etag"]) == (status, ETAG)
        assert answer.headers["cache-control"] == "private, no-cache"
        assert bool(answer.body) == (status == 200)
    assert (await site.ask("/a.png", if_match='"x"')).status == 412
    assert (await site.ask("/a.png", if_match=ETAG)).status == 200
    for header, status in ((ETAG, 206), (f"W/{ETAG}", 200), ("Mon, 01 Jan 2035 00:00:00 GMT", 200)):
        answer = await site.ask("/a.png", range="bytes=1-2", if_range=header)
        assert answer.status == status


async def test_head_tells_and_sends_nothing(site: Site) -> None:
    for headers in ({}, {"range": "bytes=0-5"}, {"range": MANY}):
        answer = await site.ask("/a.png", method="HEAD", **headers)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == str(len(PICTURE))
    assert (await site.ask("/a.png", method="HEAD", if_none_match=ETAG)).status == 304
    assert (await site.ask("/a.png", method="POST")).status == 405


async def test_what_is_no_picture_is_not_sent(site: Site, folder: Path) -> None:
    for name in ("folder", "missing", "a%00b"):
        assert (await site.ask(f"/{name}")).status == 404
    (folder / "x.png").write_bytes(b"<html>")
    assert (await site.ask("/x.png")).status == 404
    polyglot = await site.ask("/tail.jpg")
    assert (polyglot.status, polyglot.headers["content-type"]) == (200, "image/jpeg")


async def test_a_description_is_sent_like_a_picture(site: Site) -> None:
    answer = await site.ask("/d")
    assert (answer.status, answer.body) == (200, b"<Image/>")
    assert answer.headers["content-type"] == "application/xml"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    again = await site.ask("/d", if_none_match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert (await site.ask("/d", range="bytes=1-2")).body == b"Im"


async def test_a_file_is_not_held_in_memory(folder: Path) -> None:
    large = folder / "large.png"
    large.write_bytes(PICTURE + bytes(64 << 20))
    sent = 0

    async def take(message: dict[str, object]) -> None:
        nonlocal sent
        body = message.get("body", b"")
        assert isinstance(body, bytes)
        sent += len(body)

    scope = {"type": "http", "method": "GET", "headers": [], "path": "/"}
    answer = serve(Shown(source=large, name="a", sha256="0" * 64))
    tracemalloc.start()
    try:
        await answer(scope, None, take)  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent == large.stat().st_size
    assert peak < 4 << 20

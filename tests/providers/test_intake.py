"""Whatever the pieces, the threads and the moment of a call-off: the spool gets every byte once, in
order, and nothing arrived is lost when a connection breaks."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.killpoints import armed
from heliograph.providers import intake as module
from heliograph.providers import spool as spool_module
from heliograph.providers.clock import Clock, Deadlines
from heliograph.providers.http import Channel
from heliograph.providers.intake import FULL, GATHER, SMALL, Intake
from heliograph.providers.room import Room
from heliograph.providers.spool import RAW, Spool
from heliograph.providers.tap import AnswerTooLarge
from heliograph.providers.wire import WireRequest

SIZES = (1, SMALL - 1, SMALL + 1, GATHER - 1, GATHER, GATHER + 1, FULL + 1)


@pytest.fixture
def hands() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def numbered(count: int, start: int = 0) -> bytes:
    """So many bytes of a text in which no place looks like another."""
    return b"".join(b"%07d " % n for n in range(start // 8, (start + count) // 8 + 1))[:count]


def made(folder: Path, hands: ThreadPoolExecutor) -> Intake:
    folder.mkdir(exist_ok=True)
    return Intake(Spool(folder), hands)


async def read(intake: Intake, pieces: list[bytes]) -> None:
    for piece in pieces:
        intake.put(piece)
        if intake.is_full:
            await intake.room()
    await intake.settle()


@contextlib.contextmanager
def held(gate: threading.Event) -> Iterator[threading.Event]:
    """A thread that has fed a piece stays there until the gate opens; says when one is there."""
    is_there = threading.Event()

    def act(point: str) -> None:
        if point == "body" and threading.current_thread() is not threading.main_thread():
            is_there.set()
            gate.wait(30)

    with armed(act):
        yield is_there


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110  what a thread does is no event of the loop
            await asyncio.sleep(0.001)


# ---------------------------------------------------------------- order


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
async def test_every_byte_reaches_the_spool_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, hands: ThreadPoolExecutor, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    sizes = data.draw(st.lists(st.sampled_from(SIZES), max_size=12))
    pauses = data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    ends = data.draw(st.sampled_from(["settled", "called off", "at once"]))
    body = b'{"a":"' + numbered(sum(sizes))
    intake, place = made(folder, hands), 0

    async def go() -> None:
        nonlocal place
        for size, pauses_here in zip(sizes, pauses, strict=True):
            intake.put(body[place : place + size])
            place += size
            if pauses_here:
                await asyncio.sleep(0)
            if intake.is_full:
                await intake.room()
        if ends == "settled":
            await intake.settle()

    task = asyncio.ensure_future(go())
    if ends == "called off":
        for _ in range(len(sizes) // 2):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    else:
        await task
    tapped = intake.close()
    raw = folder / RAW
    assert (raw.read_bytes() if raw.exists() else b"") == body[:place]
    assert tapped.skeleton == body[:place]


def holds(raw: Path, size: int) -> bool:
    return raw.exists() and raw.stat().st_size == size


async def test_what_waits_is_written_while_nothing_more_comes(
    tmp_path: Path, hands: ThreadPoolExecutor
) -> None:
    for name, size in (("few", 10), ("some", SMALL + 1), ("many", GATHER)):
        intake = made(tmp_path / name, hands)
        intake.put(numbered(size))
        raw = tmp_path / name / RAW
        await until(partial(holds, raw, size))
        intake.close()


async def test_what_comes_meanwhile_follows_without_being_asked_for(
    tmp_path: Path, hands: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER", 999.0)  # no timer helps
    gate, body = threading.Event(), numbered(GATHER + 100)
    intake = made(tmp_path, hands)
    with held(gate) as is_there:
        intake.put(body[:GATHER])
        await until(is_there.is_set)
        intake.put(body[GATHER:])
        gate.set()
        await until(lambda: (tmp_path / RAW).stat().st_size == len(body))
    intake.close()
    assert (tmp_path / RAW).read_bytes() == body


# ---------------------------------------------------------------- called off


async def test_called_off_while_a_thread_has_the_spool(
    tmp_path: Path, hands: ThreadPoolExecutor
) -> None:
    gate, body = threading.Event(), numbered(GATHER + FULL)
    intake = made(tmp_path, hands)
    with held(gate) as is_there:
        intake.put(body[:GATHER])
        await until(is_there.is_set)
        intake.put(body[GATHER:])
        assert intake.is_full
        task = asyncio.ensure_future(intake.room())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert (tmp_path / RAW).stat().st_size == GATHER
        threading.Timer(0.01, gate.set).start()
        assert intake.close().skeleton == body
    assert (tmp_path / RAW).read_bytes() == body


async def test_called_off_before_a_thread_could_begin(tmp_path: Path) -> None:
    body, gate = numbered(FULL), threading.Event()
    with ThreadPoolExecutor(1) as busy:
        busy.submit(gate.wait, 30)
        intake = made(tmp_path, busy)
        intake.put(body)
        # the one thread is taken for as long as we like: nobody waits for it
        assert intake.close().skeleton == body
        gate.set()
    assert (tmp_path / RAW).read_bytes() == body


async def test_there_is_room_only_when_a_thread_took_what_waits(tmp_path: Path) -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1) as busy:
        busy.submit(gate.wait, 30)
        intake = made(tmp_path, busy)
        intake.put(numbered(FULL - 1))
        full = [intake.is_full]
        intake.put(b"x")
        full.append(intake.is_full)
        task = asyncio.ensure_future(intake.room())
        await asyncio.sleep(0.01)
        assert not task.done()
        gate.set()
        await task
        assert [*full, intake.is_full] == [False, True, False]
        await intake.settle()
        assert len(intake.close().skeleton) == FULL


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("size", [SMALL, GATHER])
async def test_too_large_is_told_once_and_nothing_more_is_fed(
    size: int, tmp_path: Path, hands: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "RAW_LIMIT", 1000)
    intake = made(tmp_path, hands)
    intake.put(numbered(size))
    await until(lambda: intake.is_full)
    intake.put(b"more")
    with pytest.raises(AnswerTooLarge):
        await intake.room()
    with pytest.raises(AnswerTooLarge):
        await intake.settle()
    intake.close()
    assert (tmp_path / RAW).read_bytes() == numbered(size)


@pytest.mark.parametrize("size", [SMALL, GATHER - 1])
async def test_too_large_with_the_last_piece_is_told(
    size: int, tmp_path: Path, hands: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "RAW_LIMIT", 1000)
    intake = made(tmp_path, hands)
    with pytest.raises(AnswerTooLarge):
        await read(intake, [numbered(size)])
    intake.close()


# ---------------------------------------------------------------- through a connection


def nothing(name: str, facts: Mapping[str, Any]) -> None:
    del name, facts


async def test_what_arrived_before_the_connection_broke_is_kept_while_it_waits_for_a_place(
    tmp_path: Path,
) -> None:
    body = b'{"a":"' + numbered(200_000)
    is_gone = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n" + body)
        await writer.drain()
        writer.close()
        is_gone.set()

    room = Room(1)
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        channel = Channel(f"http://127.0.0.1:{port}", "v1", "k", Deadlines(), room)
        async with asyncio.timeout(60) as timeout:
            clock = Clock(timeout, Deadlines(), nothing)
            async with room.place(clock):
                request = WireRequest(path="/x", query="", headers={}, body=(), method="GET")
                task = asyncio.ensure_future(channel.exchange(request, tmp_path, nothing))
                await is_gone.wait()
                await asyncio.sleep(0.05)  # the end of the connection is noticed, too
                assert not (tmp_path / RAW).exists()
            reply = await task
            clock.stop()
        await channel.close()
    assert reply.incomplete is not None
    assert (tmp_path / RAW).read_bytes() == body
    assert reply.tapped.skeleton == body


async def test_progress_is_told_and_ends_with_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER", 0.0)
    body = b'{"a":"' + numbered(3 * FULL) + b'"}'
    told: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    def tell(name: str, facts: Mapping[str, Any]) -> None:
        if name == "receiving":
            told.append(facts["bytes"])

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        channel = Channel(f"http://127.0.0.1:{port}", "v1", "k", Deadlines())
        request = WireRequest(path="/x", query="", headers={}, body=(), method="GET")
        reply = await channel.exchange(request, tmp_path, tell)
        await channel.close()
    assert reply.tapped.skeleton == body
    assert told == sorted(told)
    assert told[-1] == len(body)

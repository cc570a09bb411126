"""Ports that close and certificates that nobody should trust, on real sockets."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from cryptography import x509
from tests.emulator.test_transport import Wire, exchange, last_line

from heliograph.emulator import EmulatorSettings, doors, serve
from heliograph.emulator.serving import Running
from heliograph.emulator.tls import AUTHORITY, KINDS


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def refuses(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port_of(url)), timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False


async def comes_back(url: str) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not refuses(url):
            return True
        await asyncio.sleep(0.02)
    return False


class Doorkeeper:
    """The clock that ports close and open by; only `advance` lets its time pass."""

    def __init__(self) -> None:
        self._passed = 0.0

    def monotonic(self) -> float:
        return self._passed

    def advance(self, seconds: float) -> None:
        self._passed += seconds


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Doorkeeper:
    """The clock of every emulator of a test, in place of the system's."""
    keeper = Doorkeeper()
    monkeypatch.setattr(doors, "time", keeper)
    return keeper


async def stays_shut(url: str) -> bool:
    """Whether it still refuses after one more look at the clock."""
    await asyncio.sleep(0.5)
    return refuses(url)


async def test_a_refusing_port_is_really_closed_and_comes_back(
    start: Any, keeper: Doorkeeper
) -> None:
    async with start(billing="on_accept") as emu:
        raw, end = await exchange(emu, "[[fault:refuse:0.4]]")
        assert (raw, end) == (b"", "reset")
        assert refuses(emu.url)
        keeper.advance(0.39)
        assert await stays_shut(emu.url)
        keeper.advance(0.02)
        assert await comes_back(emu.url)
        assert (await emu.generate()).status == 200
        struck, fine = await emu.ledger()
        assert (struck["fault"], struck["billed"], struck["cut_by_fault"]) == (
            "refuse:0.4",
            False,
            True,
        )
        assert fine["billed"] is True


async def test_a_rule_refuses_before_the_body_is_read(emu: Any, keeper: Doorkeeper) -> None:
    rule = {"action": "refuse", "args": 0.5, "count": 1, "match": {"project": "acme"}}
    await emu.post("/_emulator/rules", rule)
    assert (await emu.generate()).status == 200
    with pytest.raises(aiohttp.ClientError):
        await emu.generate(key="emu-project-acme")
    assert refuses(emu.url)
    keeper.advance(0.6)
    assert await comes_back(emu.url)
    line = (await emu.ledger())[-1]
    assert (line["request_read"], line["project"], line["billed"]) == (None, "acme", False)


async def test_more_refusals_keep_the_port_closed_for_longer(
    start: Any, keeper: Doorkeeper
) -> None:
    async with start(latency=0.1) as emu:
        wires = [Wire(emu.url) for _ in range(2)]
        for wire, seconds in zip(wires, (0.2, 1.0), strict=True):
            header = f"x-emu-fault: refuse:{seconds}\r\n"
            await wire.send("a lake", header=header, body_part=0.0)
        for wire in wires:
            assert (await wire.receive())[1] == "reset"
        keeper.advance(0.3)
        assert await stays_shut(emu.url)
        keeper.advance(0.8)
        assert await comes_back(emu.url)


async def test_idle_connections_end_and_busy_ones_get_their_answer(
    start: Any, keeper: Doorkeeper
) -> None:
    async with start(latency=0.3) as emu:
        idle, busy = Wire(emu.url), Wire(emu.url)
        idle.reader, idle.writer = await asyncio.open_connection(*idle.address)
        idle.writer.write(b"GET /_emulator/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in await idle.reader.readuntil(b"\r\n\r\n")
        await busy.send("a lake")
        await exchange(emu, "a lake", header="x-emu-fault: refuse:0.8\r\n")
        rest, end = await idle.receive()
        assert (end, b"HTTP" in rest) == ("end", False)
        assert refuses(emu.url)
        raw, end = await busy.receive()
        assert (raw.startswith(b"HTTP/1.1 200"), end) == (True, "end")
        keeper.advance(0.9)
        assert await comes_back(emu.url)


async def test_nobody_else_can_take_a_closed_port(emu: Any, keeper: Doorkeeper) -> None:
    await exchange(emu, "[[fault:down:0.6]]")
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port_of(emu.url)))
    keeper.advance(0.7)
    assert await comes_back(emu.url)


async def test_an_emulator_can_stop_while_it_refuses(start: Any) -> None:
    async with asyncio.timeout(60), start() as emu:
        await exchange(emu, "[[fault:refuse:600]]")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port_of(emu.url)))


@asynccontextmanager
async def secured() -> AsyncIterator[Running]:
    async with serve(EmulatorSettings(small=True, seed=7, tls=True)) as running:
        yield running


TRUST = ssl.create_default_context(cafile=AUTHORITY)
TRUST.verify_flags |= ssl.VERIFY_X509_STRICT


async def knock(url: str) -> int:
    """200, or the number of the reason that OpenSSL has against the certificate."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url + "/_emulator/healthz", ssl=TRUST) as reply:
                return reply.status
        except aiohttp.ClientConnectorCertificateError as error:
            reason = error.certificate_error
            assert isinstance(reason, ssl.SSLCertVerificationError)
            return reason.verify_code


REASONS = {"good": 200, "expired": 10, "wrong_name": 62, "self_signed": 18}


async def test_each_tls_port_has_its_certificate() -> None:
    async with secured() as running:
        assert tuple(running.tls) == KINDS
        found = {kind: await knock(url) for kind, url in running.tls.items()}
        assert found == REASONS
        by_address = running.tls["good"].replace("localhost", "127.0.0.1")
        assert await knock(by_address) == 200
        assert await knock(running.tls["expired"].replace("localhost", "127.0.0.1")) == 10


@pytest.mark.parametrize("kind", ["expired", "wrong_name", "self_signed"])
async def test_the_good_port_shows_a_bad_certificate_for_a_while(
    kind: str, keeper: Doorkeeper
) -> None:
    async with secured() as running:
        good = running.tls["good"]
        assert await knock(good) == 200
        headers = {"x-goog-api-key": "k", "x-emu-fault": f"tls({kind}:0.8)"}
        url = good + "/v1/models/gemini-3-pro-image:generateContent"
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.post(url, data=b"{}", headers=headers, ssl=TRUST)
        assert await knock(good) == REASONS[kind]
        keeper.advance(0.81)
        assert await knock(good) == 200
        plain = Wire(running.url)
        plain.reader, plain.writer = await asyncio.open_connection(*plain.address)
        plain.writer.write(
            b"GET /_emulator/ledger HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        raw, _ = await plain.receive()
        (line,) = json.loads(raw.partition(b"\r\n\r\n")[2])
        assert (line["fault"], line["billed"]) == (f"tls:{kind}:0.8", False)


async def test_without_tls_ports_the_fault_says_so(emu: Any) -> None:
    reply = await emu.generate("[[fault:tls:expired]]")
    assert (reply.status, "--tls" in reply.error["message"]) == (400, True)
    assert (await emu.generate("[[fault:tls:old]]")).status == 400
    assert (await last_line(emu))["billed"] is False


def test_a_program_trusts_the_good_port_by_environment() -> None:
    emulator = subprocess.Popen(
        [sys.executable, "-m", "heliograph.emulator", "--small", "--tls", "--exit-with-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert emulator.stdout is not None
        line = json.loads(emulator.stdout.readline())
        asks = (
            "import sys, urllib.request as r\n"
            "print(r.urlopen(sys.argv[1] + '/_emulator/healthz', timeout=60).status)"
        )

        def ask(kind: str, **environment: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", asks, line["tls"][kind]],
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                check=False,
            )

        trusting = ask("good", SSL_CERT_FILE=line["tls_ca"])
        assert trusting.stdout == "200\n"
        assert "CERTIFICATE_VERIFY_FAILED" in ask("expired", SSL_CERT_FILE=line["tls_ca"]).stderr
        assert "CERTIFICATE_VERIFY_FAILED" in ask("good").stderr
    finally:
        emulator.communicate(timeout=60)


def test_the_kept_certificates_live_as_long_as_they_should() -> None:
    def ends(kind: str) -> datetime:
        text = (AUTHORITY.parent / f"{kind}.pem").read_bytes()
        return x509.load_pem_x509_certificate(text).not_valid_after_utc

    far = datetime(2120, 1, 1, tzinfo=UTC)
    assert all(ends(kind) > far for kind in ("ca", "good", "wrong_name", "self_signed"))
    assert ends("expired") < datetime(2021, 1, 1, tzinfo=UTC)

"""The network is off in tests by construction (tests/conftest.py)."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

ELSEWHERE = "192.0.2.1"  # TEST-NET-1: routed nowhere, so a try that got out would hang


def test_connecting_elsewhere_fails_before_it_is_tried() -> None:
    with socket.socket() as sock, pytest.raises(Exception, match="stay on loopback") as caught:
        sock.connect((ELSEWHERE, 80))
    # of a try that got out the system itself would tell
    assert not isinstance(caught.value, OSError)


def test_sending_datagrams_elsewhere_fails() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(Exception, match="stay on loopback"),
    ):
        sock.sendto(b"?", (ELSEWHERE, 53))


@pytest.mark.parametrize("host", ["example.com", ELSEWHERE, "2001:db8::1", b"example.com"])
def test_looking_up_other_machines_fails(host: str | bytes) -> None:
    with pytest.raises(Exception, match="stay on loopback"):
        socket.getaddrinfo(host, 443)


def test_names_that_never_exist_do_not_exist() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 443)


async def test_the_event_loop_is_held_too() -> None:
    with pytest.raises(Exception, match="stay on loopback"):
        await asyncio.open_connection(ELSEWHERE, 80)


async def test_loopback_works() -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("localhost", port)
        assert await reader.read() == b"here"
        writer.close()


def test_unix_sockets_work(tmp_path: Path) -> None:
    # a relative name, because the absolute one can be longer than a socket address may be
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind("door")
            server.listen()
            client.connect("door")
    finally:
        os.chdir(before)


def test_keys_of_the_developer_are_gone() -> None:
    assert not [n for n in os.environ if n.startswith(("GEMINI_", "GOOGLE_", "HELIOGRAPH_"))]

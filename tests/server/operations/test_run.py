"""Start, signals and end of a gateway process."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.waiting import HANG, until

from heliograph import AsyncHeliograph
from heliograph.accounts import key_id
from heliograph.errors import ConfigurationError
from heliograph.journal import Stage
from heliograph.server.run import address_of, is_public, take_port

ANSWERED = 6.0  # seconds after which the emulator answers: a machine stands still for less


class Process:
    """A gateway, or whatever it says instead of starting."""

    def __init__(self, env: dict[str, str], *words: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.server.operations.stand", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert self.child.stdout is not None
        self.said: dict[str, Any] = json.loads(self.child.stdout.readline())
        self.errors = ""

    def ask(self, method: str, path: str) -> tuple[int, dict[str, str], str]:
        host = self.said["url"].removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=HANG)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read().decode()
        finally:
            connection.close()

    def stop(self, number: int) -> None:
        self.child.send_signal(number)

    def end(self) -> int:
        _, self.errors = self.child.communicate(timeout=HANG)
        return self.child.returncode


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("HELIOGRAPH_", "GEMINI_"))}
    root = str(Path(__file__).parents[3])
    return {**mine, "HELIOGRAPH_HOME": str(tmp_path / "home"), "PYTHONPATH": root}


@pytest.fixture
def slow(env: dict[str, str]) -> Iterator[dict[str, str]]:
    """Settings for an emulator that takes its time."""
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "heliograph.emulator", "--tiny", "--exit-with-stdin"),
            *("--latency", str(ANSWERED)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    url = json.loads(child.stdout.readline())["url"]
    yield {**env, "GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": "emu-project-operations"}
    child.communicate(timeout=HANG)


async def in_flight(process: Process) -> "asyncio.Task[tuple[int, dict[str, str], str]]":
    """A paid call, once it is sent."""
    asked = asyncio.create_task(asyncio.to_thread(process.ask, "POST", "/paid?prompt=Boat"))

    async def is_sent() -> bool:
        text = (await asyncio.to_thread(process.ask, "GET", "/metrics"))[2]
        return 'heliograph_call_steps_total{step="sent"} 1.0' in text

    await until(is_sent)
    return asked


async def stopping(process: Process) -> tuple[int, dict[str, str], str]:
    """Its readiness, once it has heard that it is to stop."""

    async def found() -> Any:
        answer = await asyncio.to_thread(process.ask, "GET", "/readyz")
        return answer if answer[0] == 503 else None

    answer: tuple[int, dict[str, str], str] = await until(found)
    return answer


async def stages(env: dict[str, str]) -> list[Stage]:
    async with AsyncHeliograph(home=env["HELIOGRAPH_HOME"], simulate=True) as client:
        return [call.stage for call in await client.calls()]


async def test_a_stop_signal_finishes_what_is_under_way(slow: dict[str, str]) -> None:
    process = Process(slow)
    asked = await in_flight(process)
    process.stop(signal.SIGTERM)
    ready = await stopping(process)
    assert json.loads(ready[2])["checks"]["running"] == "stopping"
    assert process.ask("GET", "/healthz")[0] == 200
    status, headers, _ = process.ask("POST", "/paid?prompt=Late")
    assert status == 503
    assert int(headers["retry-after"]) > 0
    assert headers["x-should-retry"] == "true"
    status, _, body = await asked
    assert (status, json.loads(body)["cost"] > 0) == (200, True)
    assert process.end() == 0
    assert "stopping after the calls under way: " in process.errors
    assert await stages(slow) == [Stage.SETTLED]


async def test_at_the_limit_it_says_what_is_not_finished(slow: dict[str, str]) -> None:
    process = Process({**slow, "HELIOGRAPH_SERVER_DRAIN": "0.2"})
    asked = await in_flight(process)
    process.stop(signal.SIGTERM)
    assert process.end() == 0
    assert "not finished after 0.2 s, and written down as unknown: " in process.errors
    await asyncio.wait([asked])
    assert not asked.exception()
    status, headers, _ = asked.result()
    assert status in (503, 504)
    assert headers["x-should-retry"] == "false"
    assert await stages(slow) == [Stage.UNKNOWN]


async def test_whoever_insists_is_obeyed(slow: dict[str, str]) -> None:
    process = Process(slow)
    asked = await in_flight(process)
    process.stop(signal.SIGINT)
    await stopping(process)  # or two signals might be one
    process.stop(signal.SIGINT)
    assert process.end() == 130
    await asyncio.wait([asked])
    asked.exception()
    assert await stages(slow) == [Stage.UNKNOWN], "the answer was not waited for"


async def test_killed_and_started_again(slow: dict[str, str]) -> None:
    process = Process(slow)
    asked = await in_flight(process)
    process.stop(signal.SIGKILL)
    process.end()
    await asyncio.wait([asked])
    asked.exception()
    again = Process(slow)
    assert again.ask("GET", "/readyz")[0] == 200
    assert again.said["admin_key"] is None
    again.stop(signal.SIGTERM)
    assert again.end() == 0
    assert await stages(slow) == [Stage.UNKNOWN]


def test_who_is_let_in(env: dict[str, str]) -> None:
    """S14, S97, and the first key: shown once and kept nowhere."""
    home = Path(env["HELIOGRAPH_HOME"])
    process = Process(env, "--host", "0.0.0.0")  # noqa: S104  refused before it is served
    assert process.end() == 2
    assert "nobody has a key" in process.said["error"]["what"]

    process = Process(env)
    key = process.said["admin_key"]
    assert key_id(key) is not None
    assert process.said["simulated"] is True
    _, headers, _ = process.ask("GET", "/healthz")
    assert "server" not in headers
    process.ask("GET", f"/nowhere/{key}?key={key}")
    process.stop(signal.SIGTERM)
    assert process.end() == 0
    log = [json.loads(line) for line in process.errors.splitlines() if line.startswith("{")]
    assert {line["message"] for line in log} >= {"request", "stopping"}
    assert key not in process.errors
    secret = key[len("helio_live_") + 8 : -6].encode()  # without its public id
    assert not [p for p in home.rglob("*") if p.is_file() and secret in p.read_bytes()]

    process = Process(env, "--host", "0.0.0.0")  # noqa: S104
    assert process.said["url"].startswith("http://127.0.0.1:")
    assert process.said["admin_key"] is None
    process.stop(signal.SIGTERM)
    assert process.end() == 0

    (home / "server" / "pepper").write_text("")
    process = Process(env)
    assert "is empty" in process.said["error"]["what"]
    assert process.end() == 2


def test_new_secrets_beside_old_keys_are_not_made_in_silence(env: dict[str, str]) -> None:
    home, said = Path(env["HELIOGRAPH_HOME"]), []
    for kept in (True, False, True):
        if not kept:
            shutil.rmtree(home / "server")
        process = Process(env)
        process.stop(signal.SIGTERM)
        assert process.end() == 0
        said.append([line for line in process.errors.splitlines() if "get 401: 1." in line])
    first, without, after = said
    assert (first, after) == ([], [])
    (line,) = without
    assert json.loads(line)["level"] == "warning"
    assert str(home / "server") in line


def test_a_port_that_is_taken(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        process = Process(env, "--port", number)
        assert process.end() == 2
    error = process.said["error"]
    assert number in error["what"]
    assert "--port" in error["remedy"]
    assert not (Path(env["HELIOGRAPH_HOME"]) / "heliograph.db").exists()


@pytest.mark.parametrize(
    ("host", "public"),
    [
        *(("127.0.0.1", False), ("127.9.9.9", False), ("::1", False), ("localhost", False)),
        *(("0.0.0.0", True), ("::", True), ("192.168.0.1", True), ("example.com", True)),  # noqa: S104
    ],
)
def test_which_addresses_are_public(host: str, *, public: bool) -> None:
    assert is_public(host) is public


def test_addresses_as_people_write_them() -> None:
    port = take_port("127.0.0.1", 0)
    number = port.getsockname()[1]
    assert address_of("127.0.0.1", port) == f"http://127.0.0.1:{number}"
    assert address_of("0.0.0.0", port) == f"http://127.0.0.1:{number}"  # noqa: S104
    assert address_of("::1", port) == f"http://[::1]:{number}"
    with pytest.raises(ConfigurationError, match="taken"):
        take_port("127.0.0.1", number)
    port.close()
    with pytest.raises(ConfigurationError, match="no address"):
        take_port("host.invalid", 0)

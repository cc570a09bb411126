"""Whole gateways on the real wire, with their log, for those who try to break them."""

import asyncio
import io
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import uvicorn
from tests.server.waiting import HANG
from tests.server.whole.conftest import House, people
from yarl import URL

from heliograph.ports import Observer
from heliograph.server.app import build
from heliograph.server.hardening import serving_options
from heliograph.server.logs import RequestWatch, log_request, stop_logs, write_logs
from heliograph.server.metrics import Metrics
from heliograph.server.opening import open_gateway
from heliograph.server.redaction import Redactor
from heliograph.server.routes import matrix
from heliograph.server.wire import Wire

PRO = "gemini-3-pro-image"


@dataclass
class Target(House):
    """One gateway under attack."""

    app: Any = None
    wire: Wire = field(default_factory=Wire)
    log: io.StringIO = field(default_factory=io.StringIO)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def matrix(self) -> dict[str, str]:
        """The needed scope by route, such as {"GET /v1/models": "read"}."""
        return matrix(self.app)

    async def send(
        self, who: str | None, method: str, path: str, *, local: str | None = None, **options: Any
    ) -> "Answer":
        """Any request, its path as it is written here; without a key when `who` is None."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers["authorization"] = f"Bearer {self.keys.get(who, who)}"
        address = (local, 0) if local else None
        connector = aiohttp.TCPConnector(limit=0, local_addr=address)
        url = URL(self.url + path, encoded=True)
        async with (
            aiohttp.ClientSession(connector=connector, skip_auto_headers=["User-Agent"]) as http,
            http.request(method, url, headers=headers, allow_redirects=False, **options) as answer,
        ):
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(status=answer.status, headers=found, body=await answer.read())

    async def raw(self, data: bytes) -> bytes:
        """Everything that comes back on a connection that sent this, once the server ends it.

        Raises:
            TimeoutError: the connection is not ended.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        found = b""
        try:
            async with asyncio.timeout(HANG):
                with suppress(ConnectionError):  # it was closed while we were sending
                    writer.write(data)
                    await writer.drain()
                with suppress(ConnectionError):
                    while part := await reader.read(65536):
                        found += part
        finally:
            writer.close()
        return found

    async def draw(self, who: str, prompt: str = "a red lake", **fields: Any) -> dict[str, Any]:
        """The first image of a finished job, by the native face."""
        body = {"prompt": prompt, "size": "1K", **fields}
        headers = {"prefer": "wait=60"}
        answer = await self.send(who, "POST", "/api/v1/jobs", json=body, headers=headers)
        assert answer.status == 200, answer.body
        job: dict[str, Any] = answer.json
        image: dict[str, Any] = job["results"][0]["image"]
        return {**image, "job": job["id"]}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The kind of an error, whatever the face."""
        found = self.json
        error = found.get("error", found)
        for detail in error.get("details", ()):
            if "reason" in detail:
                return str(detail["reason"]).lower()
        return str(error["code"])


@pytest.fixture(scope="package")
def emulated() -> Iterator[str]:
    """The address of an emulator process."""
    words = ("-m", "heliograph.emulator", "--tiny", "--exit-with-stdin")
    child = subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    url: str = json.loads(child.stdout.readline())["url"]
    yield url
    child.communicate(timeout=HANG)


@asynccontextmanager
async def attacked(
    home: Path,
    upstream: str,
    *,
    project: str | None = None,
    api_key: str | None = None,
    keys: Mapping[str, str] | None = None,
    observer: Observer | None = None,
    way: str | None = None,
    **settings: Any,
) -> AsyncIterator[Target]:
    """A gateway on a free port, wired and logging as `serve` does it.

    Args:
        way: where calls go, when that is not the upstream itself.
    """
    project = project or uuid4().hex[:10]
    secret = api_key or f"emu-project-{project}"
    wanted = {"workers": 1, "server_drain": HANG, "server_user_per_minute": 1_000_000, **settings}
    wire, log = Wire(), io.StringIO()
    handler = write_logs(Redactor([secret]), stream=log)
    try:
        async with open_gateway(
            home=home,
            base_url=way or upstream,
            api_key=secret,
            settings=wanted,
            observer=observer,
        ) as gateway:
            keys = keys or await people(gateway)
            metrics = Metrics()
            app = build(gateway, metrics)
            watched = RequestWatch(app, sinks=[metrics.served, log_request])
            listening = socket.socket()
            listening.bind(("127.0.0.1", 0))
            config = uvicorn.Config(
                watched,
                lifespan="off",
                log_config=None,
                timeout_graceful_shutdown=2,
                **serving_options(wire),
            )
            server = uvicorn.Server(config)
            serving = asyncio.ensure_future(server._serve([listening]))
            while not server.started:  # noqa: ASYNC110 -- uvicorn tells it in no other way
                await asyncio.sleep(0.005)
            try:
                async with aiohttp.ClientSession() as http:
                    users = {user.name: user for user in await gateway.accounts.users()}
                    yield Target(
                        url=f"http://127.0.0.1:{listening.getsockname()[1]}",
                        gateway=gateway,
                        keys=keys,
                        users=users,
                        upstream=upstream,
                        project=project,
                        http=http,
                        app=_application(app),
                        wire=wire,
                        log=log,
                    )
            finally:
                server.should_exit = True
                await serving
                listening.close()
    finally:
        stop_logs(handler)


def _application(app: Any) -> Any:
    """What has routes, below the layers around it."""
    while not hasattr(app, "routes"):
        app = app.app
    return app


@pytest.fixture
async def house(tmp_path: Path, emulated: str) -> AsyncIterator[Target]:
    """A gateway; afterwards both ledgers are equal, or every difference is one in doubt."""
    async with attacked(tmp_path / "home", emulated) as found:
        yield found
        billed = sum(line["billed_micro"] for line in await found.bill())
        held = sum(balance.held for balance in await found.gateway.client.balances())
        assert await found.ours() + held >= billed
        assert held or await found.ours() == billed

"""Whole gateways, as operators run them, in this process: real sockets, library and emulator."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import aiohttp
import pytest
import uvicorn
from tests.server.holding import Held, holding
from tests.server.waiting import HANG, until

from heliograph.accounts import SCOPES, ApiKey, Role, User, digest, key_id, new_id, new_key
from heliograph.server.app import build
from heliograph.server.gateway import Gateway
from heliograph.server.metrics import Metrics
from heliograph.server.opening import open_gateway

PEOPLE = {"root": Role.ADMIN, "anna": Role.MEMBER, "ben": Role.MEMBER, "vera": Role.VIEWER}


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


@dataclass
class House:
    """One gateway with its users, and what its upstream has billed."""

    url: str
    gateway: Gateway
    keys: Mapping[str, str]
    users: Mapping[str, User]
    upstream: str
    project: str
    http: aiohttp.ClientSession
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def ask(
        self, who: str, prompt: str, headers: Mapping[str, str] = {}, **fields: Any
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """One images/generations request: status, body, headers."""
        body = {
            "model": "gemini-3-pro-image",
            "prompt": prompt,
            "size": "1K",
            "response_format": "url",
            **fields,
        }
        sent = {"authorization": f"Bearer {self.keys[who]}", **headers}
        path = f"{self.url}/openai/v1/images/generations"
        async with self.http.post(path, json=body, headers=sent) as answer:
            return answer.status, await answer.json(), answer.headers

    async def call(
        self, who: str, method: str, path: str, **options: Any
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Any request of the native face."""
        headers = {"authorization": f"Bearer {self.keys[who]}", **options.pop("headers", {})}
        url = path if path.startswith("http") else f"{self.url}{path}"
        async with self.http.request(method, url, headers=headers, **options) as answer:
            data = await answer.read()
            is_json = "json" in answer.headers.get("content-type", "")
            return answer.status, json.loads(data) if is_json and data else data, answer.headers

    async def bill(self) -> list[dict[str, Any]]:
        """The upstream's lines of this gateway, closed."""
        address = f"{self.upstream}/_emulator/ledger?project={self.project}"
        while True:
            lines: list[dict[str, Any]] = await asyncio.to_thread(_get, address)
            if all(line["state"] == "closed" for line in lines):
                return lines
            await asyncio.sleep(0.02)

    async def arrived(self, count: int = 1) -> None:
        """Returns once so many calls of this gateway have reached the upstream."""
        address = f"{self.upstream}/_emulator/ledger?project={self.project}"

        async def enough() -> bool:
            return len(await asyncio.to_thread(_get, address)) >= count

        await until(enough)

    async def ours(self) -> int:
        """Micro-dollars settled in our own ledger."""
        rows = await self.gateway.client.costs("day")
        return sum(row.micro for row in rows)


def _get(address: str) -> Any:
    with urlopen(address) as answer:  # noqa: S310
        return json.load(answer)


@asynccontextmanager
async def running(
    home: Path,
    upstream: str,
    project: str,
    keys: Mapping[str, str] | None = None,
    way: str | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """A gateway on a free port.

    Args:
        way: where calls go, when that is not the upstream itself.
    """
    async with open_gateway(
        home=home,
        base_url=way or upstream,
        api_key=f"emu-project-{project}",
        settings={"workers": 1, "server_drain": HANG, **settings},
    ) as gateway:
        keys = keys or await people(gateway)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            build(gateway, Metrics()), lifespan="off", log_config=None, access_log=False, ws="none"
        )
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            found = {user.name: user for user in await gateway.accounts.users()}
            yield House(
                url=f"http://127.0.0.1:{listening.getsockname()[1]}",
                gateway=gateway,
                keys=keys,
                users=found,
                upstream=upstream,
                project=project,
                http=http,
            )
        server.should_exit = True
        await serving
        listening.close()


async def people(gateway: Gateway) -> Mapping[str, str]:
    """Users with a key each."""
    keys, now = {}, datetime.now(UTC)
    for name, role in PEOPLE.items():
        user = User(id=new_id(), name=name, role=role, created=now, changed=now)
        await gateway.accounts.add_user(user)
        keys[name] = text = new_key()
        await gateway.accounts.add_key(
            ApiKey(
                id=key_id(text) or "",
                user=user.id,
                name="test",
                digest=digest(text, gateway.secrets.pepper),
                scopes=tuple(SCOPES[role]),
                created=now,
            )
        )
    return keys


@pytest.fixture
async def held(emulated: str) -> AsyncIterator[Held]:
    """The way of `house` to the upstream."""
    async with holding(emulated) as found:
        yield found


@pytest.fixture
async def house(tmp_path: Path, emulated: str, held: Held) -> AsyncIterator[House]:
    """A gateway; afterwards both ledgers are equal, or every difference is one in doubt."""
    project = uuid4().hex[:10]
    async with running(tmp_path / "home", emulated, project, way=held.url) as found:
        yield found
        lines = await found.bill()
        billed = sum(line["billed_micro"] for line in lines)
        reserved = sum(balance.held for balance in await found.gateway.client.balances())
        assert await found.ours() + reserved >= billed
        assert reserved or await found.ours() == billed

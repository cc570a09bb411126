"""The native face on a real socket: a real gateway, library and emulator; a plain HTTP client."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Scope

from heliograph import accounts
from heliograph.accounts import SCOPES, ApiKey, Role, User
from heliograph.errors import HeliographError
from heliograph.server.addresses import open_addresses
from heliograph.server.doors import Doorkeeper, Doors, request_id_of
from heliograph.server.gateway import Gateway
from heliograph.server.hardening import Hardening, serving_options
from heliograph.server.native import build, error_response
from heliograph.server.opening import open_gateway
from heliograph.server.routes import refuse_unlisted

LEFT = 60.0  # seconds a job of the emulator may take


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
        assert self.headers["content-type"] == "application/problem+json", self.body
        assert self.json["status"] == self.status
        return str(self.json["code"])


class Native:
    """Speaks to the native face with one key."""

    def __init__(self, url: str, text: str, user: User, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.text = text
        self.user = user
        self._session = session

    def other(self, text: str) -> "Native":
        return Native(self.url, text, self.user, self._session)

    async def send(
        self, verb: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.text}"} if self.text else {}
        if body is not None or raw is not None:
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        async with self._session.request(
            verb, f"{self.url}{path}", data=data, headers=sent, allow_redirects=False
        ) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(status=response.status, headers=found, body=await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.send("GET", path, None, raw=None, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.send("POST", path, body, raw=None, **headers)

    async def draw(self, prompt: str = "a red lake", **fields: Any) -> Any:
        """A finished job."""
        answer = await self.post(
            "/jobs", {"prompt": prompt, "size": "1K", **fields}, Prefer=f"wait={LEFT:.0f}"
        )
        assert answer.status == 200, answer.body
        assert answer.json["state"] == "done", answer.json
        return answer.json

    async def image(self, prompt: str = "a red lake", **fields: Any) -> Any:
        job = await self.draw(prompt, **fields)
        return job["results"][0]["image"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A gateway that serves the native face."""

    gateway: Gateway
    url: str
    session: aiohttp.ClientSession

    async def key(self, name: str, role: Role, **change: Any) -> Native:
        """A client with a new key of a user, who is made when there is none of that name."""
        user = await self.gateway.accounts.user_named(name)
        now = datetime.now(UTC)
        if user is None:
            user = User(id=accounts.new_id(), name=name, role=role, created=now, changed=now)
            await self.gateway.accounts.add_user(user)
        text = accounts.new_key()
        named = accounts.key_id(text)
        assert named is not None
        key = ApiKey(
            id=named,
            user=user.id,
            name="test",
            digest=accounts.digest(text, self.gateway.secrets.pepper),
            scopes=tuple(SCOPES[role]),
            created=now,
        )
        await self.gateway.accounts.add_key(replace(key, **change))
        return Native(self.url, text, user, self.session)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    ledger = tmp_path_factory.mktemp("emulator") / "ledger.jsonl"
    words = ["-m", "heliograph.emulator", "--small", "--exit-with-stdin", "--ledger", str(ledger)]
    process = subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["url"]
    process.communicate(timeout=60)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """The app on a socket of its own."""
    options: dict[str, Any] = {**serving_options(), "timeout_graceful_shutdown": 1}
    config = uvicorn.Config(app, log_level="error", lifespan="off", **options)
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        task = asyncio.ensure_future(server._serve([listener]))
        # the listener takes connections before the server does, so nobody has to wait for it
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


def behind_doors(gateway: Gateway) -> ASGIApp:
    """The native face alone, behind the layers that it has in the server."""

    def render(error: HeliographError, scope: Scope) -> Response:
        return error_response(error, request_id_of(scope))

    face = Starlette(routes=[Mount("/api/v1", app=build(gateway))])
    refuse_unlisted(face)
    settings = gateway.settings
    addresses = open_addresses(settings)
    keeper = Doorkeeper(
        gateway.accounts,
        gateway.rates,
        addresses,
        pepper=gateway.secrets.pepper,
        per_minute=settings.server_user_per_minute,
    )
    doors = Doors(face, keeper=keeper, render=render)
    limit = settings.server_body_limit
    return Hardening(doors, addresses=addresses, limit=limit, render=render)


@pytest.fixture
async def place(tmp_path: Path, emulator: str) -> AsyncIterator[Place]:
    async with (
        open_gateway(
            home=tmp_path / "library",
            base_url=emulator,
            api_key=f"key-{accounts.new_id()}",
            settings={"server_keepalive": 1, "server_user_per_minute": 1_000_000},
        ) as gateway,
        aiohttp.ClientSession() as session,
        serving(behind_doors(gateway)) as url,
    ):
        yield Place(gateway=gateway, url=f"{url}/api/v1", session=session)


@pytest.fixture
async def admin(place: Place) -> Native:
    return await place.key("root", Role.ADMIN)


@pytest.fixture
async def anna(place: Place) -> Native:
    return await place.key("anna", Role.MEMBER)


@pytest.fixture
async def ben(place: Place) -> Native:
    return await place.key("ben", Role.MEMBER)


@pytest.fixture
async def viewer(place: Place) -> Native:
    return await place.key("vera", Role.VIEWER)

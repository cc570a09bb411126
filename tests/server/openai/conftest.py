"""The OpenAI face on a real socket: a real gateway, library and emulator; OpenAI's own SDK asks.

Every test that made calls ends with the differential rule: what the emulator billed is what our
records cost.
"""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.e2e.conftest import Bill, Emulated

from heliograph import accounts
from heliograph.accounts import SCOPES, ApiKey, Role, User
from heliograph.server.caller import Caller
from heliograph.server.faults import Unauthenticated
from heliograph.server.gateway import Gateway
from heliograph.server.openai import error_response, routes
from heliograph.server.opening import open_gateway
from heliograph.server.pictures.routes import routes as picture_routes


class _Quiet(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Door:
    """Finds the caller by the bearer key, as the gateway's own doors do."""

    def __init__(self, app: ASGIApp, place: "Place") -> None:
        self._app = app
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["path"].startswith("/pictures/")  # links are good without a key
        kind, _, text = Request(scope).headers.get("authorization", "").partition(" ")
        caller = self._place.callers.get(text)
        if (kind != "Bearer" or caller is None) and not is_open:
            answer = error_response(Unauthenticated("No good key."), "r")
            await answer(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)


class Place:
    """A gateway that serves the OpenAI face and pictures."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.callers: dict[str, Caller] = {}
        self.url = ""

    @property
    def base(self) -> str:
        """What an SDK's base URL is set to."""
        return f"{self.url}/openai/v1"

    def key(self, name: str) -> str:
        """The text of a new key of a member."""
        now, text = datetime.now(UTC), accounts.new_key()
        user = User(id=accounts.new_id(), name=name, role=Role.MEMBER, created=now, changed=now)
        named = accounts.key_id(text)
        assert named is not None
        key = ApiKey(
            id=named,
            user=user.id,
            name="test",
            digest="",
            scopes=tuple(SCOPES[Role.MEMBER]),
            created=now,
        )
        request_id = f"req-{len(self.callers)}"
        self.callers[text] = Caller(user=user, key=key, address="::1", request_id=request_id)
        return text

    async def spent(self) -> int:
        """What our records say was paid, in micro-dollars."""
        records = await self.gateway.store.books.recent(limit=200)
        return sum(record.cost for record in records)

    async def doubted(self) -> int:
        """What calls of unknown outcome may have cost besides; held, not lost from sight."""
        calls = await self.gateway.store.journal.calls(limit=200)
        held = sum(call.reserved for call in calls if call.stage.is_doubtful)
        records = await self.gateway.store.books.recent(limit=200)
        # an answer that broke off behind its picture is settled by the price table
        untold = sum(r.estimate.high - r.cost for r in records if r.cost and not r.usage)
        return held + untold


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """The app on a socket of its own."""
    server = _Quiet(uvicorn.Config(app, log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    emulator = Emulated(tmp_path_factory.mktemp("emulator"))
    yield emulator
    emulator.close()


@pytest.fixture
def project() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def bill(emulated: Emulated, project: str) -> Bill:
    return Bill(emulated.ledger, project, emulated.url)


@pytest.fixture
def settings() -> dict[str, object]:
    """What a test module sets differently."""
    return {}


@pytest.fixture
def upstream(emulated: Emulated) -> str:
    """Where calls go."""
    return emulated.url


@pytest.fixture
async def place(
    tmp_path: Path, upstream: str, project: str, bill: Bill, settings: dict[str, object]
) -> AsyncIterator[Place]:
    usual = {"server_keepalive": 1, "server_drain": 5, "workers": 1}
    async with open_gateway(
        home=tmp_path / "library",
        base_url=upstream,
        api_key=f"emu-project-{project}",
        settings={**usual, **settings},
    ) as gateway:
        place = Place(gateway)
        app = Starlette(routes=[*routes(gateway), *picture_routes(gateway)])
        async with serving(Door(app, place)) as place.url:
            yield place
            spent, doubted = await place.spent(), await place.doubted()
            assert spent <= bill.micro <= spent + doubted


@pytest.fixture
def key(place: Place) -> str:
    return place.key("anna")


@pytest.fixture
async def sdk(place: Place, key: str) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's own client, as it comes."""
    async with AsyncOpenAI(base_url=place.base, api_key=key) as client:
        yield client

"""A small application behind the real doors, on a real socket: users, keys and echoing routes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from starlette.types import Scope as Connection
from tests.server.waiting import HANG

from heliograph.accounts import ApiKey, Role, Scope, User, digest, key_id, new_id, new_key
from heliograph.errors import HeliographError
from heliograph.ports import Accounts
from heliograph.server.addresses import Addresses
from heliograph.server.documents import read_json
from heliograph.server.doors import Doorkeeper, Doors, request_id_of
from heliograph.server.faults import verdict
from heliograph.server.hardening import Hardening, serving_options
from heliograph.server.rates import MemoryRates, Rates
from heliograph.server.routes import guarded
from heliograph.server.wire import Patience, Wire
from heliograph.storage.memory_accounts import MemoryAccounts

PEPPER = bytes(range(32))
BODY_LIMIT = 1 << 20


def rendered(error: HeliographError, scope: Connection) -> Response:
    """The envelope of this house."""
    found = verdict(error)
    body = {"code": found.code, "message": str(error), "request": request_id_of(scope)}
    return JSONResponse({"error": body}, found.status, headers=dict(found.headers))


@dataclass(kw_only=True)
class House:
    """What a test needs of it."""

    accounts: Accounts
    keeper: Doorkeeper
    wire: Wire
    port: int = 0
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    reads: list[int] = field(default_factory=list)  # bytes of bodies that the app has read

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def user(self, name: str, *, role: Role = Role.MEMBER, **fields: Any) -> User:
        user = User(id=new_id(), name=name, role=role, created=self.now, changed=self.now, **fields)
        await self.accounts.add_user(user)
        return user

    async def key(self, user: User, *, text: str | None = None, **fields: Any) -> str:
        text = text or new_key()
        name = key_id(text)
        assert name is not None
        fields.setdefault("scopes", tuple(Scope))
        await self.accounts.add_key(
            ApiKey(
                id=name,
                user=user.id,
                name="key",
                digest=digest(text, PEPPER),
                created=self.now,
                **fields,
            )
        )
        return text

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
            return found
        finally:
            writer.close()


class _Server(uvicorn.Server):
    def capture_signals(self) -> Any:
        return nullcontext()


@asynccontextmanager
async def a_house(
    *,
    accounts: Accounts | None = None,
    rates: Rates | None = None,
    addresses: Addresses | None = None,
    patience: Patience | None = None,
    wire: Wire | None = None,
    query_keys: bool = False,
    per_minute: int = 100_000,
) -> AsyncIterator[House]:
    """The application, served."""
    accounts = accounts or MemoryAccounts()
    addresses = addresses or Addresses(hosts=frozenset({"helio.test"}))
    wire = wire or Wire(patience=patience or Patience())
    house: House

    keeper = Doorkeeper(
        accounts,
        rates or MemoryRates(),
        addresses,
        pepper=PEPPER,
        per_minute=per_minute,
        query_keys=query_keys,
        clock=lambda: house.now,
    )
    house = House(accounts=accounts, keeper=keeper, wire=wire)
    inner = Starlette(routes=_routes(house, addresses))
    inner.router.redirect_slashes = False
    inner.add_exception_handler(
        HeliographError, lambda request, error: rendered(error, request.scope)
    )
    app: ASGIApp = Doors(inner, keeper=keeper, render=rendered)
    app = Hardening(app, limit=BODY_LIMIT, addresses=addresses, render=rendered)
    listener = socket.create_server(("127.0.0.1", 0))
    house.port = listener.getsockname()[1]
    config = uvicorn.Config(app, log_config=None, lifespan="off", **serving_options(wire))
    server = _Server(config)
    task = asyncio.ensure_future(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110 -- uvicorn tells it in no other way
        await asyncio.sleep(0.005)
    try:
        yield house
    finally:
        server.should_exit = server.force_exit = True
        await task
        listener.close()
        await keeper.close()


def _routes(house: House, addresses: Addresses) -> list[Route]:
    async def who(request: Request) -> Response:
        caller = getattr(request.state, "caller", None)
        return JSONResponse(
            {
                "user": caller and caller.user.name,
                "key": caller and caller.key.id,
                "address": caller and caller.address,
                "request": request.state.request_id,
                "base": addresses.base(request.scope),
            }
        )

    async def body(request: Request) -> Response:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            house.reads.append(len(chunk))
        return JSONResponse({"size": size}, headers={"server": "secret/1.0"})

    async def document(request: Request) -> Response:
        return Response(json.dumps(await read_json(request)), media_type="application/json")

    async def broken(request: Request) -> Response:
        raise LookupError("SELECT digest FROM keys -- /srv/heliograph/home.sqlite")

    def route(path: str, endpoint: Any, scope: Scope | None = Scope.READ) -> Route:
        return guarded(path, endpoint, methods=["GET", "POST"], scope=scope)

    return [
        route("/healthz", who, None),
        route("/pictures/{name}", who, None),
        route("/who", who),
        route("/v1/models/{name}", who),
        route("/openai/v1/models", who),
        route("/admin", who, Scope.ADMIN),
        route("/body", body),
        route("/document", document),
        route("/broken", broken),
    ]


async def ask(
    house: House, path: str, key: str | None = None, *, method: str = "GET", **named: Any
) -> tuple[int, Any, dict[str, str]]:
    """Status, document and headers of one request."""
    headers = dict(named.pop("headers", {}))
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, house.url + path, headers=headers, **named) as answer,
    ):
        text = await answer.text()
        found = json.loads(text) if text.startswith(("{", "[")) else text
        return answer.status, found, {k.lower(): v for k, v in answer.headers.items()}

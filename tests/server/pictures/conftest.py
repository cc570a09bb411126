"""A library with pictures of two users behind the picture routes, on a real socket."""

import asyncio
import hashlib
import io
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.contract.records import a_record
from tests.imaging.pictures import encoded, natural

from heliograph import AsyncHeliograph
from heliograph.accounts import ApiKey, Role, User
from heliograph.accounts import Scope as Right
from heliograph.errors import HeliographError, RecordNotFound
from heliograph.library import Store
from heliograph.server.caller import Caller
from heliograph.server.faults import verdict
from heliograph.server.pictures import routes
from heliograph.storage import open_storage
from heliograph.types import KeptImage, Pixels, Record, Verdict
from heliograph.types import Role as ImageRole

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
OLD_KEY, NEW_KEY = ("k1", b"1" * 32), ("k2", b"2" * 32)


def a_caller(name: str, *scopes: Right, role: Role = Role.MEMBER) -> Caller:
    user = User(
        id=hashlib.sha256(name.encode()).hexdigest()[:32],
        name=name,
        role=role,
        created=NOW,
        changed=NOW,
    )
    key = ApiKey(
        id="k" * 8, user=user.id, name="key", digest="", scopes=scopes or (Right.READ,), created=NOW
    )
    return Caller(user=user, key=key, address="127.0.0.1", request_id="r")


CALLERS = {
    "anna": a_caller("anna"),
    "ben": a_caller("ben"),
    "root": a_caller("root", *Right, role=Role.ADMIN),
    "blind": a_caller("anna", Right.GENERATE),
}


class Desk:
    """As much of a gateway as pictures need, over a real library."""

    def __init__(self, client: AsyncHeliograph, store: Store) -> None:
        self.client, self.store, self.settings = client, store, client.settings
        self.secrets = SimpleNamespace(signing=(NEW_KEY, OLD_KEY))

    async def record(self, caller: Caller, record_id: str) -> Record:
        record = await self.store.books.find(record_id)
        is_seen = caller.sees is None or record.owner == caller.sees
        if record.id != record_id or not is_seen or await self.store.books.trashed([record_id]):
            raise RecordNotFound("There is no such image.")
        return record

    async def keep(
        self,
        data: bytes | list[bytes],
        *,
        record_id: str = "ab" * 16,
        owner: str = "anna",
        roles: tuple[ImageRole, ...] = (ImageRole.RESULT,),
        **changes: Any,
    ) -> Record:
        """A record with these images, in the order of their roles."""
        images = []
        for one, role in zip([data] if isinstance(data, bytes) else data, roles, strict=True):
            picture = Image.open(io.BytesIO(one))
            kind, sha = str(picture.format).lower(), hashlib.sha256(one).hexdigest()
            suffix = {"jpeg": "jpg"}.get(kind, kind)
            key = f"sha256/{sha[:2]}/{sha}.{suffix}"
            await self.store.blobs.put_bytes(one, key)
            images.append(
                KeptImage(
                    sha256=sha,
                    key=key,
                    role=role,
                    format=kind,
                    media_type=f"image/{kind}",
                    pixels=Pixels(*picture.size),
                    size=len(one),
                    verdict=Verdict.VERIFIED,
                )
            )
        user = CALLERS[owner].user.id
        record = a_record(record_id, images=tuple(images), owner=user, **changes)
        await self.store.books.keep(record, [])
        return record


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty library, migrated once."""
    folder = tmp_path_factory.mktemp("blank") / "library"
    asyncio.run(open_storage(folder).close())
    return folder


@pytest.fixture
async def desk(tmp_path: Path, blank: Path) -> AsyncIterator[Desk]:
    shutil.copytree(blank, tmp_path / "library")
    settings = {"workers": 1}
    async with AsyncHeliograph(home=tmp_path / "library", settings=settings) as client:
        yield Desk(client, await client.store())


@pytest.fixture(scope="session")
def photograph() -> bytes:
    """A JPEG of 1600 × 900 px with private words in it."""
    picture = natural(1600, 900)
    exif = Image.Exif()
    exif[0x010E] = "PRIVATE-CANARY"
    return encoded(picture, "jpeg", quality=90, exif=exif)


class _Quiet(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Doors:
    """Puts the caller that a header names where the gateway's own doors put theirs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name = Request(scope).headers.get("x-test-caller")
            if name is not None:
                scope.setdefault("state", {})["caller"] = CALLERS[name]
        await self._app(scope, receive, send)


def render(_: Request, error: Exception) -> Response:
    """Errors as statuses; no face's own envelope is needed here."""
    if not isinstance(error, HeliographError):
        raise error
    found = verdict(error)
    return JSONResponse({"code": found.code, "what": str(error)}, status_code=found.status)


@dataclass(frozen=True)
class Answer:
    """What a request got."""

    status: int
    headers: Any
    body: bytes


class Site:
    """The routes on a socket."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base, self._session = base, session

    async def ask(
        self, path: str, *, who: str | None = "anna", method: str = "GET", **headers: str
    ) -> Answer:
        """One request; underscores in names of headers are hyphens."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            given["x-test-caller"] = who
        url = path if path.startswith("http") else self.base + path
        from yarl import URL

        async with self._session.request(
            method, URL(url, encoded=True), headers=given, allow_redirects=False
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@pytest.fixture
async def site(desk: Desk) -> AsyncIterator[Site]:
    app = Starlette(routes=routes(desk), exception_handlers={HeliographError: render})  # type: ignore[arg-type]
    app.add_middleware(_Doors)
    async with serving(app) as base, aiohttp.ClientSession() as session:
        yield Site(base, session)


class serving:  # noqa: N801  reads as what it does
    """An application on a socket of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._server = _Quiet(uvicorn.Config(app, log_level="error", lifespan="off"))
        self._socket = socket.create_server(("127.0.0.1", 0))

    async def __aenter__(self) -> str:
        self._task = asyncio.ensure_future(self._server.serve(sockets=[self._socket]))
        while not self._server.started:  # noqa: ASYNC110  it tells by nothing else
            await asyncio.sleep(0.005)
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task
        self._socket.close()

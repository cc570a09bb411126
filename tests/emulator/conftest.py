"""An emulator in this event loop and a plain HTTP client that knows nothing of the SDK."""

import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from heliograph.emulator import EmulatorSettings, serve

PRO = "gemini-3-pro-image"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One HTTP answer, read whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        return error

    @property
    def parts(self) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = self.json["candidates"][0]["content"]["parts"]
        return parts

    @property
    def images(self) -> list[dict[str, Any]]:
        return [part for part in self.parts if "inlineData" in part]


class Emu:
    """Speaks to one emulator."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def send(
        self, verb: str, path: str, *, data: Any = None, key: str = "k", **headers: str
    ) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            sent["x-goog-api-key"] = key
        body = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
        stream = io.BytesIO(body) if body is not None else None
        async with self.session.request(
            verb, self.url + path, data=stream, headers=sent, allow_redirects=False
        ) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Reply(status=response.status, headers=found, body=await response.read())

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.send("GET", path, **headers)

    async def post(self, path: str, data: Any, **headers: str) -> Reply:
        return await self.send("POST", path, data=data, **headers)

    async def generate(
        self,
        prompt: str = "a lake",
        *,
        model: str = PRO,
        method: str = "generateContent",
        config: dict[str, Any] | None = None,
        size: str | None = None,
        ratio: str | None = None,
        key: str = "k",
        headers: dict[str, str] | None = None,
        **top: Any,
    ) -> Reply:
        image = {"imageSize": size, "aspectRatio": ratio}
        image = {name: value for name, value in image.items() if value is not None}
        settings = {**(config or {}), **({"imageConfig": image} if image else {})}
        body: dict[str, Any] = {"contents": [{"parts": [{"text": prompt}]}], **top}
        if settings:
            body["generationConfig"] = settings
        return await self.post(f"/v1beta/models/{model}:{method}", body, key=key, **(headers or {}))

    async def ledger(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = (await self.get("/_emulator/ledger")).json
        return lines


Start = Callable[..., AbstractAsyncContextManager[Emu]]


@pytest.fixture
def start() -> Start:
    """Start an emulator with these settings."""

    @asynccontextmanager
    async def started(**settings: Any) -> AsyncIterator[Emu]:
        chosen = {"small": True, "seed": 7, **settings}
        async with (
            serve(EmulatorSettings(**chosen)) as running,
            aiohttp.ClientSession(auto_decompress=False) as session,
        ):
            yield Emu(running.url, session)

    return started


@pytest.fixture
async def emu(start: Start) -> AsyncIterator[Emu]:
    """An emulator with small pictures and seed 7."""
    async with start() as emu:
        yield emu

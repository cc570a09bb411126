"""Two clients against one emulator: ours and the unmodified SDK, judged by its request log."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from google import genai
from google.genai import types

from heliograph.imaging import check_references
from heliograph.observe import MemoryLog
from heliograph.planning import plan
from heliograph.providers.calling import Caller
from heliograph.providers.gemini import Gemini
from heliograph.providers.http import Channel, Deadlines
from heliograph.providers.interactions import Interactions, Polling
from heliograph.providers.pool import Place
from heliograph.types import Given, Plan, Reply, Request

LIMITS = Deadlines()


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Both clients against one emulator."""

    url: str
    folder: Path

    async def ours(self, request: Request) -> dict[str, Any]:
        given = [g.source if isinstance(g, Given) else g for g in request.references]
        await self.send(plan(request, check_references(given)), "spool")
        return await self.logged()

    async def send(self, made: Plan, name: str, transport: str = Gemini.transport) -> Reply:
        """A plan through our provider; its answer lies in the folder `name`."""
        channels = {Place(project="here"): Channel(self.url, "v1", "k", LIMITS)}
        caller = Caller(channels, LIMITS)
        provider: Gemini | Interactions = Gemini(caller, simulated=True)
        if transport == Interactions.transport:
            provider = Interactions(caller, simulated=True, polling=Polling(first=0.02))
        spool = self.folder / name
        spool.mkdir()
        try:
            return await provider.generate(made, spool, MemoryLog(), lambda _event: None)
        finally:
            await provider.close()

    async def sdk(self, prompt: Any, config: types.GenerateContentConfig, **how: Any) -> Any:
        model = how.get("model", "gemini-3-pro-image")
        async with self.client() as client:
            if how.get("stream"):
                async for _ in await client.models.generate_content_stream(
                    model=model, contents=prompt, config=config
                ):
                    pass
            else:
                await client.models.generate_content(model=model, contents=prompt, config=config)
        return await self.logged()

    def client(self) -> Any:
        """An unmodified SDK client, to be left by `async with`."""
        return genai.Client(api_key="k", http_options=types.HttpOptions(base_url=self.url)).aio

    async def logged(self) -> dict[str, Any]:
        """The last call in the emulator's request log."""
        return [call for call in await self.all_logged() if call["method"] == "POST"][-1]

    async def all_logged(self) -> list[dict[str, Any]]:
        """The emulator's request log."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/_emulator/requests") as response,
        ):
            calls: list[dict[str, Any]] = await response.json()
        return calls


def meaning(value: Any) -> Any:
    """proto-JSON: both spellings of a name are the same name, both alphabets the same bytes."""
    if isinstance(value, dict):
        return {
            (name := re.sub(r"_([a-z])", lambda m: m[1].upper(), k)): v.translate(
                str.maketrans("-_", "+/")
            )
            if name in ("data", "thoughtSignature", "signature") and isinstance(v, str)
            else meaning(v)
            for k, v in value.items()
        }
    return [meaning(v) for v in value] if isinstance(value, list) else value


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours["method"] == theirs["method"] == "POST"
    assert ours["path"] == theirs["path"]
    assert ours.get("query") == theirs.get("query")
    assert meaning(ours["json"]) == meaning(theirs["json"])
    for name in ("content-type", "x-goog-api-key"):
        assert _headers(ours)[name] == _headers(theirs)[name]


def _headers(call: dict[str, Any]) -> dict[str, str]:
    return {k.lower(): v for k, v in dict(call["headers"]).items()}


def image_config(aspect: str, size: str) -> types.ImageConfig:
    return types.ImageConfig(aspect_ratio=aspect, image_size=size)

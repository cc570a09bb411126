"""The judge of our encoder: the unmodified SDK and our provider make the same call, and the
emulator's request log must show the same meaning."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google import genai
from google.genai import types
from PIL import Image

from heliograph.emulator import EmulatorSettings, serve
from heliograph.imaging import check_references
from heliograph.observe import MemoryLog
from heliograph.planning import plan
from heliograph.providers.calling import Caller
from heliograph.providers.gemini import Gemini
from heliograph.providers.http import Channel, Deadlines
from heliograph.providers.pool import Place
from heliograph.types import Request

LIMITS = Deadlines()


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Both clients against one emulator."""

    url: str
    folder: Path

    async def ours(self, request: Request) -> dict[str, Any]:
        made = plan(request, check_references(request.references))
        channels = {Place(project="here"): Channel(self.url, "v1", "k", LIMITS)}
        provider = Gemini(Caller(channels, LIMITS), simulated=True)
        spool = self.folder / "spool"
        spool.mkdir()
        await provider.generate(made, spool, MemoryLog(), lambda _event: None)
        await provider.close()
        return await self.logged()

    async def sdk(self, prompt: Any, config: types.GenerateContentConfig, **how: Any) -> Any:
        options = types.HttpOptions(base_url=self.url)
        model = how.get("model", "gemini-3-pro-image")
        async with genai.Client(api_key="k", http_options=options).aio as client:
            if how.get("stream"):
                async for _ in await client.models.generate_content_stream(
                    model=model, contents=prompt, config=config
                ):
                    pass
            else:
                await client.models.generate_content(model=model, contents=prompt, config=config)
        return await self.logged()

    async def logged(self) -> dict[str, Any]:
        """The last call in the emulator's request log."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/_emulator/requests") as response,
        ):
            calls: list[dict[str, Any]] = await response.json()
        return calls[-1]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with serve(EmulatorSettings(small=True, seed=1)) as emulator:
        yield Bench(url=emulator.url, folder=tmp_path)


def meaning(value: Any) -> Any:
    """proto-JSON: both spellings of a name are the same name."""
    if isinstance(value, dict):
        return {
            re.sub(r"_([a-z])", lambda m: m[1].upper(), k): meaning(v) for k, v in value.items()
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


async def test_a_plain_4k_request(bench: Bench) -> None:
    ours = await bench.ours(Request(prompt="A snow leopard", aspect="16x9", size="4k"))
    theirs = await bench.sdk(
        "A snow leopard",
        types.GenerateContentConfig(
            response_modalities=["TEXT", "IMAGE"], image_config=image_config("16:9", "4K")
        ),
    )
    same(ours, theirs)


async def test_every_field_of_an_image_request(bench: Bench) -> None:
    ours = await bench.ours(
        Request(
            prompt='雪豹, "quoted"',
            model="gemini-nano-banana-2.1",
            aspect="1:8",
            size="2K",
            system="Be brief.",
            temperature=0.5,
            top_p=0.9,
            seed=7,
            safety={"harassment": "BLOCK_ONLY_HIGH"},
            thinking="high",
            include_thoughts=True,
            ground="images",
            stream=True,
        )
    )
    theirs = await bench.sdk(
        '雪豹, "quoted"',
        types.GenerateContentConfig(
            system_instruction="Be brief.",
            temperature=0.5,
            top_p=0.9,
            seed=7,
            safety_settings=[
                types.SafetySetting(
                    category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
                    threshold=types.HarmBlockThreshold.BLOCK_ONLY_HIGH,
                )
            ],
            thinking_config=types.ThinkingConfig(
                include_thoughts=True, thinking_level=types.ThinkingLevel.HIGH
            ),
            tools=[
                types.Tool(
                    google_search=types.GoogleSearch(
                        search_types=types.SearchTypes(
                            web_search=types.WebSearch(), image_search=types.ImageSearch()
                        )
                    )
                )
            ],
            response_modalities=["TEXT", "IMAGE"],
            image_config=image_config("1:8", "2K"),
        ),
        model="gemini-nano-banana-2.1",
        stream=True,
    )
    same(ours, theirs)


async def test_web_grounding_and_a_service_tier(bench: Bench) -> None:
    ours = await bench.ours(Request(prompt="News", ground="web", tier="flex", size="1K"))
    theirs = await bench.sdk(
        "News",
        types.GenerateContentConfig(
            tools=[types.Tool(google_search=types.GoogleSearch())],
            service_tier=types.ServiceTier.FLEX,
            response_modalities=["TEXT", "IMAGE"],
            image_config=image_config("1:1", "1K"),
        ),
    )
    same(ours, theirs)


async def test_reference_images(bench: Bench, tmp_path: Path) -> None:
    paths = [tmp_path / "one.png", tmp_path / "two.jpg"]
    for number, path in enumerate(paths):
        Image.effect_noise((300 + number, 200), 80).convert("RGB").save(path)
    ours = await bench.ours(
        Request(prompt="Join them", references=tuple(paths), aspect="3:2", size="1K")
    )
    parts: list[Any] = ["Join them"]
    for path, kind in zip(paths, ("image/png", "image/jpeg"), strict=True):
        parts.append(types.Part.from_bytes(data=path.read_bytes(), mime_type=kind))
    theirs = await bench.sdk(
        parts,
        types.GenerateContentConfig(
            response_modalities=["TEXT", "IMAGE"], image_config=image_config("3:2", "1K")
        ),
    )
    same(ours, theirs)

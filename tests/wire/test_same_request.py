"""The judge of our encoder: the unmodified SDK and our provider make the same call, and the
emulator's request log must show the same meaning."""

from pathlib import Path
from typing import Any

from google.genai import types
from PIL import Image
from tests.wire.bench import Bench, image_config, same

from heliograph.types import Request


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

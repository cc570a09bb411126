"""How the tests of interactions call them."""

import asyncio
import base64
import io
from typing import Any

from PIL import Image

PRO = "gemini-3-pro-image"
PATH = "/v1/interactions"
TRIES = 3000  # a minute of looking
IMAGE_ONLY = {"type": "image", "aspect_ratio": "16:9", "image_size": "2K"}


def wish(prompt: Any = "a lake", **fields: Any) -> dict[str, Any]:
    return {"model": PRO, "input": prompt, "response_format": IMAGE_ONLY, **fields}


async def create(emu: Any, prompt: Any = "a lake", *, key: str = "k", **fields: Any) -> Any:
    return await emu.post(PATH, wish(prompt, **fields), key=key)


async def behind(emu: Any, prompt: str = "a lake", **fields: Any) -> str:
    reply = await create(emu, prompt, background=True, **fields)
    assert (reply.status, reply.json["status"]) == (200, "in_progress")
    name: str = reply.json["id"]
    return name


async def ended(emu: Any, name: str, **headers: str) -> Any:
    for _ in range(TRIES):
        reply = await emu.get(f"{PATH}/{name}", **headers)
        if reply.status != 200 or reply.json["status"] != "in_progress":
            return reply
        await asyncio.sleep(0.02)
    raise AssertionError("still in progress")


async def closed(emu: Any, count: int = 1) -> list[dict[str, Any]]:
    """The ledger once this many lines are closed."""
    for _ in range(TRIES):
        lines: list[dict[str, Any]] = await emu.ledger()
        if [line["state"] for line in lines] == ["closed"] * count:
            return lines
        await asyncio.sleep(0.02)
    raise AssertionError(lines)


def contents(reply: Any) -> list[dict[str, Any]]:
    steps = [step for step in reply.json["steps"] if step["type"] == "model_output"]
    return [content for step in steps for content in step["content"]]


def pictures(reply: Any) -> list[bytes]:
    return [base64.b64decode(each["data"]) for each in contents(reply) if each["type"] == "image"]


def size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return image.size

"""What ten 4K turns weigh on the way up: ours with the last picture alone, and the SDK's chat.

The answers have the proportions of real ones at a fortieth of their size: a picture of 7.8 MB in
an answer of 29.7 MB, the rest two signatures (gemini-api.md sections 9 and 13). At full size the
SDK's fifth turn would already pass the 100 MB that a request may have.
"""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
from aiohttp import web
from google.genai import types
from tests.providers.plans import plan_for
from tests.providers.turns import turn_of
from tests.wire.bench import Bench, image_config

from heliograph.types import Turn

# google-genai subclasses aiohttp's session, which aiohttp discourages; not ours to change.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]

SCALE = 40
PICTURE = 7_800_000 // SCALE  # bytes
SIGNATURE = (29_700_000 - 4 * 7_800_000 // 3) // 2 // SCALE // 4 * 4  # characters
TURNS = 10


@dataclass
class Upstream:
    """Answers every call with another picture, and weighs what it was sent."""

    weights: list[int] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.weights.append(len(await request.read()))
        chance = Random(len(self.weights))

        def noise(characters: int) -> str:
            return base64.b64encode(chance.randbytes(characters * 3 // 4)).decode()

        inline = {"mimeType": "image/jpeg", "data": noise(PICTURE * 4 // 3)}
        parts = [
            {"text": "Here it is.", "thoughtSignature": noise(SIGNATURE)},
            {"inlineData": inline, "thoughtSignature": noise(SIGNATURE)},
        ]
        content = {"role": "model", "parts": parts}
        body = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}
        return web.Response(text=json.dumps(body), content_type="application/json")


@asynccontextmanager
async def weighing() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/{path:.*}", upstream.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield upstream
    finally:
        await runner.cleanup()


async def test_ten_turns_weigh_a_fifth_at_most(tmp_path: Path) -> None:
    async with weighing() as theirs, Bench(url=theirs.url, folder=tmp_path).client() as client:
        config = types.GenerateContentConfig(
            response_modalities=["TEXT", "IMAGE"], image_config=image_config("16:9", "4K")
        )
        chat = client.chats.create(model="gemini-3-pro-image", config=config)
        for number in range(TURNS):
            await chat.send_message(f"turn {number}")
    async with weighing() as ours:
        bench = Bench(url=ours.url, folder=tmp_path)
        history: list[Turn] = []
        for number in range(TURNS):
            # of earlier turns the words, of the last one its picture with the signature too
            trimmed = [replace(turn, answer=()) for turn in history[:-1]]
            asked = plan_for(f"turn {number}", size="4K", aspect="16:9")
            plan = replace(asked, history=(*trimmed, *history[-1:]))
            reply = await bench.send(plan, f"turn-{number}")
            history.append(turn_of(plan, reply, pictures_only=True))
    assert len(theirs.weights) == len(ours.weights) == TURNS
    assert sum(ours.weights) * 5 <= sum(theirs.weights)
    # each of ours is one picture with one signature, whatever the length of the talk
    one = PICTURE * 4 // 3 + SIGNATURE
    assert all(one < weight < one + 2000 for weight in ours.weights[1:])
    # at full size, the SDK's fifth turn and all after it could not be sent at all
    assert [weight * SCALE > 100_000_000 for weight in theirs.weights].index(True) == 4

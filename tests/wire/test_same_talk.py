"""The judge of our talks: the same turns by the unmodified SDK, signatures enforced."""

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.genai import errors, types
from PIL import Image
from tests.providers.plans import plan_for
from tests.providers.turns import picture, signature, turn_of
from tests.wire.bench import Bench, image_config, same

from heliograph.errors import RequestRejected, StorageError
from heliograph.types import Part, Plan, Turn

# google-genai subclasses aiohttp's session, which aiohttp discourages; not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

PRO = "gemini-3-pro-image"
CONFIG = types.GenerateContentConfig(
    response_modalities=["TEXT", "IMAGE"], image_config=image_config("3:2", "1K")
)


def plan_of(words: str, *history: Turn, **fields: Any) -> Plan:
    return replace(plan_for(words, aspect="3:2", size="1K", **fields), history=history)


def part_of(part: types.Part, folder: Path, number: str) -> Part:
    signed = None
    if part.thought_signature:
        signed = signature(folder / f"s{number}", base64.b64encode(part.thought_signature))
    if part.inline_data:
        assert part.inline_data.data
        return Part(image=picture(part.inline_data.data), signature=signed)
    return Part(text=part.text, signature=signed)


async def test_a_chat(bench: Bench, tmp_path: Path) -> None:
    async with bench.client() as client:
        chat = client.chats.create(model=PRO, config=CONFIG)
        for words in ("A lamp", "Now red", "And larger"):
            await chat.send_message(words)
        said = chat.get_history()
    theirs = await bench.logged()
    turns = [
        Turn(
            record=f"r{n}",
            words=said[n].parts[0].text,
            answer=tuple(part_of(p, tmp_path, f"{n}-{i}") for i, p in enumerate(said[n + 1].parts)),
            model=PRO,
            signed=True,
        )
        for n in (0, 2)
    ]
    await bench.send(plan_of("And larger", *turns), "spool")
    same(await bench.logged(), theirs)


async def test_a_hand_made_talk(bench: Bench, tmp_path: Path) -> None:
    """A trimmed turn, one of another model, and a signed one, all with pictures of the user's."""
    files = [tmp_path / f"{n}.png" for n in range(4)]
    for number, file in enumerate(files):
        Image.effect_noise((200 + number, 200), 80).convert("RGB").save(file)
    first = plan_of("A lamp", checked_references=(picture(files[0], kind="image/png"),))
    reply = await bench.send(first, "first")
    signed = turn_of(first, reply)
    foreign = replace(signed, words="Another", references=(), model="gemini-nano-banana-2.1")
    trimmed = replace(signed, words="Left out", answer=())
    last = (picture(files[3], kind="image/png"),)
    history = (trimmed, signed, foreign)
    await bench.send(plan_of("Join them", *history, checked_references=last), "last")
    ours = await bench.logged()

    def theirs(reference: Any) -> types.Part:
        data = Path(reference.source).read_bytes()
        return types.Part.from_bytes(data=data, mime_type=reference.media_type)

    def model_part(part: Part) -> types.Part:
        assert part.signature is not None or part.text
        found = types.Part(text=part.text) if part.image is None else theirs(part.image)
        if part.signature is not None:
            found.thought_signature = base64.b64decode(part.signature.path.read_bytes())
        return found

    given = theirs(signed.references[0])
    made = next(part.image for part in signed.answer if part.image)
    asked = [types.Part(text="Left out"), given, types.Part(text="A lamp"), given]
    then = [types.Part(text="Another"), types.Part(text="The picture made of this:")]
    then += [theirs(made), types.Part(text="Join them"), theirs(last[0])]
    talk = [
        types.UserContent(parts=asked),
        types.ModelContent(parts=[model_part(part) for part in signed.answer]),
        types.UserContent(parts=then),
    ]
    same(ours, await bench.sdk(talk, CONFIG))


def encoded(reference: Any) -> str:
    return base64.b64encode(Path(reference.source).read_bytes()).decode()


async def test_a_talk_by_interactions(bench: Bench) -> None:
    plan = plan_of("A lamp")
    turn = turn_of(plan, await bench.send(plan, "first", "interactions"))
    await bench.send(plan_of("Now red", turn), "second", "interactions")
    ours = await bench.logged()
    signed = next(part for part in turn.answer if part.signature)
    made = next(part.image for part in turn.answer if part.image)
    assert signed.signature
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": "A lamp"}]},
        {"type": "thought", "signature": signed.signature.path.read_text()},
        {
            "type": "model_output",
            "content": [{"type": "image", "mime_type": "image/jpeg", "data": encoded(made)}],
        },
        {"type": "user_input", "content": [{"type": "text", "text": "Now red"}]},
    ]
    async with bench.client() as client:
        await client.interactions.create(
            model=PRO,
            input=steps,
            response_format={"type": "image", "aspect_ratio": "3:2", "image_size": "1K"},
            background=True,
            store=True,
        )
    same(ours, await bench.logged())


@pytest.mark.parametrize("pictures_only", [False, True])
async def test_ten_turns_with_signatures(bench: Bench, pictures_only: bool) -> None:
    history: list[Turn] = []
    for number in range(10):
        plan = plan_of(f"turn {number}", *history)
        reply = await bench.send(plan, f"turn-{number}")
        history.append(turn_of(plan, reply, pictures_only=pictures_only))
    roles = [content["role"] for content in (await bench.logged())["json"]["contents"]]
    assert roles == ["user", "model"] * 9 + ["user"]
    assert all(part.signature for turn in history for part in turn.answer if part.image)


async def test_a_changed_byte_in_a_signature_is_refused(bench: Bench) -> None:
    plan = plan_of("A lamp")
    turn = turn_of(plan, await bench.send(plan, "first"))
    await bench.send(plan_of("Now red", turn), "second")
    path = next(p.signature.path for p in turn.answer if p.image and p.signature)
    text = path.read_bytes()
    path.write_bytes(text[:40] + (b"A" if text[40:41] != b"A" else b"B") + text[41:])
    with pytest.raises(StorageError, match="signature changed"):
        await bench.send(plan_of("Now red", turn), "third")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    answer = tuple(
        replace(part, signature=replace(part.signature, sha256=digest))
        if part.signature and part.signature.path == path
        else part
        for part in turn.answer
    )
    with pytest.raises(RequestRejected, match="Corrupted thought signature"):
        await bench.send(plan_of("Now red", replace(turn, answer=answer)), "fourth")
    data = base64.b64decode(path.read_bytes())
    image = types.Part(inline_data=types.Blob(data=b"", mime_type="image/jpeg"))
    image.thought_signature = data
    talk = [types.UserContent("A lamp"), types.ModelContent([image]), types.UserContent("Now red")]
    with pytest.raises(errors.ClientError, match="Corrupted thought signature"):
        await bench.sdk(talk, CONFIG)

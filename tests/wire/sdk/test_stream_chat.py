"""Streams and conversations with the official SDK, signatures enforced."""

from typing import Any

import pytest
from google import genai
from google.genai import errors, types

# google-genai subclasses aiohttp's session, which aiohttp discourages; not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

PRO = "gemini-3-pro-image"


def config() -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        response_modalities=["TEXT", "IMAGE"],
        image_config=types.ImageConfig(aspect_ratio="3:2", image_size="1K"),
    )


def check_stream(chunks: list[types.GenerateContentResponse]) -> None:
    kinds = []
    for chunk in chunks:
        assert chunk.candidates is not None
        parts = chunk.parts or []
        kinds.append(("image" if any(p.inline_data for p in parts) else "text", chunk.text or ""))
    assert [kind for kind, _ in kinds] == ["text", "image", "text"]
    assert kinds[0][1]
    reasons = [(chunk.candidates or [])[0].finish_reason for chunk in chunks]
    assert reasons == [None, None, types.FinishReason.STOP]
    assert [chunk.usage_metadata is not None for chunk in chunks] == [False, False, True]


def test_stream(client: genai.Client) -> None:
    check_stream(
        list(client.models.generate_content_stream(model=PRO, contents="a", config=config()))
    )


async def test_stream_async(client: genai.Client) -> None:
    stream = await client.aio.models.generate_content_stream(
        model=PRO, contents="a", config=config()
    )
    check_stream([chunk async for chunk in stream])
    await client.aio.aclose()


@pytest.mark.parametrize(("code", "kind"), [(503, errors.ServerError), (429, errors.ClientError)])
def test_an_error_in_mid_stream(
    client: genai.Client, code: int, kind: type[errors.APIError]
) -> None:
    stream = client.models.generate_content_stream(
        model=PRO, contents=f"a [[fault:stream-error:{code}]]", config=config()
    )
    assert next(stream).text
    with pytest.raises(kind) as caught:
        next(stream)
    assert caught.value.code == code


async def test_an_error_in_mid_stream_async(client: genai.Client) -> None:
    stream = await client.aio.models.generate_content_stream(
        model=PRO, contents="a [[fault:stream-error]]", config=config()
    )
    assert (await anext(stream)).text
    with pytest.raises(errors.ServerError) as caught:
        await anext(stream)
    assert (caught.value.code, caught.value.status) == (503, "UNAVAILABLE")
    await client.aio.aclose()


def test_a_refused_stream(client: genai.Client) -> None:
    chunks = list(
        client.models.generate_content_stream(model=PRO, contents="a [[fault:image-safety]]")
    )
    assert [chunk.parts for chunk in chunks] == [None]
    assert chunks[0].candidates is not None
    assert chunks[0].candidates[0].finish_reason == types.FinishReason.IMAGE_SAFETY


def test_five_turns_with_signatures(client: genai.Client) -> None:
    chat = client.chats.create(model=PRO, config=config())
    for turn in range(5):
        response = chat.send_message(f"turn {turn}")
        assert response.parts is not None
        assert response.parts[-1].inline_data is not None
    history = chat.get_history()
    assert [content.role for content in history] == ["user", "model"] * 5
    usage = response.usage_metadata
    assert usage is not None
    details = {row.modality: row.token_count for row in usage.prompt_tokens_details or []}
    # Four earlier pictures came back with the history, at 560 tokens each.
    assert details[types.MediaModality.IMAGE] == 4 * 560


def test_a_streamed_turn_can_be_continued(client: genai.Client) -> None:
    chat = client.chats.create(model=PRO, config=config())
    for _ in chat.send_message_stream("one"):
        pass
    for _ in chat.send_message_stream("two"):
        pass
    assert chat.send_message("three").parts is not None


async def test_an_async_conversation(client: genai.Client) -> None:
    chat = client.aio.chats.create(model=PRO, config=config())
    for turn in range(3):
        assert (await chat.send_message(f"turn {turn}")).parts is not None
    await client.aio.aclose()


def test_a_history_with_thoughts_goes_back_as_it_came(client: genai.Client) -> None:
    thinking = config()
    thinking.thinking_config = types.ThinkingConfig(include_thoughts=True)
    chat = client.chats.create(model=PRO, config=thinking)
    chat.send_message("one")
    response = chat.send_message("two")
    assert [bool(part.thought) for part in response.parts or []] == [True, True, False, False]


@pytest.mark.parametrize("spoil", ["drop", "flip"])
def test_a_spoilt_signature_is_refused(client: genai.Client, spoil: str) -> None:
    chat = client.chats.create(model=PRO, config=config())
    first = chat.send_message("one")
    assert first.candidates is not None
    content: Any = first.candidates[0].content
    part = content.parts[-1]
    if spoil == "drop":
        part.thought_signature = None
    else:
        part.thought_signature = part.thought_signature[:-1] + b"\0"
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(
            model=PRO,
            contents=[
                types.Content(role="user", parts=[types.Part(text="one")]),
                content,
                types.Content(role="user", parts=[types.Part(text="two")]),
            ],
        )
    expected = {
        "drop": "Image part is missing a thought_signature in content position 2, part position 2.",
        "flip": "Corrupted thought signature.",
    }
    assert caught.value.code == 400
    assert (caught.value.message or "").startswith(expected[spoil])


@pytest.mark.parametrize(
    "word", [b"context_engineering_is_the_way_to_go", b"skip_thought_signature_validator"]
)
def test_the_documented_bypass(client: genai.Client, word: bytes) -> None:
    blob = types.Blob(data=b"\xff\xd8\xff", mime_type="image/jpeg")
    mine = client.models.generate_content(model=PRO, contents="a").parts
    assert mine is not None
    assert mine[-1].inline_data is not None
    blob = mine[-1].inline_data
    response = client.models.generate_content(
        model=PRO,
        contents=[
            types.Content(
                role="model", parts=[types.Part(inline_data=blob, thought_signature=word)]
            ),
            types.Content(role="user", parts=[types.Part(text="two")]),
        ],
    )
    assert response.parts is not None

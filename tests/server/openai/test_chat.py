"""chat/completions and models with OpenAI's own SDK."""

import base64
import io
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from PIL import Image
from tests.e2e.conftest import Bill
from tests.server.openai.conftest import Place

from heliograph.planning.load import catalogue

PRO = "gemini-3-pro-image"
ASKED: Any = [{"role": "user", "content": "a red lake"}]
SMALL = {
    "image_config": {"aspect_ratio": "16:9", "image_size": "1K"},
    "modalities": ["image", "text"],
}


def opened(url: str) -> Image.Image:
    head, _, data = url.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


async def test_pictures_are_in_the_message(sdk: AsyncOpenAI, bill: Bill) -> None:
    made = await sdk.chat.completions.create(model=PRO, messages=ASKED, extra_body=SMALL)
    message: Any = made.choices[0].message
    (picture,) = message.images
    assert (picture["type"], picture["index"]) == ("image_url", 0)
    assert opened(picture["image_url"]["url"]).size == (1376, 768)
    assert "a red lake" in message.content
    assert made.choices[0].finish_reason == "stop"
    usage: Any = made.usage
    assert usage.completion_tokens_details.image_tokens == 1120
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert round(usage.cost * 1_000_000) == bill.micro
    assert made.model == PRO


async def test_markdown_on_request(sdk: AsyncOpenAI) -> None:
    made = await sdk.chat.completions.create(
        model=PRO, messages=ASKED, extra_body={**SMALL, "heliograph": {"images": "markdown"}}
    )
    content = made.choices[0].message.content
    assert content is not None
    start = content.index("![image](") + len("![image](")
    assert opened(content[start : content.index(")", start)]).size == (1376, 768)
    assert not hasattr(made.choices[0].message, "images")


async def test_streams(sdk: AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model=PRO,
        messages=ASKED,
        stream=True,
        stream_options={"include_usage": True},
        extra_body=SMALL,
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    pictures = [i for c in chunks if c.choices for i in getattr(c.choices[0].delta, "images", [])]
    assert opened(pictures[0]["image_url"]["url"]).size == (1376, 768)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_talk_goes_on_with_the_answer_as_it_came(place: Place, sdk: AsyncOpenAI) -> None:
    first = await sdk.chat.completions.create(model=PRO, messages=ASKED, extra_body=SMALL)
    answer = first.choices[0].message.model_dump()
    messages = [*ASKED, answer, {"role": "user", "content": "now at night"}]
    await sdk.chat.completions.create(model=PRO, messages=messages, extra_body=SMALL)
    record, *_ = await place.gateway.store.books.recent(limit=5)
    assert len(record.parents) == 1
    assert record.prompt.endswith("Now: now at night")
    assert not list((place.gateway.store.home / "scratch").iterdir())


@pytest.mark.parametrize(
    ("fault", "raises", "code"),
    [
        ("prompt-blocked", openai.BadRequestError, "content_policy"),
        ("image-safety", openai.BadRequestError, "content_policy"),
        ("text-refusal", openai.UnprocessableEntityError, "no_image"),
        ("thoughts-only", openai.UnprocessableEntityError, "no_image"),
    ],
)
async def test_a_refusal_is_no_empty_list(
    sdk: AsyncOpenAI, fault: str, raises: type[openai.APIStatusError], code: str
) -> None:
    messages: Any = [{"role": "user", "content": f"x [[fault:{fault}]]"}]
    for stream in (False, True):
        with pytest.raises(raises) as caught:
            await sdk.chat.completions.create(model=PRO, messages=messages, stream=stream)
        assert caught.value.code == code


async def test_f31_drafts_are_never_the_result(sdk: AsyncOpenAI) -> None:
    messages: Any = [{"role": "user", "content": "x [[fault:thought-first]]"}]
    made = await sdk.chat.completions.create(
        model=PRO,
        messages=messages,
        extra_body={**SMALL, "heliograph": {"include_thoughts": True}},
    )
    message: Any = made.choices[0].message
    assert len(message.images) == 1
    assert opened(message.images[0]["image_url"]["url"]).size == (1376, 768)


async def test_addresses_and_functions_are_refused(sdk: AsyncOpenAI, bill: Bill) -> None:
    url = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}}
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "x"}, url]}]
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(model=PRO, messages=messages)
    assert caught.value.code == "url_inputs_disabled"
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(model=PRO, messages=ASKED, max_tokens=5)
    assert caught.value.param == "max_tokens"
    assert bill.lines == []


# ---------------------------------------------------------------- models


async def test_models(sdk: AsyncOpenAI) -> None:
    found = [model async for model in await sdk.models.list()]
    assert [model.id for model in found] == [row.id for row in catalogue().live]
    one: Any = await sdk.models.retrieve(PRO)
    assert (one.object, one.owned_by) == ("model", "google")
    assert one.created == 1779926400  # 2026-05-28
    assert one.heliograph["sizes"] == ["1K", "2K", "4K"]
    assert one.heliograph["pixels"]["4K"]["16:9"] == "5504x3072"
    assert one.heliograph["usd_per_image"]["4K"] == "0.240000"
    same = await sdk.models.retrieve("models/" + PRO)
    assert same.id == PRO


async def test_a_model_that_is_not_there(sdk: AsyncOpenAI) -> None:
    for name in ("gpt-image-2", "gemini-2.5-flash-image", "../x"):
        with pytest.raises(openai.NotFoundError) as caught:
            await sdk.models.retrieve(name)
        assert caught.value.code == "model_not_found"


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b'{"prompt": "a", "prompt": "b"}', {}, 400),
        (b'{"prompt": "a", "n": NaN}', {}, 400),
        (b'{"prompt": "\\ud800"}', {}, 400),
        (b'{"prompt": "\xff"}', {}, 400),
        (b'{"prompt": "a", "n": ' + b"9" * 100_000 + b"}", {}, 400),
        (b'{"prompt": "a"}', {"Content-Type": "text/plain"}, 415),
        (b'{"prompt": "a"}', {"Content-Encoding": "gzip"}, 415),
        (b" " * (1 << 20) + b" ", {}, 413),
    ],
)
@pytest.mark.parametrize("settings", [{"server_body_limit": 1 << 20}])
async def test_s55_bodies_that_are_none(
    place: Place, key: str, data: bytes, headers: dict[str, str], status: int
) -> None:
    import aiohttp

    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
    async with aiohttp.ClientSession() as session:
        for path in ("images/generations", "images/edits", "chat/completions"):
            async with session.post(
                f"{place.base}/{path}", data=io.BytesIO(data), headers=sent
            ) as answer:
                document = await answer.json()
                assert answer.status == status, document
                assert document["error"]["code"]

"""generate_content with the official SDK, over each of its transports."""

import io
import json
import urllib.request
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx2
import pytest
from google import genai
from google.genai import types
from PIL import Image

# google-genai subclasses aiohttp's session, which aiohttp discourages; not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

PRO = "gemini-3-pro-image"
TWO_ONE = "gemini-nano-banana-2.1"


def config(size: str = "1K", ratio: str = "16:9", **more: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        response_modalities=["TEXT", "IMAGE"],
        image_config=types.ImageConfig(aspect_ratio=ratio, image_size=size),
        **more,
    )


def only_image(response: types.GenerateContentResponse) -> bytes:
    (blob,) = [p.inline_data for p in response.parts or [] if p.inline_data and not p.thought]
    assert blob.mime_type == "image/jpeg"
    assert blob.data is not None
    return blob.data


def pixels(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


def fetch(url: str, path: str) -> Any:
    with urllib.request.urlopen(url + path) as response:  # noqa: S310 - our own emulator
        return json.loads(response.read())


def test_a_picture(client: genai.Client) -> None:
    response = client.models.generate_content(model=PRO, contents="a lake", config=config("4K"))
    assert pixels(only_image(response)) == (5504, 3072)
    assert response.text
    assert response.candidates is not None
    assert response.candidates[0].finish_reason == types.FinishReason.STOP
    assert response.model_version == PRO
    assert response.response_id
    usage = response.usage_metadata
    assert usage is not None
    assert usage.candidates_tokens_details is not None
    (detail,) = usage.candidates_tokens_details
    assert (detail.modality, detail.token_count) == (types.MediaModality.IMAGE, 2000)
    counts = (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count)
    assert None not in counts
    assert usage.total_token_count == sum(count or 0 for count in counts)
    assert all(part.thought_signature for part in response.parts or [])
    assert response.sdk_http_response is not None
    headers = response.sdk_http_response.headers or {}
    assert headers["x-gemini-service-tier"] == "standard"


def test_defaults_give_one_square_1k_picture(client: genai.Client) -> None:
    response = client.models.generate_content(model=PRO, contents="a lake")
    assert pixels(only_image(response)) == (1024, 1024)


def test_a_picture_of_ones_own_is_edited(client: genai.Client) -> None:
    mine: Any = [Image.new("RGB", (900, 600), (10, 200, 10)), "make it night"]
    response = client.models.generate_content(model=PRO, contents=mine)
    assert pixels(only_image(response)) == (1264, 848)
    assert response.usage_metadata is not None
    details = response.usage_metadata.prompt_tokens_details or []
    assert {row.modality: row.token_count for row in details}[types.MediaModality.IMAGE] == 560


def test_everything_the_sdk_can_send(client: genai.Client) -> None:
    response = client.models.generate_content(
        model=TWO_ONE,
        contents="hi",
        config=config(
            system_instruction="be brief",
            safety_settings=[
                types.SafetySetting(
                    category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
                    threshold=types.HarmBlockThreshold.OFF,
                )
            ],
            tools=[
                types.Tool(
                    google_search=types.GoogleSearch(
                        search_types=types.SearchTypes(
                            web_search=types.WebSearch(), image_search=types.ImageSearch()
                        )
                    )
                )
            ],
            service_tier=types.ServiceTier.FLEX,
            store=False,
            temperature=0.7,
            top_p=0.95,
            seed=7,
            media_resolution=types.MediaResolution.MEDIA_RESOLUTION_HIGH,
            thinking_config=types.ThinkingConfig(
                include_thoughts=True, thinking_level=types.ThinkingLevel.HIGH
            ),
        ),
    )
    kinds = [(bool(part.text), part.thought) for part in response.parts or []]
    assert kinds == [(True, True), (False, True), (True, None), (False, None)]
    assert response.candidates is not None
    grounding = response.candidates[0].grounding_metadata
    assert grounding is not None
    assert grounding.web_search_queries
    assert grounding.image_search_queries
    assert grounding.search_entry_point is not None
    assert "<" in (grounding.search_entry_point.rendered_content or "")
    chunks = grounding.grounding_chunks or []
    assert chunks[0].web is not None
    assert chunks[-1].image is not None
    assert chunks[-1].image.source_uri


def test_v1_is_the_default_and_v1beta_works(clients: Callable[..., genai.Client], url: str) -> None:
    def last_path() -> str:
        return str(fetch(url, "/_emulator/requests")[-1]["path"])

    clients().models.generate_content(model=PRO, contents="a")
    assert last_path() == f"/v1/models/{PRO}:generateContent"
    clients(api_version="v1beta").models.generate_content(model=PRO, contents="a")
    assert last_path() == f"/v1beta/models/{PRO}:generateContent"


def test_extra_body_reaches_the_schema(client: genai.Client) -> None:
    options = types.HttpOptions(extra_body={"generationConfig": {"noSuchField": 1}})
    with pytest.raises(genai.errors.ClientError) as caught:
        client.models.generate_content(
            model=PRO,
            contents="a",
            config=types.GenerateContentConfig(http_options=options),
        )
    assert caught.value.code == 400
    assert caught.value.message == (
        "Invalid JSON payload received. Unknown name \"noSuchField\" at 'generation_config': "
        "Cannot find field."
    )


async def test_async_over_aiohttp(clients: Callable[..., genai.Client]) -> None:
    sent: list[str] = []

    async def note(_session: Any, _context: Any, params: aiohttp.TraceRequestStartParams) -> None:
        sent.append(params.url.path)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        client = clients(aiohttp_client=session)
        response = await client.aio.models.generate_content(
            model=PRO, contents="a lake", config=config()
        )
    assert pixels(only_image(response)) == (1376, 768)
    assert sent == [f"/v1/models/{PRO}:generateContent"]


async def test_async_without_aiohttp(clients: Callable[..., genai.Client]) -> None:
    sent: list[str] = []

    async def note(request: httpx2.Request) -> None:
        sent.append(request.url.path)

    async with httpx2.AsyncClient(event_hooks={"request": [note]}) as transport:
        client = clients(httpx_async_client=transport)
        response = await client.aio.models.generate_content(
            model=PRO, contents="a lake", config=config()
        )
        chunks = [
            chunk
            async for chunk in await client.aio.models.generate_content_stream(
                model=PRO, contents="a lake", config=config()
            )
        ]
    assert pixels(only_image(response)) == (1376, 768)
    assert [bool(chunk.parts and chunk.parts[0].inline_data) for chunk in chunks] == [
        False,
        True,
        False,
    ]
    assert sent == [f"/v1/models/{PRO}:{m}" for m in ("generateContent", "streamGenerateContent")]


async def test_async_as_it_comes(client: genai.Client) -> None:
    async with client.aio as session:
        response = await session.models.generate_content(model=PRO, contents="a lake")
    assert pixels(only_image(response)) == (1024, 1024)


def test_sync_transport_is_httpx2(clients: Callable[..., genai.Client]) -> None:
    sent: list[str] = []
    with httpx2.Client(event_hooks={"request": [lambda r: sent.append(r.url.path)]}) as transport:
        clients(httpx_client=transport).models.generate_content(model=PRO, contents="a")
    assert sent == [f"/v1/models/{PRO}:generateContent"]


def test_true_4k_in_one_piece(clients: Callable[..., genai.Client], full_size_url: str) -> None:
    client = clients(base_url=full_size_url)
    response = client.models.generate_content(model=PRO, contents="a lake", config=config("4K"))
    data = only_image(response)
    assert pixels(data) == (5504, 3072)
    assert len(data) > 4_000_000
    signatures = [part.thought_signature or b"" for part in response.parts or []]
    # In base64, as they travel: four characters for three bytes.
    assert 15_000_000 < (len(data) + sum(map(len, signatures))) * 4 / 3 < 42_000_000
    (line,) = fetch(full_size_url, "/_emulator/ledger")
    assert line["images"][0]["bytes"] == len(data)


async def test_true_4k_as_one_line_of_a_stream(
    clients: Callable[..., genai.Client], full_size_url: str
) -> None:
    client = clients(base_url=full_size_url)
    for_sync = list(
        client.models.generate_content_stream(model=PRO, contents="a city", config=config("4K"))
    )
    for_async = [
        chunk
        async for chunk in await client.aio.models.generate_content_stream(
            model=PRO, contents="a city", config=config("4K")
        )
    ]
    await client.aio.aclose()
    for chunks in (for_sync, for_async):
        with_image = [c for c in chunks if any(p.inline_data for p in c.parts or [])]
        assert [pixels(only_image(chunk)) for chunk in with_image] == [(5504, 3072)]

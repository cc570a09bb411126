"""Unmodified google-genai against the gateway."""

import asyncio
import base64
import io
from typing import Any

import aiohttp
import httpx2
import pytest
from google import genai
from google.genai import errors, types
from PIL import Image
from tests.server.gemini.conftest import PRO, Clients, Gateway, opened, picture, pixels

# what google-genai does to aiohttp, which aiohttp discourages; not ours to change
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]


def config(size: str | None = None, ratio: str = "16:9", **more: Any) -> Any:
    image = types.ImageConfig(image_size=size, aspect_ratio=ratio)
    return types.GenerateContentConfig(image_config=image, **more)


def images(response: types.GenerateContentResponse) -> list[bytes]:
    parts = response.parts or []
    return [p.inline_data.data or b"" for p in parts if p.inline_data]


def test_a_4k_picture(client: genai.Client, gateway: Gateway) -> None:
    before = len(gateway.bill())
    response = client.models.generate_content(model=PRO, contents="a lake", config=config("4K"))
    (data,) = images(response)
    (line,) = gateway.bill()[before:]
    assert line["images"][0]["bytes"] == len(data)
    assert response.sdk_http_response is not None
    headers = response.sdk_http_response.headers or {}
    assert headers["x-heliograph-verified"] == "verified"
    assert headers["x-heliograph-pixels"] == "x".join(map(str, pixels(data)))
    assert headers["x-heliograph-cost-usd"].startswith("0.2")
    assert response.model_version == PRO
    assert response.usage_metadata is not None
    assert response.usage_metadata.candidates_token_count
    (candidate,) = response.candidates or []
    assert candidate.finish_reason == types.FinishReason.STOP


def test_lower_case_size_is_mended(client: genai.Client) -> None:
    (data,) = images(
        client.models.generate_content(model=PRO, contents="a hill", config=config("4k"))
    )
    (same,) = images(
        client.models.generate_content(model=PRO, contents="a hill", config=config("4K"))
    )
    assert pixels(data) == pixels(same)


def test_an_edit_with_an_inline_picture(client: genai.Client) -> None:
    data = picture((200, 90, 10))
    # the SDK writes the other alphabet
    assert base64.b64encode(data) != base64.urlsafe_b64encode(data)
    part = types.Part.from_bytes(data=data, mime_type="image/png")
    mixed: Any = [part, "make it night"]
    assert len(images(client.models.generate_content(model=PRO, contents=mixed))) == 1
    pillow: Any = [Image.new("RGB", (200, 120), (250, 3, 255)), "make it day"]
    assert len(images(client.models.generate_content(model=PRO, contents=pillow))) == 1


def test_a_chat_of_three_turns_keeps_its_signatures(client: genai.Client, gateway: Gateway) -> None:
    chat = client.chats.create(model=PRO, config=config("1K"))
    before = len(gateway.bill())
    seen = [images(chat.send_message(text)) for text in ("a lake", "at night", "with a boat")]
    assert [len(found) for found in seen] == [1, 1, 1]
    assert len({found[0] for found in seen}) == 3
    assert len(gateway.bill()) == before + 3
    signed = [
        part.thought_signature
        for content in chat.get_history()
        for part in content.parts or []
        if content.role == "model" and part.inline_data
    ]
    assert len(signed) == 3
    assert all(signed)


def test_a_stream(client: genai.Client) -> None:
    chunks = list(
        client.models.generate_content_stream(model=PRO, contents="a city", config=config("1K"))
    )
    assert [len(images(chunk)) for chunk in chunks] == [0, 1, 0]
    last = chunks[-1]
    assert last.candidates
    assert last.candidates[0].finish_reason == types.FinishReason.STOP


def test_a_stream_chat(client: genai.Client) -> None:
    chat = client.chats.create(model=PRO, config=config("1K"))
    for text in ("a lake", "at night", "with a boat"):
        assert sum(len(images(chunk)) for chunk in chat.send_message_stream(text)) == 1


async def test_async_over_aiohttp(clients: Clients) -> None:
    async with aiohttp.ClientSession() as session:
        client = clients(aiohttp_client=session)
        response = await client.aio.models.generate_content(
            model=PRO, contents="a lake", config=config()
        )
        chunks = [
            chunk
            async for chunk in await client.aio.models.generate_content_stream(
                model=PRO, contents="a lake", config=config()
            )
        ]
    assert len(images(response)) == 1
    assert sum(len(images(chunk)) for chunk in chunks) == 1


async def test_async_without_aiohttp(clients: Clients) -> None:
    async with httpx2.AsyncClient() as transport:
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
    assert len(images(response)) == 1
    assert sum(len(images(chunk)) for chunk in chunks) == 1


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_below_a_prefix_and_in_both_versions(
    clients: Clients, gateway: Gateway, version: str
) -> None:
    client = clients(base_url=f"{gateway.url}/gemini", api_version=version)
    assert len(images(client.models.generate_content(model=PRO, contents="a"))) == 1
    stored = client.files.upload(
        file=io.BytesIO(picture()), config=types.UploadFileConfig(mime_type="image/png")
    )
    assert (stored.uri or "").startswith(f"{gateway.url}/gemini/{version}/files/")
    mixed: Any = [stored, "make it night"]
    assert len(images(client.models.generate_content(model=PRO, contents=mixed))) == 1


def test_models(client: genai.Client) -> None:
    live = [
        "models/gemini-3-pro-image",
        "models/gemini-nano-banana-2.1",
        "models/gemini-3.1-flash-lite-image",
    ]
    assert [model.name for model in client.models.list()] == live
    paged = client.models.list(config=types.ListModelsConfig(page_size=2))
    assert [model.name for model in paged] == live
    model = client.models.get(model=PRO)
    assert (model.display_name, model.input_token_limit) == ("Nano Banana Pro", 131072)
    assert model.supported_actions == ["generateContent", "countTokens"]
    with pytest.raises(errors.ClientError) as caught:
        client.models.get(model="gemini-2.5-flash-image")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


def test_count_tokens(client: genai.Client) -> None:
    assert client.models.count_tokens(model=PRO, contents="twelve chars").total_tokens == 3
    mixed: Any = ["abcd", Image.new("RGB", (8, 8))]
    assert client.models.count_tokens(model=PRO, contents=mixed).total_tokens == 561


def test_a_file_of_several_chunks(client: genai.Client) -> None:
    data = picture(kind="JPEG")
    whole = data + bytes(17 * 1024 * 1024 - len(data))
    stored = client.files.upload(
        file=io.BytesIO(whole),
        config=types.UploadFileConfig(display_name="dn", mime_type="image/jpeg"),
    )
    assert (stored.size_bytes, stored.display_name) == (len(whole), "dn")
    assert stored.state == types.FileState.ACTIVE
    assert stored.name is not None
    assert client.files.get(name=stored.name).sha256_hash == stored.sha256_hash
    assert stored.name in [file.name for file in client.files.list()]
    mixed: Any = [stored, "make it night"]
    assert len(images(client.models.generate_content(model=PRO, contents=mixed))) == 1
    client.files.delete(name=stored.name)
    with pytest.raises(errors.ClientError) as gone:
        client.files.get(name=stored.name)
    assert (gone.value.code, gone.value.status) == (403, "PERMISSION_DENIED")


async def test_a_file_async(client: genai.Client) -> None:
    stored = await client.aio.files.upload(
        file=io.BytesIO(picture()), config=types.UploadFileConfig(mime_type="image/png")
    )
    names = [file.name async for file in await client.aio.files.list()]
    assert stored.name in names
    await client.aio.aclose()


def test_a_file_is_its_owners_alone(clients: Clients) -> None:
    stored = clients("anna").files.upload(
        file=io.BytesIO(picture()), config=types.UploadFileConfig(mime_type="image/png")
    )
    assert stored.name is not None
    ben = clients("ben")
    mixed: Any = [stored, "night"]
    for attempt in (
        lambda: ben.files.get(name=stored.name or ""),
        lambda: ben.files.delete(name=stored.name or ""),
        lambda: ben.models.generate_content(model=PRO, contents=mixed),
    ):
        with pytest.raises(errors.ClientError) as caught:
            attempt()
        assert caught.value.code == 403
    assert stored.name not in [file.name for file in ben.files.list()]


def raised(client: genai.Client, prompt: str, **options: Any) -> errors.APIError:
    with pytest.raises(errors.APIError) as caught:
        client.models.generate_content(model=PRO, contents=prompt, **options)
    return caught.value


def told(error: errors.APIError, kind: str = "ErrorInfo") -> dict[str, Any]:
    (found,) = [d for d in error.details["error"]["details"] if d["@type"].endswith(kind)]
    return dict(found)


@pytest.mark.parametrize("name", ["bad-argument", "bad-image"])
def test_what_the_upstream_rejects(client: genai.Client, name: str) -> None:
    error = raised(client, f"a [[fault:{name}]]")
    assert type(error) is errors.ClientError
    assert (error.code, error.status) == (400, "INVALID_ARGUMENT")
    assert told(error)["reason"] == "upstream_rejected"
    assert told(error)["metadata"]["charged"] == "no"


def test_limits_of_the_upstream(clients: Clients, emulator: str, tmp_path: Any) -> None:
    # a gateway of its own: a quota that is used up closes a model, a refused key closes it all
    with opened(tmp_path, emulator) as gateway:
        client = clients(of=gateway)

        def error(model: str, fault: str) -> errors.APIError:
            with pytest.raises(errors.APIError) as caught:
                client.models.generate_content(model=model, contents=f"a [[fault:{fault}]]")
            return caught.value

        minute = error(PRO, "rate-minute:700")
        assert type(minute) is errors.ClientError
        assert (minute.code, minute.status) == (429, "RESOURCE_EXHAUSTED")
        assert told(minute)["reason"] == "rate_limited"
        assert told(minute, "RetryInfo")["retryDelay"].endswith("s")
        day = error("gemini-nano-banana-2.1", "rate-day")
        assert (day.code, told(day)["reason"]) == (429, "upstream_quota")
        key = error("gemini-3.1-flash-lite-image", "leaked")
        assert type(key) is errors.ServerError
        assert (key.code, told(key)["reason"]) == (502, "upstream_credential")


def test_an_unknown_outcome_names_its_job(client: genai.Client) -> None:
    error = raised(client, "a [[fault:reset-after-request]]")
    # 504 would be repeated by an SDK, and paid for again
    assert (error.code, error.status) == (409, "ABORTED")
    info = told(error)
    assert info["reason"] == "outcome_unknown"
    assert info["metadata"]["charged"] == "unknown"
    assert len(info["metadata"]["job"]) == 32


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("reset-after-request", "outcome_unknown"),
        ("cut-json", "outcome_unknown"),
        ("cut-base64", "upstream_corrupt"),
        ("image:bitflip", "upstream_corrupt"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_may_be_paid_for_is_not_asked_for_again(
    clients: Clients, gateway: Gateway, fault: str, reason: str, *, stream: bool
) -> None:
    often = types.HttpRetryOptions(attempts=3, initial_delay=0.01, jitter=0.0, max_delay=0.02)
    client, prompt = clients(retry_options=often), f"paid once, {fault} {stream} [[fault:{fault}]]"

    def ask() -> Any:
        if stream:
            return list(client.models.generate_content_stream(model=PRO, contents=prompt))
        return client.models.generate_content(model=PRO, contents=prompt)

    with pytest.raises(errors.ClientError) as caught:
        ask()
    assert (caught.value.code, told(caught.value)["reason"]) == (409, reason)
    assert gateway.sent(prompt) == 1


def test_what_cost_nothing_is_asked_for_again(
    clients: Clients, emulator: str, tmp_path: Any
) -> None:
    often = types.HttpRetryOptions(attempts=2, initial_delay=1.2, jitter=0.0)
    # so little patience that the gateway does not wait itself
    with opened(tmp_path, emulator, patience=0.5) as gateway:
        prompt = "asked once more [[fault:rate-minute:1*1]]"
        client = clients(of=gateway, retry_options=often)
        assert len(images(client.models.generate_content(model=PRO, contents=prompt))) == 1
        assert gateway.sent(prompt) == 2


def test_a_retired_model_names_its_successor(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="gemini-3-pro-image-preview", contents="a")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    message = caught.value.message or ""
    assert message.startswith(
        "models/gemini-3-pro-image-preview is not found for API version v1, or is not supported"
    )
    assert message.endswith("Use gemini-3-pro-image instead.")


def test_a_bad_key(clients: Clients) -> None:
    assert raised(clients("nobody"), "a").code == 401


def test_a_viewer_may_not_generate(clients: Clients) -> None:
    error = raised(clients("vera"), "a")
    assert (error.code, error.status) == (403, "PERMISSION_DENIED")
    assert len(list(clients("vera").models.list())) == 3


def test_the_sdk_does_not_ask_twice_of_itself(clients: Clients, gateway: Gateway) -> None:
    often = types.HttpRetryOptions(attempts=3, initial_delay=0.01, jitter=0.0, max_delay=0.02)
    before = len(gateway.bill())
    response = clients(retry_options=often).models.generate_content(model=PRO, contents="once")
    assert len(images(response)) == 1
    assert len(gateway.bill()) == before + 1
    sent: list[Any] = []
    told = {"event_hooks": {"request": [sent.append]}}
    client = clients(retry_options=often, client_args=told)
    assert raised(client, "", config=config("9K")).code == 400
    assert len(sent) == 1


def test_thoughts_come_when_they_are_asked_for(client: genai.Client) -> None:
    thinking = types.ThinkingConfig(include_thoughts=True)
    response = client.models.generate_content(
        model=PRO,
        contents="a lake [[fault:thought-first]]",
        config=config("1K", thinking_config=thinking),
    )
    thought = [p for p in response.parts or [] if p.thought]
    assert any(p.inline_data for p in thought)
    assert [p.thought for p in response.parts or []][-1] is None


def test_further_pictures_stay(client: genai.Client) -> None:
    response = client.models.generate_content(model=PRO, contents="a lake [[fault:extra-images:2]]")
    assert len(images(response)) == 3


def test_a_smaller_picture_is_flagged(client: genai.Client) -> None:
    response = client.models.generate_content(
        model=PRO, contents="a lake [[fault:silent-1k]]", config=config("4K")
    )
    assert len(images(response)) == 1
    assert response.sdk_http_response is not None
    headers = response.sdk_http_response.headers or {}
    assert headers["x-heliograph-verified"] == "downgraded"
    assert response.prompt_feedback is None


def test_a_smaller_picture_is_an_error_by_policy(clients: Clients, strict_gateway: Gateway) -> None:
    often = types.HttpRetryOptions(attempts=3, initial_delay=0.01, jitter=0.0, max_delay=0.02)
    client, before = clients(of=strict_gateway, retry_options=often), len(strict_gateway.bill())
    error = raised(client, "a lake [[fault:silent-1k]]", config=config("4K"))
    assert isinstance(error, errors.ClientError)
    assert (error.code, error.status) == (409, "ABORTED")
    assert len(strict_gateway.bill()) == before + 1
    info = told(error)
    assert info["reason"] == "size_mismatch"
    assert info["metadata"]["charged"] == "yes"
    assert len(info["metadata"]["record"]) == 32


@pytest.mark.parametrize(
    ("tag", "reason"),
    [("image-safety", "IMAGE_SAFETY"), ("no-image", "NO_IMAGE"), ("image-other", "IMAGE_OTHER")],
)
def test_a_refusal_is_googles_own_answer(client: genai.Client, tag: str, reason: str) -> None:
    response = client.models.generate_content(model=PRO, contents=f"a [[fault:{tag}]]")
    (candidate,) = response.candidates or []
    assert candidate.finish_reason == reason
    assert images(response) == []
    assert response.sdk_http_response is not None
    headers = response.sdk_http_response.headers or {}
    assert headers["x-heliograph-charged"] in ("yes", "no")
    assert len(headers["x-heliograph-job"]) == 32


def test_a_blocked_prompt_is_googles_own_answer(client: genai.Client) -> None:
    response = client.models.generate_content(model=PRO, contents="a [[fault:prompt-blocked]]")
    assert not response.candidates
    assert response.prompt_feedback is not None
    assert response.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    chunks = list(
        client.models.generate_content_stream(model=PRO, contents="a [[fault:prompt-blocked]]")
    )
    assert chunks[0].prompt_feedback is not None


def test_many_at_once_keep_apart(client: genai.Client) -> None:
    async def all_of_them() -> set[str | None]:
        replies = await asyncio.gather(
            *(client.aio.models.generate_content(model=PRO, contents=f"n {n}") for n in range(8))
        )
        await client.aio.aclose()
        return {reply.response_id for reply in replies}

    assert len(asyncio.run(all_of_them())) == 8

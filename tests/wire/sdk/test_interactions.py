"""The Interactions API with the official SDK, which retries it by default and reads Retry-After."""

import base64
import io
import time
import urllib.request
from typing import Any

import pytest
from google import genai
from google.genai import types
from google.genai._gaos.lib import compat_errors
from PIL import Image

# google-genai subclasses aiohttp's session, which aiohttp discourages; not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

PRO = "gemini-3-pro-image"
FORMAT: Any = {"type": "image", "aspect_ratio": "16:9", "image_size": "1K"}
ONCE = types.HttpRetryOptions(attempts=1)


def create(client: genai.Client, prompt: Any = "a lake", **options: Any) -> Any:
    return client.interactions.create(
        **{"model": PRO, "input": prompt, "response_format": FORMAT, **options}
    )


def size(content: Any) -> tuple[int, int]:
    assert (content.type, content.mime_type) == ("image", "image/jpeg")
    with Image.open(io.BytesIO(base64.b64decode(content.data))) as image:
        return image.size


def test_an_inline_picture(client: genai.Client) -> None:
    made = create(client)
    assert (made.status, made.model, made.service_tier) == ("completed", PRO, "standard")
    assert size(made.output_image) == (1376, 768)
    assert [step.type for step in made.steps] == ["thought", "model_output"]
    assert made.output_text == ""
    rows = {row.modality: row.tokens for row in made.usage.output_tokens_by_modality}
    assert rows == {"image": 1120}
    assert made.usage.total_tokens > 1120
    kept = client.interactions.get(made.id, include_input=True)
    assert next(step.type for step in kept.steps or []) == "user_input"
    assert kept.output_image == made.output_image
    assert kept.input == "a lake"


async def test_an_inline_picture_async(client: genai.Client) -> None:
    made: Any = await client.aio.interactions.create(
        model=PRO, input="a lake", response_format=FORMAT
    )
    assert size(made.output_image) == (1376, 768)
    assert (await client.aio.interactions.get(made.id)).status == "completed"
    await client.aio.interactions.delete(made.id)
    with pytest.raises(compat_errors.NotFoundError):
        await client.aio.interactions.get(made.id)
    await client.aio.aclose()


def test_words_and_a_picture_from_contents(client: genai.Client) -> None:
    source = create(client).output_image
    contents = [
        {"type": "text", "text": "make it night"},
        {"type": "image", "data": source.data, "mime_type": source.mime_type},
    ]
    made = create(
        client,
        contents,
        response_format=[{"type": "text"}, {"type": "image"}],
        tools=[{"type": "google_search"}],
        generation_config={"thinking_summaries": "auto"},
    )
    assert "edited" in made.output_text
    assert size(made.output_image) == (1376, 768)
    kinds = ["thought", "google_search_call", "google_search_result", "model_output"]
    assert [step.type for step in made.steps] == kinds
    assert [part.type for part in made.steps[0].summary] == ["text", "image"]


def test_background_work_is_polled(client: genai.Client) -> None:
    made = create(client, "a lake [[fault:slow:0.3]]", background=True)
    assert (made.status, made.output_image) == ("in_progress", None)
    end = time.monotonic() + 60
    while made.status == "in_progress" and time.monotonic() < end:
        time.sleep(0.05)
        made = client.interactions.get(made.id)
    assert made.status == "completed"
    assert size(made.output_image) == (1376, 768)


async def test_background_work_is_cancelled(client: genai.Client) -> None:
    made = create(client, "a lake [[fault:slow:30]]", background=True)
    assert client.interactions.cancel(made.id).status == "cancelled"
    kept: Any = await client.aio.interactions.get(made.id)
    assert (kept.status, kept.output_image) == ("cancelled", None)
    other = create(client, "a lake [[fault:slow:30]]", background=True)
    assert (await client.aio.interactions.cancel(other.id)).status == "cancelled"
    await client.aio.aclose()


def test_background_work_that_is_refused(client: genai.Client) -> None:
    made = create(client, "a [[fault:image-safety]]", background=True)
    end = time.monotonic() + 60
    while made.status == "in_progress" and time.monotonic() < end:
        time.sleep(0.05)
        made = client.interactions.get(made.id)
    assert made.status == "failed"
    assert made.errors[0].code == "content_blocked"
    assert "safety violations" in made.errors[0].message


def test_a_conversation(client: genai.Client) -> None:
    first = create(client)
    second = create(client, "now at night", previous_interaction_id=first.id)
    third = create(client, "and snow", previous_interaction_id=second.id)
    assert third.previous_interaction_id == second.id
    rows = {row.modality: row.tokens for row in third.usage.input_tokens_by_modality}
    # Two earlier pictures at 560 tokens each.
    assert rows["image"] == 2 * 560


def test_a_conversation_that_is_not_stored(client: genai.Client) -> None:
    first = create(client, store=False)
    said = [
        {"type": "user_input", "content": [{"type": "text", "text": "a lake"}]},
        *(step.model_dump(exclude_none=True) for step in first.steps),
        {"type": "user_input", "content": [{"type": "text", "text": "now at night"}]},
    ]
    assert size(create(client, said, store=False, response_format={"type": "image"}).output_image)


def test_a_picture_by_uri(client: genai.Client) -> None:
    content = create(client, response_format={**FORMAT, "delivery": "uri"}).output_image
    assert content.data is None
    request = urllib.request.Request(content.uri, headers={"x-goog-api-key": "k"})  # noqa: S310
    with urllib.request.urlopen(request) as response:  # noqa: S310 - our own loopback address
        assert Image.open(io.BytesIO(response.read())).size == (1376, 768)


def test_a_stream(client: genai.Client) -> None:
    events: list[Any] = list(create(client, stream=True))
    step = ["step.start", "step.delta", "step.stop"]
    kinds = ["interaction.created", *step, *step, "interaction.completed"]
    assert [event.event_type for event in events] == kinds
    assert size(events[5].delta) == (1376, 768)
    last = events[-1].interaction
    assert (last.status, last.usage.total_output_tokens) == ("completed", 1120)
    assert size(client.interactions.get(last.id).output_image) == (1376, 768)


ERRORS: list[tuple[str, type[compat_errors.APIStatusError], str]] = [
    ("bad-argument", compat_errors.BadRequestError, "invalid_request"),
    ("image-recitation", compat_errors.BadRequestError, "content_blocked"),
    ("not-found", compat_errors.NotFoundError, "not_found"),
    ("rate-minute:7", compat_errors.RateLimitError, "too_many_requests"),
    ("internal", compat_errors.InternalServerError, "api_error"),
    ("high-demand", compat_errors.InternalServerError, "service_unavailable"),
]


@pytest.mark.parametrize(("fault", "kind", "code"), ERRORS, ids=[row[0] for row in ERRORS])
def test_errors(
    clients: Any, fault: str, kind: type[compat_errors.APIStatusError], code: str
) -> None:
    client = clients(retry_options=ONCE)
    with pytest.raises(kind) as caught:
        create(client, f"a [[fault:{fault}]]")
    body: Any = caught.value.body
    assert body["error"]["code"] == code
    assert set(body["error"]) == {"code", "message"}


def test_a_bad_key(clients: Any) -> None:
    with pytest.raises(compat_errors.BadRequestError) as caught:
        create(clients(key="emu-expired", retry_options=ONCE))
    body: Any = caught.value.body
    assert body[0]["error"]["status"] == "INVALID_ARGUMENT"


async def test_an_error_async(clients: Any) -> None:
    client: genai.Client = clients(retry_options=ONCE)
    with pytest.raises(compat_errors.RateLimitError):
        await client.aio.interactions.create(model=PRO, input="a [[fault:rate-day]]")
    await client.aio.aclose()


def test_creating_is_retried_unless_told_otherwise(clients: Any) -> None:
    """Not asked for, and with the server's Retry-After: a second picture may be paid for."""
    prompt = f"a lake {time.time_ns()} [[fault:overloaded:0*1]]"
    assert create(clients(), prompt).status == "completed"
    again = prompt.replace("a lake", "a sea")
    with pytest.raises(compat_errors.InternalServerError):
        create(clients(retry_options=ONCE), again)

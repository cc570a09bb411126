"""OpenAI's own SDK makes and changes pictures: exact pixels, formats, streams, links, money."""

import asyncio
import base64
import hashlib
import io
import json
from typing import Any
from urllib.request import urlopen

import aiohttp
import pytest
from openai import APIError, AsyncOpenAI, OpenAI
from PIL import Image
from tests.e2e.conftest import Bill
from tests.server.openai.conftest import Place

from heliograph.money import parse_dollars
from heliograph.server.headers import usd
from heliograph.types import Role

PRO = "gemini-3-pro-image"


def opened(text: str | None) -> Image.Image:
    assert text is not None
    picture = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    picture.load()
    return picture


def digest(text: str) -> str:
    return hashlib.sha256(base64.b64decode(text)).hexdigest()


def png(width: int, height: int, mode: str = "RGB", colour: Any = (200, 40, 40)) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height), colour).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("size", "pixels"),
    [("4096x4096", (4096, 4096)), ("3840x2160", (3840, 2160)), ("1000x700", (1000, 700))],
)
async def test_exact_sizes_are_delivered_exactly(
    sdk: AsyncOpenAI, size: str, pixels: tuple[int, int]
) -> None:
    made = await sdk.images.generate(prompt="a red lake", model=PRO, size=size)
    assert made.data is not None
    picture = opened(made.data[0].b64_json)
    assert (picture.size, made.size, picture.format) == (pixels, size, "JPEG")
    assert made.output_format == "jpeg"


async def test_a_picture_that_fits_is_given_as_it_came(place: Place, sdk: AsyncOpenAI) -> None:
    made = await sdk.images.generate(prompt="a lake", model=PRO, size="4096x4096")
    assert made.data is not None
    (record,) = await place.gateway.store.books.recent(limit=5)
    original = await place.gateway.client.original(record)
    assert base64.b64decode(made.data[0].b64_json or "") == await asyncio.to_thread(
        original.read_bytes
    )


async def test_what_the_answer_says(place: Place, sdk: AsyncOpenAI, bill: Bill) -> None:
    answer = await sdk.images.with_raw_response.generate(
        prompt="a red lake", size="1K", quality="high", safety_identifier="u-1"
    )
    made = answer.parse()
    assert (made.background, made.quality, made.size) == ("opaque", "low", "1024x1024")
    assert made.safety_identifier == "u-1"
    assert made.usage is not None
    assert made.usage.output_tokens_details is not None
    assert made.usage.output_tokens_details.image_tokens == 1120
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens
    job = await place.gateway.jobs.job(answer.headers["x-heliograph-job"])
    assert job is not None
    assert made.created == int(job.created.timestamp())
    assert (job.face, job.route) == ("openai", "POST /images/generations")
    assert parse_dollars(answer.headers["x-heliograph-cost-usd"]) == bill.micro == job.cost
    assert answer.headers["x-heliograph-pixels"] == "1024x1024"
    assert answer.headers["x-heliograph-verified"] == "verified"
    extra: Any = made.model_extra
    assert (
        extra["heliograph"]["notes"][0] == "quality high had nothing to choose: the size is given."
    )


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"output_format": "png"}, "PNG"),
        ({"output_format": "webp", "output_compression": 60}, "WEBP"),
        ({"output_format": "jpeg"}, "JPEG"),
        ({}, "JPEG"),
    ],
)
async def test_formats(sdk: AsyncOpenAI, options: dict[str, Any], kind: str) -> None:
    made = await sdk.images.generate(prompt="a lake", size="1K", **options)
    assert opened(made.data[0].b64_json).format == kind
    assert made.output_format == kind.lower()


async def test_n_pictures_are_n_calls(sdk: AsyncOpenAI, bill: Bill) -> None:
    made = await sdk.images.generate(prompt="a lake", size="1K", n=3)
    assert made.data is not None
    assert len({picture.b64_json for picture in made.data}) == 3
    assert len(bill.lines) == 3


async def test_the_options_of_google_and_ours_reach_the_model(
    place: Place, sdk: AsyncOpenAI
) -> None:
    await sdk.images.generate(
        prompt="a lake",
        model="models/" + PRO,
        extra_body={
            "extra_body": {
                "google": {
                    "aspect_ratio": "21:9",
                    "generation_config": {"imageConfig": {"imageSize": "2K"}},
                }
            },
            "heliograph": {"seed": 4, "tags": ["team-a"]},
        },
    )
    (record,) = await place.gateway.store.books.recent(limit=5)
    assert (record.size, record.aspect) == ("2K", "21:9")
    assert (record.request["seed"], list(record.request["tags"])) == (4, ["team-a"])


def fetched(url: str) -> bytes:
    with urlopen(url) as answer:  # noqa: S310
        data: bytes = answer.read()
        return data


async def test_links(place: Place, sdk: AsyncOpenAI) -> None:
    for options, pixels in (({}, (1024, 1024)), ({"output_format": "png"}, (1024, 1024))):
        made = await sdk.images.generate(
            prompt="a lake", size="1K", response_format="url", extra_body=options
        )
        assert made.data is not None
        url = made.data[0].url
        assert url is not None
        assert url.startswith(place.url + "/pictures/")
        picture = Image.open(io.BytesIO(await asyncio.to_thread(fetched, url)))
        assert picture.size == pixels
        assert picture.format == made.output_format.upper()  # type: ignore[union-attr]


@pytest.mark.parametrize("fault", ["silent-1k", "wrong-ratio:9:16"])
@pytest.mark.parametrize("kind", ["jpeg", "png"])
async def test_a_link_leads_to_what_came_instead_of_the_pixels_asked(
    sdk: AsyncOpenAI, fault: str, kind: str
) -> None:
    made = await sdk.images.generate(
        prompt=f"a lake [[fault:{fault}]]",
        size="3840x2160",
        response_format="url",
        output_format=kind,  # type: ignore[call-overload]
    )
    assert made.output_format == kind
    picture = Image.open(io.BytesIO(await asyncio.to_thread(fetched, made.data[0].url)))
    assert f"{picture.width}x{picture.height}" == made.size != "3840x2160"
    assert picture.format == kind.upper()


# ---------------------------------------------------------------- streams


async def test_a_stream_gives_drafts_and_then_the_picture(
    place: Place, sdk: AsyncOpenAI, bill: Bill
) -> None:
    stream = await sdk.images.generate(prompt="a lake", size="1K", stream=True, partial_images=2)
    events = [event async for event in stream]
    assert [event.type for event in events][-1] == "image_generation.completed"
    drafts = [e for e in events if e.type == "image_generation.partial_image"]
    assert [draft.partial_image_index for draft in drafts] == list(range(len(drafts)))
    assert drafts
    last = events[-1]
    assert last.type == "image_generation.completed"
    assert opened(last.b64_json).size == (1024, 1024)
    assert last.usage.output_tokens > 0
    (record,) = await place.gateway.store.books.recent(limit=5)
    assert record.result is not None
    assert digest(last.b64_json) == record.result.sha256
    kept = [image.sha256 for image in record.images if image.role is Role.DRAFT]
    assert [digest(draft.b64_json) for draft in drafts] == kept[:2]
    assert len(bill.lines) == 1


async def test_the_last_event_of_a_stream_tells_the_rest(sdk: AsyncOpenAI, place: Place) -> None:
    stream = await sdk.images.generate(
        prompt="x [[fault:text-refusal*1]]", size="1K", n=3, stream=True
    )
    events = [e async for e in stream if e.type == "image_generation.completed"]
    assert len(events) == 2
    first, last = (event.to_dict()["heliograph"] for event in events)
    assert isinstance(first, dict)
    assert isinstance(last, dict)
    assert "cost_usd" not in first
    assert last["cost_usd"] == usd(await place.spent())
    assert (last["missing"], last["missing_charged"]) == (1, "yes")


async def test_a_stream_shows_that_it_lives(place: Place, key: str) -> None:
    body = {"prompt": "a lake [[fault:delay-headers:5]]", "size": "1K", "stream": True}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session,
        session.post(f"{place.base}/images/generations", json=body) as answer,
    ):
        text = await answer.text()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert text.count(": keep-alive\n\n") >= 1
    assert "event: image_generation.completed\n" in text


async def test_an_early_failure_of_a_stream_is_a_plain_error(sdk: AsyncOpenAI) -> None:
    with pytest.raises(APIError) as caught:
        await sdk.images.generate(prompt="x [[fault:prompt-blocked]]", size="1K", stream=True)
    assert caught.value.code == "content_policy"


@pytest.mark.parametrize("settings", [{"silence_timeout": 4.0}])
async def test_a_late_failure_of_a_stream_is_an_error_event(sdk: AsyncOpenAI) -> None:
    client = sdk.with_options(max_retries=0)
    stream = await client.images.generate(
        prompt="x [[fault:stall-after:100]]", size="1K", stream=True
    )
    with pytest.raises(APIError) as caught:
        async for _ in stream:
            pass
    assert caught.value.code == "outcome_unknown"


# ---------------------------------------------------------------- edits


@pytest.mark.parametrize("colour", ["black", "white"])
async def test_an_edit_with_a_mask(place: Place, sdk: AsyncOpenAI, colour: str) -> None:
    transparent = Image.new("RGBA", (1024, 1024), colour)
    transparent.paste((0, 0, 0, 0), (300, 300, 700, 700))
    mask = io.BytesIO()
    transparent.save(mask, "PNG")
    made = await sdk.images.edit(
        image=("../../x.png", png(1024, 1024), "image/png"),
        mask=("mask.png", mask.getvalue(), "image/png"),
        prompt="a boat in the middle",
        size="1K",
        extra_body={"heliograph": {"protect": True}},
    )
    assert made.data is not None
    picture = opened(made.data[0].b64_json).convert("RGB")
    assert picture.size == (1024, 1024)
    # what is opaque in the mask stays as it was, to the pixel
    assert picture.getpixel((5, 5)) == (200, 40, 40)
    assert made.output_format == "png"
    (record,) = await place.gateway.store.books.recent(limit=5)
    assert record.parents
    assert not list((place.gateway.store.home / "scratch").iterdir())


async def test_several_pictures_are_put_together(place: Place, sdk: AsyncOpenAI) -> None:
    pictures = [(f"{n}.png", png(64, 64, colour=(n, 0, 0)), "image/png") for n in range(3)]
    made = await sdk.images.edit(image=pictures, prompt="all of them", size="1K", n=1)
    assert made.data is not None
    (record,) = await place.gateway.store.books.recent(limit=5)
    assert len(record.parents) == 3


async def test_edits_stream_too(sdk: AsyncOpenAI) -> None:
    stream = await sdk.images.edit(
        image=("a.png", png(64, 64), "image/png"),
        prompt="x",
        size="1K",
        stream=True,
        partial_images=1,
    )
    kinds = [event.type async for event in stream]
    assert kinds == ["image_edit.partial_image", "image_edit.completed"]


async def test_what_is_no_picture_is_refused_before_it_costs(sdk: AsyncOpenAI, bill: Bill) -> None:
    for data in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"", b"GIF89a"):
        with pytest.raises(APIError) as caught:
            await sdk.images.edit(image=("a.png", data, "image/png"), prompt="x", size="1K")
        assert getattr(caught.value, "status_code", None) in (400, 415)
    assert bill.lines == []


async def test_edits_as_json(place: Place, key: str) -> None:
    url = "data:image/png;base64," + base64.b64encode(png(64, 64)).decode()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for given, status in ((url, 200), ("https://example.com/a.png", 400)):
            body = {"prompt": "x", "size": "1K", "images": [{"image_url": given}]}
            async with session.post(f"{place.base}/images/edits", json=body) as answer:
                document = await answer.json()
                assert answer.status == status, document
        assert document["error"]["code"] == "url_inputs_disabled"


@pytest.mark.parametrize("more", [{"image_url": "…"}, ["…"], "…"], ids=["one", "list", "text"])
async def test_no_picture_of_an_edit_is_left_out(
    place: Place, key: str, bill: Bill, more: object
) -> None:
    url = "data:image/png;base64," + base64.b64encode(png(64, 64)).decode()
    body = {"prompt": "x", "size": "1K", "images": [{"image_url": url}], "image": more}
    form = aiohttp.FormData({"prompt": "x", "size": "1K", "images": json.dumps(more)})
    form.add_field("image", png(64, 64), filename="a.png", content_type="image/png")
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for options, field in (({"json": body}, "image"), ({"data": form}, "images")):
            async with session.post(f"{place.base}/images/edits", **options) as answer:
                assert (answer.status, (await answer.json())["error"]["param"]) == (400, field)
    assert bill.lines == []


# ---------------------------------------------------------------- the other client


async def test_the_blocking_client(place: Place, key: str) -> None:
    def ask() -> tuple[int, int]:
        with OpenAI(base_url=place.base, api_key=key) as client:
            made = client.images.generate(prompt="a lake", model=PRO, size="4K")
            assert made.data is not None
            return opened(made.data[0].b64_json).size

    assert await asyncio.to_thread(ask) == (4096, 4096)

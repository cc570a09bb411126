"""One bill: idempotency keys, the SDK's own retries, and connections that drop (S74)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI
from tests.e2e.conftest import Bill
from tests.server.openai.conftest import Place
from tests.server.waiting import HANG, until

KEYED = {"Idempotency-Key": "order-1"}


async def test_the_same_key_gives_the_same_bytes_and_no_charge(
    place: Place, key: str, bill: Bill
) -> None:
    body = {"prompt": "a lake", "size": "1K", "n": 2}
    found = []
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for _ in range(2):
            async with session.post(
                f"{place.base}/images/generations", json=body, headers=KEYED
            ) as answer:
                found.append((answer.headers.copy(), await answer.read()))
    (first, data), (again, same) = found
    assert data == same
    assert "idempotency-replayed" not in first
    assert again["idempotency-replayed"] == "true"
    assert again["x-heliograph-cost-usd"] == "0.000000"
    assert len(bill.lines) == 2


@pytest.mark.parametrize(
    "other",
    [{"prompt": "a sea"}, {"size": "2K"}, {"response_format": "url"}, {"user": "u"}, {"n": 2}],
)
async def test_another_request_with_the_same_key_is_refused(
    sdk: AsyncOpenAI, bill: Bill, other: dict[str, object]
) -> None:
    asked: dict[str, object] = {"prompt": "a lake", "size": "1K"}
    await sdk.images.generate(**asked, extra_headers=KEYED)  # type: ignore[call-overload]
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await sdk.images.generate(**{**asked, **other}, extra_headers=KEYED)  # type: ignore[call-overload]
    assert caught.value.code == "idempotency_key_reused"
    assert len(bill.lines) == 1


async def test_the_spelling_of_a_size_is_no_other_request(sdk: AsyncOpenAI, bill: Bill) -> None:
    for size in ("1K", "1k"):
        await sdk.images.generate(prompt="a lake", size=size, extra_headers=KEYED)
    assert len(bill.lines) == 1


async def test_a_refusal_is_replayed_without_a_call(sdk: AsyncOpenAI, bill: Bill) -> None:
    for replayed in (None, "true"):
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.images.generate(
                prompt="x [[fault:prompt-blocked]]", size="1K", extra_headers=KEYED
            )
        assert caught.value.code == "content_policy"
        assert caught.value.response.headers.get("idempotency-replayed") == replayed
    assert len(bill.lines) == 1


async def test_a_key_in_use_is_a_conflict(place: Place, key: str, bill: Bill) -> None:
    body = {"prompt": "a lake [[fault:delay-headers:5]]", "size": "1K"}

    async def ask(session: aiohttp.ClientSession, **headers: str) -> tuple[int, str]:
        async with session.post(
            f"{place.base}/images/generations", json=body, headers={**KEYED, **headers}
        ) as answer:
            document = await answer.json()
            return answer.status, document.get("error", {}).get("code", "")

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        first = asyncio.ensure_future(ask(session))
        await until(lambda: place.gateway.admission.under_way == 1)
        assert await ask(session) == (409, "idempotency_key_in_use")
        assert await ask(session, Prefer="wait=60") == (200, "")
        assert await first == (200, "")
    assert len(bill.lines) == 1


async def test_s21_a_key_is_its_user_s_own(place: Place, bill: Bill) -> None:
    for name in ("anna", "ben"):
        async with AsyncOpenAI(base_url=place.base, api_key=place.key(name)) as client:
            await client.images.generate(prompt="a lake", size="1K", extra_headers=KEYED)
    assert len(bill.lines) == 2


@pytest.mark.parametrize("bad", ["", "a b", "x" * 256, "ä"])
async def test_keys_of_no_form(place: Place, key: str, bad: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": bad}
    body = {"prompt": "a lake", "size": "1K"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{place.base}/images/generations", json=body, headers=headers) as answer,
    ):
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == "Idempotency-Key"


@asynccontextmanager
async def cutting(url: str, cuts: int) -> AsyncIterator[str]:
    """A proxy that drops the first so many connections in the middle of their answers."""
    host, port = url.removeprefix("http://").split(":")
    left = cuts
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        is_cut, left = left > 0, left - 1

        async def there() -> None:
            while data := await reader.read(1 << 16):
                up_writer.write(data)

        async def back() -> None:
            while data := await up_reader.read(1 << 16):
                if is_cut:
                    writer.write(data[:600])
                    await writer.drain()
                    break
                writer.write(data)
            writer.close()

        going = asyncio.ensure_future(there())
        try:
            await back()
        finally:
            going.cancel()
            for each in (up_writer, writer):
                each.close()
                with contextlib.suppress(OSError):
                    await each.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@pytest.mark.parametrize("headers", [{}, KEYED])
async def test_s74_a_dropped_connection_is_one_bill(
    place: Place, key: str, bill: Bill, headers: dict[str, str]
) -> None:
    async with (
        cutting(place.url, 1) as url,
        AsyncOpenAI(base_url=f"{url}/openai/v1", api_key=key) as client,
    ):
        try:
            answer = await client.images.with_raw_response.generate(
                prompt="a lake", size="1K", extra_headers=headers
            )
        except openai.APIConnectionError:
            # a body that breaks off after its head is nothing the SDK repeats by itself
            answer = await client.images.with_raw_response.generate(
                prompt="a lake",
                size="1K",
                extra_headers={**headers, "x-stainless-retry-count": "1"},
            )
    assert answer.parse().data
    assert answer.headers["idempotency-replayed"] == "true"
    assert len(bill.lines) == 1


async def test_s74_a_connection_dropped_before_the_answer_is_one_bill(
    place: Place, key: str, bill: Bill
) -> None:
    """The SDK gives up waiting and sends it again by itself, twice at most."""
    async with AsyncOpenAI(base_url=place.base, api_key=key, timeout=2.0) as client:
        made = await client.images.generate(prompt="a lake [[fault:delay-headers:2.6]]", size="1K")
    assert made.data
    assert len(bill.lines) == 1


async def test_asking_twice_is_two_pictures(sdk: AsyncOpenAI, bill: Bill) -> None:
    for _ in range(2):
        await sdk.images.generate(prompt="a lake", size="1K")
    assert len(bill.lines) == 2


async def test_f16_a_client_that_leaves_loses_nothing(place: Place, key: str, bill: Bill) -> None:
    async with AsyncOpenAI(base_url=place.base, api_key=key, timeout=0.5, max_retries=0) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.images.edit(
                image=("a.png", _png(), "image/png"),
                prompt="a lake [[fault:delay-headers:5]]",
                size="1K",
                extra_headers=KEYED,
            )
        answer = await client.with_options(timeout=HANG).images.with_raw_response.edit(
            image=("a.png", _png(), "image/png"),
            prompt="a lake [[fault:delay-headers:5]]",
            size="1K",
            extra_headers={**KEYED, "Prefer": "wait=60"},
        )
    assert answer.parse().data
    assert len(bill.lines) == 1


def _png() -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(out, "PNG")
    return out.getvalue()

"""Upstream faults as OpenAI's SDK sees them: exception class, code, headers, and calls made.

Rows of reliability.md A, column "→"; `C` is how many calls the emulator must count.
"""

import asyncio
from dataclasses import dataclass

import openai
import pytest
from openai import APIStatusError, AsyncOpenAI
from tests.e2e.conftest import Bill
from tests.server.openai.conftest import Place
from tests.server.waiting import HANG

from heliograph.money import parse_dollars


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one fault becomes."""

    fault: str
    raises: type[APIStatusError]
    status: int
    code: str
    calls: int = 1
    charged: str = "no"


ROWS = {
    "F03": Row(
        fault="rate-minute:400", raises=openai.RateLimitError, status=429, code="rate_limited"
    ),
    "F04": Row(fault="rate-day", raises=openai.RateLimitError, status=429, code="upstream_quota"),
    "F04b": Row(
        fault="limit-zero", raises=openai.RateLimitError, status=429, code="upstream_quota"
    ),
    "F06": Row(fault="depleted", raises=openai.RateLimitError, status=429, code="upstream_quota"),
    "F14": Row(
        fault="reset-after-request",
        raises=openai.InternalServerError,
        status=504,
        code="outcome_unknown",
        charged="unknown",
    ),
    "F18b": Row(
        fault="cut-json",
        raises=openai.InternalServerError,
        status=504,
        code="outcome_unknown",
        charged="unknown",
    ),
    "F19": Row(
        fault="cut-base64",
        raises=openai.InternalServerError,
        status=502,
        code="upstream_corrupt",
        charged="yes",
    ),
    "F21": Row(
        fault="image:html",
        raises=openai.InternalServerError,
        status=502,
        code="upstream_corrupt",
        charged="yes",
    ),
    "F25": Row(
        fault="image:bomb",
        raises=openai.InternalServerError,
        status=502,
        code="upstream_corrupt",
        charged="yes",
    ),
    "F28": Row(
        fault="prompt-blocked", raises=openai.BadRequestError, status=400, code="content_policy"
    ),
    "F29": Row(
        fault="image-prohibited", raises=openai.BadRequestError, status=400, code="content_policy"
    ),
    "F30": Row(
        fault="text-refusal", raises=openai.UnprocessableEntityError, status=422, code="no_image"
    ),
    "F31": Row(
        fault="thoughts-only", raises=openai.UnprocessableEntityError, status=422, code="no_image"
    ),
    "F32": Row(
        fault="empty-candidates",
        raises=openai.UnprocessableEntityError,
        status=422,
        code="no_image",
    ),
    "F37": Row(
        fault="body-html",
        raises=openai.InternalServerError,
        status=502,
        code="upstream_protocol",
    ),
    "F38": Row(
        fault="redirect", raises=openai.InternalServerError, status=502, code="upstream_protocol"
    ),
    "F48": Row(fault="not-found", raises=openai.NotFoundError, status=404, code="model_not_found"),
    "F49": Row(
        fault="api-key-invalid",
        raises=openai.InternalServerError,
        status=502,
        code="upstream_credential",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_what_a_fault_becomes(sdk: AsyncOpenAI, bill: Bill, row: Row) -> None:
    # whoever obeyed F03 would wait 400 s
    async with asyncio.timeout(HANG):
        with pytest.raises(row.raises) as caught:
            await sdk.images.generate(prompt=f"a lake [[fault:{row.fault}]]", size="1K")
    error = caught.value
    assert (error.status_code, error.code) == (row.status, row.code)
    # the SDK obeys: it does not send again what would not help, or might be paid twice
    assert error.response.headers["x-should-retry"] == "false"
    assert len(bill.lines) == row.calls
    assert isinstance(error.body, dict)
    extra = error.body["heliograph"]
    if row.charged == "unknown":
        assert extra["charged"] == "unknown"
    if row.charged == "yes":
        assert extra["charged"] in ("yes", "unknown")
    if row.status >= 500:
        assert extra["job"] == error.response.headers["x-heliograph-job"]


async def test_f03_tells_how_long(sdk: AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        await sdk.images.generate(prompt="a [[fault:rate-minute:400]]", size="1K")
    assert 399 <= int(caught.value.response.headers["retry-after"]) <= 441


async def test_f30_has_the_model_s_words(sdk: AsyncOpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await sdk.images.generate(prompt="a [[fault:text-refusal]]", size="1K")
    assert "It said: " in caught.value.message


async def test_f07_is_mended_behind_the_gateway(sdk: AsyncOpenAI, bill: Bill) -> None:
    made = await sdk.images.generate(prompt="a [[fault:internal*1]]", size="1K")
    assert made.data
    assert len(bill.lines) == 2


async def test_f18_is_salvaged(sdk: AsyncOpenAI, bill: Bill) -> None:
    made = await sdk.images.generate(prompt="a [[fault:cut-after-image]]", size="1K")
    assert made.data
    assert len(bill.lines) == 1


async def test_f22_a_smaller_picture_is_flagged_and_not_blown_up(sdk: AsyncOpenAI) -> None:
    answer = await sdk.images.with_raw_response.generate(
        prompt="a [[fault:silent-1k]]", size="4096x4096"
    )
    assert answer.headers["x-heliograph-verified"] == "downgraded"
    assert answer.headers["x-heliograph-pixels"] == "1024x1024"
    assert answer.parse().size == "1024x1024"


async def test_f22_strict_refuses_it(sdk: AsyncOpenAI, place: Place) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await sdk.images.generate(
            prompt="a [[fault:silent-1k]]",
            size="4K",
            extra_body={"heliograph": {"strict": True}},
        )
    assert (caught.value.status_code, caught.value.code) == (502, "size_mismatch")
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["heliograph"]["charged"] == "yes"
    (record,) = await place.gateway.store.books.recent(limit=5)
    assert body["heliograph"]["record"] == record.id  # paid for, kept, to be had


@pytest.mark.parametrize("settings", [{"server_mismatch": "error"}])
async def test_an_operator_can_make_every_mismatch_an_error(sdk: AsyncOpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await sdk.images.generate(prompt="a [[fault:silent-1k]]", size="4K")
    assert caught.value.code == "size_mismatch"


@pytest.mark.parametrize("upstream", ["http://127.0.0.1:1"])
async def test_f11_nobody_there(place: Place, sdk: AsyncOpenAI, bill: Bill) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await sdk.with_options(max_retries=0).images.generate(prompt="a lake", size="1K")
    assert caught.value.status_code == 503
    assert caught.value.response.headers["x-should-retry"] == "true"
    assert bill.micro == 0
    assert await place.spent() == 0


# ---------------------------------------------------------------- money


async def budget(place: Place, key: str, dollars: str) -> None:
    user = place.callers[key].user.id
    await place.gateway.store.journal.set_budget(f"user/{user}", parse_dollars(dollars))


async def test_s70_n_pictures_need_money_for_all_of_them(
    place: Place, key: str, sdk: AsyncOpenAI, bill: Bill
) -> None:
    await budget(place, key, "0.80")
    with pytest.raises(openai.RateLimitError) as caught:
        await sdk.images.generate(prompt="a lake", size="1K", n=8)
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert bill.lines == []


async def test_the_balance_is_told(place: Place, key: str, sdk: AsyncOpenAI) -> None:
    await budget(place, key, "1")
    answer = await sdk.images.with_raw_response.generate(prompt="a lake", size="1K")
    assert 0 < float(answer.headers["x-heliograph-balance"]) < 1


async def test_s71_a_model_without_a_price(sdk: AsyncOpenAI, bill: Bill) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.images.generate(prompt="a lake", model="nano-banana-pro-preview")
    assert (caught.value.code, caught.value.param) == ("price_unknown", "model")
    assert bill.lines == []


async def test_what_planning_refuses_names_the_client_s_parameter(sdk: AsyncOpenAI) -> None:
    for options, param in (
        ({"size": "20000x20000"}, "size"),
        ({"extra_body": {"aspect_ratio": "9:21"}}, "aspect_ratio"),
        ({"extra_body": {"heliograph": {"thinking": "extreme"}}}, "heliograph.thinking"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.images.generate(prompt="a lake", **options)
        assert caught.value.param == param
        assert caught.value.code == "invalid_request"


async def test_other_models_are_not_found(sdk: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.images.generate(prompt="a lake", model="gpt-image-2")
    assert caught.value.code == "model_not_found"
    assert "gemini-3-pro-image" in caught.value.message


async def test_s01_no_key(place: Place) -> None:
    async with AsyncOpenAI(base_url=place.base, api_key="helio_live_wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()

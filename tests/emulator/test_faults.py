"""Each fault name against the shape it promises, and against the bill."""

import binascii
import gzip
import io
import json
import time
import zlib
from typing import Any

import aiohttp
import pytest
import pyvips
from PIL import Image

from heliograph.emulator.faults import FAULTS
from heliograph.emulator.faults.pictures import bomb_png

ERRORS = {
    "api-key-invalid": (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    "key-expired": (400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
    "location": (
        400,
        "FAILED_PRECONDITION",
        "User location is not supported for the API use.",
    ),
    "bad-argument": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "bad-image": (400, "INVALID_ARGUMENT", "Provided image is not valid."),
    "unauthenticated": (401, "UNAUTHENTICATED", "invalid authentication credentials"),
    "no-key": (403, "PERMISSION_DENIED", "unregistered callers"),
    "leaked": (403, "PERMISSION_DENIED", "reported as leaked"),
    "service-blocked": (403, "PERMISSION_DENIED", "blocked"),
    "service-disabled": (403, "PERMISSION_DENIED", "disabled"),
    "not-found": (404, "NOT_FOUND", "models/gemini-3-pro-image is not found for API version"),
    "rate-minute": (429, "RESOURCE_EXHAUSTED", "Please retry in 7s."),
    "rate-plain": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota"),
    "rate-day": (429, "RESOURCE_EXHAUSTED", "Please retry in 37s."),
    "limit-zero": (429, "RESOURCE_EXHAUSTED", "limit: 0\nPlease retry in 37.36s."),
    "depleted": (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
    "spend-limit": (429, "RESOURCE_EXHAUSTED", "spend limit"),
    "exhausted": (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    "capacity": (429, "RESOURCE_EXHAUSTED", "No capacity available for model"),
    "cancelled": (499, "CANCELLED", "The operation was cancelled."),
    "internal": (500, "INTERNAL", "An internal error has occurred. Please retry or report"),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "high-demand": (503, "UNAVAILABLE", "This model is currently experiencing high demand."),
    "deadline": (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    "status": (500, "UNKNOWN", "chosen by a rule"),
}


def decoded(reply: Any, place: int = -1) -> bytes:
    return binascii.a2b_base64(reply.images[place]["inlineData"]["data"], strict_mode=True)


def size(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


async def bill(emu: Any) -> dict[str, Any]:
    line: dict[str, Any] = (await emu.ledger())[-1]
    return line


@pytest.mark.parametrize("name", ERRORS)
async def test_errors(emu: Any, name: str) -> None:
    code, status, message = ERRORS[name]
    reply = await emu.generate(f"x [[fault:{name}]]")
    assert (reply.status, reply.error["code"], reply.error["status"]) == (code, code, status)
    assert message in reply.error["message"]
    line = await bill(emu)
    assert (line["billed"], line["http_status"], line["fault"]) == (False, code, name)


def test_every_error_fault_is_tested() -> None:
    assert set(ERRORS) == {name for name, fault in FAULTS.items() if fault.error is not None}


async def test_quota_details(emu: Any) -> None:
    async def details(tag: str) -> dict[str, dict[str, Any]]:
        error = (await emu.generate(f"[[fault:{tag}]]")).error
        return {row["@type"].rpartition(".")[2]: row for row in error.get("details", [])}

    minute = await details("rate-minute:2.5")
    assert minute["RetryInfo"]["retryDelay"] == "2.5s"
    (violation,) = minute["QuotaFailure"]["violations"]
    assert violation["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel"
    assert violation["quotaValue"] == "10"
    day = await details("rate-day")
    assert day["QuotaFailure"]["violations"][0]["quotaId"].startswith("GenerateRequestsPerDay")
    assert day["RetryInfo"]["retryDelay"] == "37s"
    zero = await details("limit-zero")
    assert "quotaValue" not in zero["QuotaFailure"]["violations"][0]
    assert zero["QuotaFailure"]["violations"][0]["quotaId"].endswith("-FreeTier")
    assert (await details("capacity"))["ErrorInfo"]["reason"] == "MODEL_CAPACITY_EXHAUSTED"
    for bare in ("rate-plain", "depleted", "exhausted"):
        assert await details(bare) == {}


async def test_headers_and_options_of_errors(emu: Any) -> None:
    assert (await emu.generate("[[fault:high-demand:20]]")).headers["retry-after"] == "20"
    assert "retry-after" not in (await emu.generate("[[fault:high-demand]]")).headers
    args = {"code": 418, "status": "TEAPOT", "message": "short", "headers": {"x-a": "b"}}
    await emu.post("/_emulator/rules", {"action": "status", "args": args})
    reply = await emu.generate()
    assert (reply.status, reply.error["message"], reply.headers["x-a"]) == (418, "short", "b")


async def test_a_bad_gateway_is_html(emu: Any) -> None:
    reply = await emu.generate("[[fault:bad-gateway]]")
    assert reply.status == 502
    assert reply.headers["content-type"].startswith("text/html")
    assert b"<!DOCTYPE html>" in reply.body
    assert (await bill(emu))["billed"] is False


async def test_once_then_fine(emu: Any) -> None:
    statuses = [(await emu.generate("x [[fault:high-demand*1]]")).status for _ in range(3)]
    assert statuses == [503, 200, 200]


async def test_by_header(emu: Any) -> None:
    assert (await emu.generate(headers={"x_emu_fault": "rate-minute:3"})).status == 429
    assert (await emu.generate()).status == 200


@pytest.mark.parametrize("tag", ["hihg-demand", "rate-minute:soon", "extra-images:0", "image:x"])
async def test_a_wrong_tag_is_refused_aloud(emu: Any, tag: str) -> None:
    reply = await emu.generate(f"[[fault:{tag}]]")
    assert reply.status == 400
    assert reply.error["message"] == reply.headers["x-emu-note"]
    by_header = await emu.generate(headers={"x_emu_fault": tag})
    assert by_header.error["message"] == reply.error["message"]


@pytest.mark.parametrize(
    ("name", "reason", "charged"),
    [
        ("image-safety", "IMAGE_SAFETY", False),
        ("image-other", "IMAGE_OTHER", False),
        ("no-image", "NO_IMAGE", True),
        ("image-recitation", "IMAGE_RECITATION", False),
        ("image-prohibited", "IMAGE_PROHIBITED_CONTENT", False),
        ("safety", "SAFETY", False),
        ("empty-content", "STOP", False),
    ],
)
async def test_refusals(emu: Any, name: str, reason: str, *, charged: bool) -> None:
    reply = await emu.generate(f"x [[fault:{name}]]")
    candidate = reply.json["candidates"][0]
    assert (reply.status, candidate["finishReason"], candidate["content"]) == (200, reason, {})
    usage = reply.json["usageMetadata"]
    assert "candidatesTokenCount" not in usage
    line = await bill(emu)
    assert line["billed"] is charged
    assert line["images"] == []
    expected = usage["promptTokenCount"] * 2 + usage["thoughtsTokenCount"] * 12
    assert line["billed_micro"] == (expected if charged else 0)
    if name.startswith("image-"):
        assert "You will not be charged" in candidate["finishMessage"]


@pytest.mark.parametrize(
    ("shape", "content"),
    [
        ("empty", {}),
        ("role", {"role": "model"}),
        ("null", {"role": "model", "parts": None}),
        ("absent", None),
    ],
)
async def test_content_shapes(emu: Any, shape: str, content: object) -> None:
    reply = await emu.generate(f"[[fault:image-safety:{shape}]]")
    candidate = reply.json["candidates"][0]
    assert candidate.get("content") == content
    assert ("content" in candidate) is (shape != "absent")


async def test_prompt_block_has_no_candidates(emu: Any) -> None:
    reply = await emu.generate("[[fault:prompt-blocked:JAILBREAK]]")
    assert "candidates" not in reply.json
    assert reply.json["promptFeedback"] == {"blockReason": "JAILBREAK"}
    assert "thoughtsTokenCount" not in reply.json["usageMetadata"]
    assert (await bill(emu))["billed"] is False


async def test_answers_in_words(emu: Any) -> None:
    text = await emu.generate("[[fault:text-refusal]]")
    assert text.json["candidates"][0]["finishReason"] == "STOP"
    assert [sorted(part) for part in text.parts] == [["text", "thoughtSignature"]]
    thoughts = await emu.generate("[[fault:thoughts-only]]")
    assert [part["thought"] for part in thoughts.parts] == [True]
    cut = await emu.generate("[[fault:max-tokens]]")
    assert cut.json["candidates"][0]["finishReason"] == "MAX_TOKENS"
    empty = await emu.generate("[[fault:empty-candidates]]")
    assert empty.json["candidates"] == []
    lines = await emu.ledger()
    assert [line["billed_micro"] > 0 for line in lines] == [True, True, True, False]
    assert all(line["split_pico"]["image"] == 0 for line in lines)


async def test_silent_1k_says_so_in_its_usage(emu: Any) -> None:
    reply = await emu.generate("[[fault:silent-1k]]", size="4K", ratio="16:9")
    assert size(decoded(reply)) == (1376, 768)
    assert reply.json["usageMetadata"]["candidatesTokensDetails"][0]["tokenCount"] == 1120
    assert (await bill(emu))["split_pico"]["image"] == 134_400_000_000


async def test_a_1k_image_kind_keeps_the_4k_usage(emu: Any) -> None:
    reply = await emu.generate("[[fault:image:1K]]", size="4K")
    assert size(decoded(reply)) == (1024, 1024)
    assert reply.json["usageMetadata"]["candidatesTokensDetails"][0]["tokenCount"] == 2000


@pytest.mark.parametrize("tag", ["wrong-ratio", "image:wrong_ratio"])
async def test_wrong_ratio(emu: Any, tag: str) -> None:
    reply = await emu.generate(f"[[fault:{tag}]]", size="1K", ratio="16:9")
    width, height = size(decoded(reply))
    assert abs(width / height - 16 / 9) > 0.2


async def test_thought_first(emu: Any) -> None:
    reply = await emu.generate("[[fault:thought-first]]", size="2K")
    assert [part.get("thought", False) for part in reply.images] == [True, False]
    assert [size(decoded(reply, place)) for place in (0, 1)] == [(1024, 1024), (2048, 2048)]
    assert (await bill(emu))["split_pico"]["image"] == 134_400_000_000


async def test_extra_images_are_all_billed(emu: Any) -> None:
    reply = await emu.generate("[[fault:extra-images:3]]", size="4K")
    assert len(reply.images) == 4
    assert all("thoughtSignature" in part and "thought" not in part for part in reply.images)
    assert [size(decoded(reply, place))[0] for place in range(4)] == [1024, 1024, 1024, 4096]
    line = await bill(emu)
    assert line["split_pico"]["image"] == (3 * 1120 + 2000) * 120_000_000
    assert [image["role"] for image in line["images"]] == ["extra", "extra", "extra", "final"]


async def test_order_of_parts(emu: Any) -> None:
    first = await emu.generate("[[fault:image-first]]")
    assert ["text" in part for part in first.parts] == [False, True]
    only = await emu.generate("[[fault:image-only]]")
    assert len(only.parts) == 1


def opens(data: bytes) -> bool:
    try:
        pyvips.Image.new_from_buffer(data, "", fail_on="warning").avg()
    except pyvips.Error:
        return False
    return True


async def test_image_kinds(emu: Any) -> None:
    found = {}
    for kind in ("ok", "bitflip", "cut", "forged_eoi", "trailing", "svg", "html", "zero", "png"):
        reply = await emu.generate(f"[[fault:image:{kind}]]")
        found[kind] = (decoded(reply), reply.images[0]["inlineData"]["mimeType"])
    assert {
        kind: mime for kind, (_, mime) in found.items() if mime != "image/jpeg"
    } == dict.fromkeys(("bitflip", "svg", "html", "png"), "image/png")
    data = {kind: data for kind, (data, _) in found.items()}
    assert opens(data["ok"])
    assert opens(data["png"])
    assert data["png"].startswith(b"\x89PNG")
    for kind in ("bitflip", "cut", "forged_eoi"):
        assert not opens(data[kind]), kind
    assert data["forged_eoi"].endswith(b"\xff\xd9")
    assert not data["cut"].endswith(b"\xff\xd9")
    assert b"TRAILING" in data["trailing"].rpartition(b"\xff\xd9")[2]
    assert data["svg"].startswith(b"<svg")
    assert data["html"].startswith(b"<!doctype html")
    assert data["zero"] == b""
    assert all(line["split_pico"]["image"] == 134_400_000_000 for line in await emu.ledger())


async def test_an_animated_picture_has_frames(emu: Any) -> None:
    image = Image.open(io.BytesIO(decoded(await emu.generate("[[fault:image:animated]]"))))
    assert getattr(image, "n_frames", 1) == 3


def test_the_bomb_is_small_and_valid() -> None:
    data = bomb_png()
    assert len(data) < 1_500_000
    header = pyvips.Image.new_from_buffer(data, "", access="sequential")
    assert (header.width, header.height) == (20_000, 20_000)
    stream = data[data.index(b"IDAT") + 4 : data.rindex(b"IEND") - 8]
    unpacker = zlib.decompressobj()
    length = 0
    while stream:
        length += len(unpacker.decompress(stream, 1 << 24))
        stream = unpacker.unconsumed_tail
    # The unpacker checks Adler-32 itself at the end of the stream.
    assert unpacker.eof
    assert length == 20_000 * 60_001


async def test_mime_and_base64(emu: Any) -> None:
    claimed = await emu.generate("[[fault:mime:image/webp]]")
    assert claimed.images[0]["inlineData"]["mimeType"] == "image/webp"
    assert decoded(claimed).startswith(b"\xff\xd8")
    bad = (await emu.generate("[[fault:bad-base64]]")).images[0]["inlineData"]["data"]
    with pytest.raises(binascii.Error):
        binascii.a2b_base64(bad, strict_mode=True)
    cut = (await emu.generate("[[fault:cut-base64]]")).images[0]["inlineData"]["data"]
    assert len(cut) % 4 == 1
    spaced = (await emu.generate("[[fault:whitespace-base64]]")).images[0]["inlineData"]["data"]
    assert {len(line) for line in spaced.split("\n")[:-1]} == {76}
    assert binascii.a2b_base64(spaced).startswith(b"\xff\xd8")


async def test_usage_that_lies(emu: Any) -> None:
    assert "usageMetadata" not in (await emu.generate("[[fault:usage-missing]]")).json
    negative = (await emu.generate("[[fault:usage-negative]]")).json["usageMetadata"]
    assert negative["candidatesTokenCount"] < 0
    assert negative["candidatesTokensDetails"][0]["tokenCount"] == -1120
    huge = (await emu.generate("[[fault:usage-huge]]")).json["usageMetadata"]
    assert huge["totalTokenCount"] == 10**18
    nan = (await emu.generate("[[fault:usage-nan]]")).body
    assert b'"candidatesTokenCount": NaN' in nan
    # The bill keeps the truth, or nobody could tell what the lie should have been.
    assert {line["split_pico"]["image"] for line in await emu.ledger()} == {134_400_000_000}


async def test_odd_json(emu: Any) -> None:
    bom = await emu.generate("[[fault:bom]]")
    assert bom.body.startswith(b"\xef\xbb\xbf{")
    json.loads(bom.body.decode("utf-8-sig"))
    for key in ("data", "candidates", "usageMetadata"):
        doubled = (await emu.generate(f"[[fault:duplicate-keys:{key}]]")).body
        assert doubled.count(f'"{key}": '.encode()) == 2
        json.loads(doubled)
    finish = await emu.generate("[[fault:unknown-finish]]")
    assert finish.json["candidates"][0]["finishReason"] == "SOMETHING_NEW"
    assert finish.images
    field = await emu.generate("[[fault:unknown-field]]")
    assert field.json["somethingNew"] is True
    escaped = await emu.generate("é 日本 [[fault:escaped-text]]")
    assert "日本" in escaped.parts[0]["text"]
    assert escaped.body.isascii()


async def test_bodies_that_are_no_answer(emu: Any) -> None:
    html = await emu.generate("[[fault:body-html]]")
    assert (html.status, html.headers["content-type"][:9]) == (200, "text/html")
    inner = await emu.generate("[[fault:error-200]]")
    assert (inner.status, inner.error["code"]) == (200, 503)
    listed = await emu.generate("[[fault:error-list-200]]")
    assert (listed.status, listed.json[0]["error"]["code"]) == (200, 503)
    raw = await emu.generate("[[fault:body:not json at all]]")
    assert raw.body == b"not json at all"
    with pytest.raises(UnicodeDecodeError):
        (await emu.generate("[[fault:bad-utf8]]")).body.decode()
    moved = await emu.generate("[[fault:redirect:http://127.0.0.1:9/x]]")
    assert (moved.status, moved.headers["location"]) == (307, "http://127.0.0.1:9/x")
    assert all(line["billed"] is False for line in await emu.ledger())


async def test_a_gzip_bomb_unpacks_to_a_thousand_times_its_size(emu: Any) -> None:
    reply = await emu.generate("[[fault:gzip-bomb:32]]")
    assert reply.headers["content-encoding"] == "gzip"
    assert len(reply.body) * 900 < 32 << 20
    assert len(gzip.decompress(reply.body)) == 32 << 20


async def test_huge_headers(emu: Any) -> None:
    with pytest.raises(aiohttp.ClientResponseError, match="bytes"):
        await emu.generate("[[fault:huge-headers]]")
    assert (await emu.generate("[[fault:huge-headers:100]]")).headers["x-huge"] == "h" * 100


async def test_stream_errors(emu: Any) -> None:
    method = "streamGenerateContent?alt=sse"
    reply = await emu.generate("[[fault:stream-error:429]]", method=method)
    first, last = [json.loads(line[6:]) for line in reply.body.split(b"\r\n") if line]
    assert reply.status == 200
    assert "text" in first["candidates"][0]["content"]["parts"][0]
    assert (last["error"]["code"], last["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    unary = await emu.generate("[[fault:stream-error]]")
    assert unary.status == 503
    assert [line["billed"] for line in await emu.ledger()] == [False, False]


async def test_slow_and_delay_headers(emu: Any) -> None:
    for tag in ("slow:0.3", "delay-headers:0.3"):
        before = time.monotonic()
        assert (await emu.generate(f"[[fault:{tag}]]")).status == 200
        assert time.monotonic() - before >= 0.3
    deadline = {"X_Server_Timeout": "0.1"}
    assert (await emu.generate("[[fault:slow:9]]", headers=deadline)).status == 504
    assert (await emu.generate("[[fault:delay-headers:0.3]]", headers=deadline)).status == 200

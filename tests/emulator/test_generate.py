"""generateContent over HTTP: pixels, parts, usage, bill, and what is refused."""

import base64
import binascii
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from heliograph.emulator.painting import read_metadata_mark
from heliograph.emulator.signature import sign, weight_of

LITE = "gemini-3.1-flash-lite-image"
TWO_ONE = "gemini-nano-banana-2.1"


def decoded(part: dict[str, Any]) -> bytes:
    return binascii.a2b_base64(part["inlineData"]["data"], strict_mode=True)


def pixels(part: dict[str, Any]) -> tuple[int, int]:
    return Image.open(io.BytesIO(decoded(part))).size


def picture(width: int = 64, height: int = 64, colour: tuple[int, ...] = (200, 30, 30)) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def inline(data: str, mime: str = "image/png") -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime, "data": data}}


@pytest.mark.parametrize(
    ("model", "size", "ratio", "expected"),
    [
        ("gemini-3-pro-image", None, None, (1024, 1024)),
        ("gemini-3-pro-image", "1K", "16:9", (1376, 768)),
        ("gemini-3-pro-image", "2K", "4:5", (1856, 2304)),
        ("gemini-3-pro-image", "4K", "16:9", (5504, 3072)),
        (TWO_ONE, "1K", "8:1", (2928, 352)),
        (TWO_ONE, "1K", "1:4", (512, 2064)),
        (LITE, "1K", "21:9", (1584, 672)),
    ],
)
async def test_exact_pixels(
    emu: Any, model: str, size: str | None, ratio: str | None, expected: tuple[int, int]
) -> None:
    reply = await emu.generate(model=model, size=size, ratio=ratio)
    assert reply.status == 200
    assert pixels(reply.images[0]) == expected
    assert reply.images[0]["inlineData"]["mimeType"] == "image/jpeg"
    assert decoded(reply.images[0]).startswith(b"\xff\xd8\xff")


async def test_the_answer_is_laid_out_as_googles(emu: Any) -> None:
    reply = await emu.generate(size="4K")
    assert reply.headers["x-gemini-service-tier"] == "standard"
    assert reply.headers["content-type"] == "application/json; charset=UTF-8"
    assert reply.headers["server"] == "scaffolding on HTTPServer2"
    assert reply.headers["server-timing"].startswith("gfet4t7; dur=")
    text, image = reply.parts
    assert set(text) == {"text", "thoughtSignature"}
    assert set(image) == {"inlineData", "thoughtSignature"}
    candidate = reply.json["candidates"][0]
    assert (candidate["finishReason"], candidate["index"]) == ("STOP", 0)
    assert candidate["content"]["role"] == "model"
    assert reply.json["modelVersion"] == "gemini-3-pro-image"
    assert reply.json["responseId"]


async def test_usage_adds_up(emu: Any) -> None:
    usage = (await emu.generate("word " * 8, size="4K")).json["usageMetadata"]
    assert usage["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 2000}]
    assert usage["promptTokenCount"] == 10
    assert 174 <= usage["thoughtsTokenCount"] <= 529
    assert usage["candidatesTokenCount"] > 2000
    assert usage["totalTokenCount"] == (
        usage["promptTokenCount"] + usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    )
    assert usage["serviceTier"] == "standard"


async def test_the_bill_is_the_usage_times_the_price(emu: Any) -> None:
    usage = (await emu.generate("word " * 8, size="4K")).json["usageMetadata"]
    (line,) = await emu.ledger()
    text = usage["candidatesTokenCount"] - 2000 + usage["thoughtsTokenCount"]
    assert line["billed_micro"] == 10 * 2 + 2000 * 120 + text * 12
    assert line["split_pico"]["image"] == 240_000_000_000
    assert line["usage"] == usage
    assert (line["project"], line["http_status"], line["state"]) == ("default", 200, "closed")


async def test_the_ledger_knows_the_bytes_that_were_sent(emu: Any) -> None:
    reply = await emu.generate(size="2K", ratio="3:2")
    data = decoded(reply.images[0])
    (line,) = await emu.ledger()
    assert line["images"] == [
        {
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "width": 2528,
            "height": 1696,
            "mime": "image/jpeg",
            "role": "final",
        }
    ]
    mark = read_metadata_mark(data)
    assert mark is not None
    assert line["call"] in str(mark)
    times = [line[name] for name in ("arrived", "request_read", "first_byte", "last_byte")]
    assert times == sorted(times)
    assert (await emu.get(f"/_emulator/ledger?call={line['call']}")).json == [line]
    assert (await emu.get("/_emulator/ledger?call=0000000000000000")).json == []


async def test_modalities_choose_the_parts(emu: Any) -> None:
    image_only = await emu.generate(config={"responseModalities": ["Image"]})
    assert [set(part) for part in image_only.parts] == [{"inlineData", "thoughtSignature"}]
    assert image_only.json["usageMetadata"]["candidatesTokenCount"] == 1120
    text_only = await emu.generate(config={"responseModalities": ["TEXT"]})
    assert [set(part) for part in text_only.parts] == [{"text", "thoughtSignature"}]
    assert "candidatesTokensDetails" not in text_only.json["usageMetadata"]


async def test_thoughts_come_only_when_asked(emu: Any) -> None:
    reply = await emu.generate(
        size="2K", config={"thinkingConfig": {"include_thoughts": True, "thinking_level": "HIGH"}}
    )
    kinds = [(*sorted(part), part.get("thought", False)) for part in reply.parts]
    assert kinds == [
        ("text", "thought", True),
        ("inlineData", "thought", True),
        ("text", "thoughtSignature", False),
        ("inlineData", "thoughtSignature", False),
    ]
    assert [pixels(part) for part in reply.images] == [(1024, 1024), (2048, 2048)]
    details = reply.json["usageMetadata"]["candidatesTokensDetails"]
    assert details == [{"modality": "IMAGE", "tokenCount": 1120}]
    (line,) = await emu.ledger()
    assert [image["role"] for image in line["images"]] == ["thought", "final"]


async def test_thoughts_in_the_history_are_not_seen_again(emu: Any) -> None:
    config = {"thinkingConfig": {"includeThoughts": True}}
    first = await emu.generate(config=config)
    turns = [
        {"role": "model", "parts": first.parts},
        {"role": "user", "parts": [{"text": "now at night"}]},
    ]
    usage = (await emu.generate(contents=turns)).json["usageMetadata"]
    assert {"modality": "IMAGE", "tokenCount": 560} in usage["promptTokensDetails"]


async def test_response_format_takes_enum_names(emu: Any) -> None:
    image = {"aspectRatio": "ASPECT_RATIO_SIXTEEN_BY_NINE", "imageSize": "IMAGE_SIZE_TWO_K"}
    reply = await emu.generate(config={"responseFormat": {"image": image}})
    assert pixels(reply.images[0]) == (2752, 1536)


async def test_an_edit_follows_the_ratio_of_its_picture(emu: Any) -> None:
    contents = [{"parts": [inline(picture(1920, 1080)), {"text": "make it night"}]}]
    reply = await emu.generate(contents=contents)
    assert pixels(reply.images[0]) == (1376, 768)
    usage = reply.json["usageMetadata"]
    assert {"modality": "IMAGE", "tokenCount": 560} in usage["promptTokensDetails"]


@pytest.mark.parametrize("channel", [0, 1, 2])
async def test_an_edit_shows_its_picture(start: Any, channel: int) -> None:
    colour = tuple(210 if place == channel else 30 for place in range(3))
    contents = [{"parts": [inline(picture(640, 640, colour=colour)), {"text": "sharpen it"}]}]
    # Plain pictures are not drawn from anything, so this one is not.
    async with start(small=False, signatures="short") as emu:
        reply = await emu.generate(contents=contents)
    image = Image.open(io.BytesIO(decoded(reply.images[0]))).convert("RGB")
    means = ImageStat.Stat(image).mean
    assert means.index(max(means)) == channel
    others = [mean for place, mean in enumerate(means) if place != channel]
    assert means[channel] > 2 * max(others)


async def test_a_second_turn_edits_the_first_answer(emu: Any) -> None:
    first = await emu.generate(ratio="21:9")
    history = [
        {"role": "user", "parts": [{"text": "a lake"}]},
        {"role": "model", "parts": first.parts},
        {"role": "user", "parts": [{"text": "now at night"}]},
    ]
    second = await emu.generate(contents=history)
    assert second.status == 200
    assert pixels(second.images[0]) == (1584, 672)
    del first.parts[1]["thoughtSignature"]
    history[1]["parts"] = [
        {k: v for k, v in part.items() if k == "inlineData"} for part in first.images
    ]
    refused = await emu.generate(contents=history)
    assert refused.status == 400
    assert (
        "Image part is missing a thought_signature in content position 2"
        in (refused.error["message"])
    )


async def test_a_changed_signature_is_a_400_until_switched_off(emu: Any, start: Any) -> None:
    first = await emu.generate()
    part = first.images[0]
    signature = bytearray(base64.b64decode(part["thoughtSignature"]))
    signature[len(signature) // 2] ^= 4
    altered = {**part, "thoughtSignature": base64.b64encode(signature).decode()}
    contents = [{"role": "model", "parts": [altered]}, {"role": "user", "parts": [{"text": "x"}]}]
    refused = await emu.generate(contents=contents)
    assert (refused.status, refused.error["message"]) == (400, "Corrupted thought signature.")
    bypass = {**part, "thoughtSignature": "skip_thought_signature_validator"}
    contents[0]["parts"] = [bypass]
    assert (await emu.generate(contents=contents)).status == 200
    async with start(enforce_signatures=False) as lenient:
        contents[0]["parts"] = [altered]
        assert (await lenient.generate(contents=contents)).status == 200


async def test_same_seed_same_calls_same_bytes(start: Any) -> None:
    async def run(seed: int) -> list[bytes]:
        async with start(seed=seed) as emu:
            replies = [await emu.generate(f"a lake {n}") for n in range(2)]
            return [reply.body for reply in replies]

    first, second, other = await run(5), await run(5), await run(6)
    assert first == second
    assert first[0] != first[1]
    assert set(first).isdisjoint(other)


@pytest.mark.parametrize(
    ("model", "size", "ratio"),
    [
        ("gemini-3-pro-image", "4k", None),
        ("gemini-3-pro-image", "512", None),
        ("gemini-3-pro-image", "8K", None),
        ("gemini-3-pro-image", "1K", "7:3"),
        ("gemini-3-pro-image", "1K", "1:8"),
        (TWO_ONE, "512", None),
        (LITE, "2K", None),
    ],
)
async def test_what_the_table_lacks_is_a_400(
    emu: Any, model: str, size: str, ratio: str | None
) -> None:
    reply = await emu.generate(model=model, size=size, ratio=ratio)
    assert (reply.status, reply.error["status"]) == (400, "INVALID_ARGUMENT")
    assert reply.error["message"] == "Request contains an invalid argument."
    assert "is not one of" in reply.headers["x-emu-note"]
    (line,) = await emu.ledger()
    assert (line["http_status"], line["billed"], line["billed_micro"]) == (400, False, 0)


async def test_the_silent_policy_draws_unknown_sizes_at_1k(start: Any) -> None:
    async with start(size_policy="silent") as emu:
        reply = await emu.generate(size="4k", ratio="16:9")
        assert pixels(reply.images[0]) == (1376, 768)
        assert reply.json["usageMetadata"]["candidatesTokensDetails"][0]["tokenCount"] == 1120
        assert (await emu.generate(model=TWO_ONE, size="512")).status == 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"parts": [{}]}]}, "required oneof field 'data'"),
        ({"contents": [{"role": "bot", "parts": [{"text": "a"}]}]}, "valid role: user, model"),
        ({"tools": [{"functionDeclarations": []}]}, "Function calling is not enabled for models/"),
        ({"tools": [{"codeExecution": {}}]}, "Code execution is not enabled"),
        ({"config": {"candidateCount": 2}}, "Multiple candidates is not enabled"),
        ({"config": {"responseMimeType": "application/json"}}, "JSON mode is not enabled"),
        ({"config": {"temperature": 1.5}}, "temperature must be in the range [0.0, 1.0]"),
        ({"config": {"responseModalities": ["AUDIO"]}}, "combination of response modalities"),
        (
            {"config": {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 1}}},
            "only one of thinking budget and thinking level",
        ),
        ({"cachedContent": "cachedContents/x"}, "CachedContent"),
        (
            {"systemInstruction": {"parts": [{"text": "a"}, inline(picture())]}},
            "Request contains an invalid argument",
        ),
        ({"contents": [{"parts": [{"mediaProcessing": "STATIC"}]}]}, "one initialized field"),
        ({"contents": [{"parts": [inline(picture(), "image/gif")]}]}, "Unsupported MIME type"),
        ({"contents": [{"parts": [inline("AAAA")]}]}, "Provided image is not valid"),
        (
            {"contents": [{"parts": [inline(picture()[:80])]}]},
            "Unable to process input image",
        ),
        ({"prompt": "x" * 600_000}, "exceeds the maximum number of tokens allowed (131072)"),
    ],
)
async def test_refused_requests(emu: Any, change: dict[str, Any], message: str) -> None:
    reply = await emu.generate(**change)
    assert (reply.status, reply.error["status"]) == (400, "INVALID_ARGUMENT")
    assert message in reply.error["message"]


async def test_search_is_offered_by_model(emu: Any) -> None:
    web: list[Any] = [{"googleSearch": {}}]
    images: list[Any] = [{"googleSearch": {"searchTypes": {"imageSearch": {}}}}]
    assert (await emu.generate(model=LITE, tools=web)).status == 400
    assert (await emu.generate(tools=images)).status == 400
    reply = await emu.generate(tools=web)
    grounding = reply.json["candidates"][0]["groundingMetadata"]
    assert 1 <= len(grounding["webSearchQueries"]) <= 3
    assert "<" in grounding["searchEntryPoint"]["renderedContent"]
    assert set(grounding["groundingChunks"][0]) == {"web"}
    both: list[Any] = [{"googleSearch": {"searchTypes": {"webSearch": {}, "imageSearch": {}}}}]
    reply = await emu.generate(model=TWO_ONE, tools=both)
    grounding = reply.json["candidates"][0]["groundingMetadata"]
    assert grounding["imageSearchQueries"]
    assert set(grounding["groundingChunks"][-1]["image"]) == {
        "sourceUri",
        "imageUri",
        "title",
        "domain",
    }
    lines = await emu.ledger()
    assert [line["search_queries"] > 0 for line in lines] == [False, False, True, True]
    assert [line["split_pico"]["search"] for line in lines] == [0, 0, 0, 0]


async def test_searches_beyond_the_free_ones_are_billed(start: Any, tmp_path: Path) -> None:
    async with start() as emu:
        await emu.generate(key="emu-project-busy")
        (line,) = await emu.ledger()
    path = tmp_path / "ledger.jsonl"
    path.write_text(json.dumps({**line, "search_queries": 5_000}) + "\n")
    async with start(ledger=path) as emu:
        tools: list[Any] = [{"googleSearch": {}}]
        for key in ("emu-project-busy", "emu-project-quiet"):
            reply = await emu.generate(tools=tools, key=key)
            line = (await emu.ledger())[-1]
            grounding = reply.json["candidates"][0]["groundingMetadata"]
            queries = len(grounding["webSearchQueries"])
            billed = line["split_pico"]["search"]
            assert billed == (queries * 14_000_000_000 if key == "emu-project-busy" else 0)


async def test_documents_films_and_heic_by_model(emu: Any) -> None:
    def contents(data: bytes, mime: str) -> list[dict[str, Any]]:
        return [{"parts": [inline(base64.b64encode(data).decode(), mime), {"text": "draw it"}]}]

    heic = contents(b"\0\0\0\x18ftypheic" + bytes(8), "image/heic")
    pdf = contents(b"%PDF-1.7", "application/pdf")
    film = contents(bytes(8), "video/mp4")
    statuses = [
        [(await emu.generate(model=model, contents=what)).status for what in (heic, pdf, film)]
        for model in ("gemini-3-pro-image", TWO_ONE)
    ]
    assert statuses == [[200, 200, 400], [200, 200, 200]]


async def test_too_many_references(emu: Any) -> None:
    parts = [inline(picture(8, 8))] * 14
    assert (await emu.generate(contents=[{"parts": [*parts, {"text": "x"}]}])).status == 200
    assert (await emu.generate(contents=[{"parts": [*parts, parts[0]]}])).status == 400


async def test_tiers_are_priced_and_reported(emu: Any) -> None:
    config = {"responseModalities": ["IMAGE"], "imageConfig": {"imageSize": "4K"}}
    shares = {}
    for tier in ("standard", "flex", "priority"):
        reply = await emu.generate(config=config, serviceTier=tier)
        assert reply.json["usageMetadata"]["serviceTier"] == tier
        assert reply.headers["x-gemini-service-tier"] == tier
        shares[tier] = (await emu.ledger())[-1]["split_pico"]["image"]
    assert shares == {
        "standard": 240_000_000_000,
        "flex": 120_000_000_000,
        "priority": 432_000_000_000,
    }
    reply = await emu.generate(model=TWO_ONE, serviceTier="flex")
    assert reply.headers["x-gemini-service-tier"] == "standard"


async def test_too_few_output_tokens_leave_no_room_for_a_picture(emu: Any) -> None:
    reply = await emu.generate(config={"maxOutputTokens": 100})
    candidate = reply.json["candidates"][0]
    assert candidate["finishReason"] == "MAX_TOKENS"
    assert candidate["content"]["parts"] == []


async def test_retired_and_unknown_models_are_gone(emu: Any) -> None:
    for model in (
        "gemini-3-pro-image-preview",
        "gemini-3.1-flash-image",
        "imagen-4.0-generate-001",
    ):
        reply = await emu.generate(model=model)
        assert reply.status == 404
        assert reply.error["message"] == (
            f"models/{model} is not found for API version v1beta, or is not supported for "
            "generateContent. Call ListModels to see the list of available models and their "
            "supported methods."
        )


async def test_a_caller_deadline_shorter_than_the_model(start: Any) -> None:
    async with start(latency=300) as emu:
        reply = await emu.generate(headers={"X_Server_Timeout": "0.2"})
        assert (reply.status, reply.error["status"]) == (504, "DEADLINE_EXCEEDED")
        (line,) = await emu.ledger()
        assert line["billed_micro"] == 0
        assert line["first_byte"] - line["request_read"] >= 0.2


async def test_oversized_inline_requests(emu: Any) -> None:
    body = b'{"contents": [{"parts": [{"text": "' + b"x" * (100 * 1024 * 1024) + b'"}]}]}'
    reply = await emu.post("/v1/models/gemini-3-pro-image:generateContent", body)
    assert reply.status == 400
    assert reply.error["message"] == "Request payload size exceeds the limit: 104857600 bytes."


async def test_true_4k_weighs_what_it_should(start: Any) -> None:
    """One painted answer and the signatures of nine more: about 30 MB, as recorded from Google."""
    async with start(small=False) as emu:
        reply = await emu.generate("a mountain lake at sunset", size="4K", ratio="16:9")
        data = decoded(reply.images[0])
        assert Image.open(io.BytesIO(data)).size == (5504, 3072)
        assert 5_000_000 < len(data) < 12_000_000
    sizes = [len(reply.body)]
    weight = weight_of(5504 * 3072)
    for n in range(9):
        signatures = [sign(f"{n}:{part}", weight=weight) for part in range(len(reply.parts))]
        sizes.append(sum(4 * len(each) // 3 for each in (data, *signatures)))
    assert all(15_000_000 < size < 42_000_000 for size in sizes), sizes
    assert 25_000_000 < sum(sizes) / len(sizes) < 35_000_000

"""From a prompt to a kept image, through real sockets, and both ledgers equal."""

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.e2e.conftest import Bill, Emulated

from heliograph import (
    AsyncHeliograph,
    CorruptImage,
    CredentialRejected,
    Finish,
    Heliograph,
    HeliographError,
    InvalidRequest,
    MissingKey,
    NoImage,
    OutcomeUnknown,
    Overloaded,
    Pixels,
    PolicyBlocked,
    QuotaExhausted,
    RateLimited,
    SizeMismatch,
    Verdict,
)
from heliograph.errors import Charged, CostLimitExceeded, ProtocolError, RequestRejected
from heliograph.ports import Event
from heliograph.types import Outcome, Role


async def spent(helio: AsyncHeliograph) -> int:
    return sum(row.micro for row in await helio.costs("month"))


async def test_a_4k_picture_is_what_was_asked(helio: AsyncHeliograph, bill: Bill) -> None:
    result = await helio.generate("A snow leopard at golden hour", aspect="16x9", size="4k")
    assert result.pixels == Pixels(5504, 3072)
    assert result.verdict is Verdict.VERIFIED
    assert result.simulated
    assert result.cost == bill.micro == await spent(helio)
    emitted = bill.image()
    kept = result.record.result
    assert kept is not None
    assert emitted["sha256"] == kept.sha256
    assert hashlib.sha256(result.path.read_bytes()).hexdigest() == emitted["sha256"]
    assert kept.signature_key is not None


async def test_the_true_weight_and_length(tmp_path: Path, own_bill: Bill) -> None:
    async with AsyncHeliograph(simulate=True) as helio:
        result = await helio.generate("A lighthouse", stream=True)
    assert result.pixels == Pixels(4096, 4096)
    kept = result.record.result
    assert kept is not None
    assert 5_000_000 <= kept.size <= 12_000_000
    assert result.cost == own_bill.micro
    await helio.close()
    assert not list((tmp_path / "library" / "spool").iterdir())


@pytest.mark.parametrize(
    ("pixels", "target"),
    [("4096x2304", (4096, 2304)), ("1920x1080", (1920, 1080)), ("2480x3508", (2480, 3508))],
)
async def test_exact_pixels_are_exact_and_the_original_is_untouched(
    helio: AsyncHeliograph, bill: Bill, pixels: str, target: tuple[int, int]
) -> None:
    result = await helio.generate("A poster", pixels=pixels)
    (export,) = result.exports
    assert export.pixels == Pixels(*target)
    assert hashlib.sha256(result.path.read_bytes()).hexdigest() == bill.image()["sha256"]
    assert export.sha256 != bill.image()["sha256"]


async def test_finishing(helio: AsyncHeliograph) -> None:
    finish = Finish(format="webp", max_bytes=60_000, preview=True, thumbnail=True)
    result = await helio.generate("A poster", pixels="1600x900", finish=finish)
    export, preview, thumbnail = result.exports
    assert (export.format, export.size <= 60_000) == ("webp", True)
    assert max(preview.pixels.width, preview.pixels.height) <= 2048
    assert max(thumbnail.pixels.width, thumbnail.pixels.height) == 512
    again = await helio.export(result.record.id[:8], pixels="800x450")
    assert again[0].pixels == Pixels(800, 450)
    with pytest.raises(InvalidRequest, match="never enlarge"):
        await helio.export(result.record.id, pixels="4096x4096")


async def test_a_silent_1k_answer_is_named_and_settled_as_1k(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    result = await helio.generate("A fox [[fault:silent-1k]]", aspect="16:9")
    assert result.verdict is Verdict.DOWNGRADED
    assert result.pixels == Pixels(1376, 768)
    assert any("1K" in w for w in result.warnings)
    line = bill.lines[-1]
    assert line["usage"]["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 1120}]
    assert result.cost == bill.micro < 200_000
    lines = await helio.lines(result.record.id)
    assert sorted(line.kind for line in lines) == ["release", "reserve", "settle"]
    (ledger,) = [line for line in lines if line.kind == "settle"]
    assert (ledger.size, ledger.detail["quantities"]["image_tokens"]) == ("1K", 1120)


async def test_strict_refuses_and_still_keeps(helio: AsyncHeliograph, bill: Bill) -> None:
    with pytest.raises(SizeMismatch, match="Asked for 5504x3072") as caught:
        await helio.generate("A fox [[fault:silent-1k]]", aspect="16:9", strict=True)
    assert caught.value.exit_code == 8
    assert caught.value.charged is Charged.YES
    record = await helio.image(str(caught.value.record_id))
    original = await helio.original(record)
    assert hashlib.sha256(original.read_bytes()).hexdigest() == bill.image()["sha256"]
    assert await spent(helio) == bill.micro


async def test_another_ratio_is_named(helio: AsyncHeliograph) -> None:
    result = await helio.generate("A fox [[fault:wrong-ratio]]", aspect="16:9")
    assert result.verdict is Verdict.RATIO_MISMATCH


async def test_the_last_image_that_is_no_thought_is_the_result(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    result = await helio.generate("A fox [[fault:thought-first]]")
    assert result.pixels == Pixels(4096, 4096)
    assert [i.role for i in result.record.images] == [Role.DRAFT, Role.RESULT]
    assert result.cost == bill.micro


async def test_extra_images_are_kept_and_every_one_is_settled(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    result = await helio.generate("A fox [[fault:extra-images:2]]")
    roles = [i.role for i in result.record.images]
    assert roles == [Role.EXTRA] * (len(roles) - 1) + [Role.RESULT]
    assert len(roles) > 1
    # the emulator makes the further ones at 1K, 1120 tokens each
    assert result.cost == bill.micro >= 240_000 + 134_400 * (len(roles) - 1)
    assert any("each is billed" in w for w in result.warnings)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("image-safety", PolicyBlocked),
        ("image-prohibited", PolicyBlocked),
        ("image-recitation", PolicyBlocked),
        ("prompt-blocked", PolicyBlocked),
        ("image-other", NoImage),
        ("no-image", NoImage),
        ("text-refusal", NoImage),
        ("thoughts-only", NoImage),
        ("max-tokens", NoImage),
        ("empty-candidates", NoImage),
    ],
)
async def test_every_refusal_says_why_and_what_it_cost(
    helio: AsyncHeliograph, bill: Bill, fault: str, kind: type[HeliographError]
) -> None:
    with pytest.raises(kind) as caught:
        await helio.generate(f"A fox [[fault:{fault}]]")
    assert caught.value.exit_code == 6
    assert caught.value.what
    record = await helio.image(str(caught.value.record_id))
    assert record.outcome is Outcome.REFUSED
    assert len(bill.lines) == 1
    assert record.cost == bill.micro == await spent(helio)
    assert (caught.value.charged is Charged.YES) == (bill.micro > 0)


@pytest.mark.parametrize(
    ("fault", "kind", "calls"),
    [
        ("api-key-invalid", CredentialRejected, 1),
        ("leaked", CredentialRejected, 1),
        ("unauthenticated", CredentialRejected, 1),
        ("location", RequestRejected, 1),
        ("bad-argument", RequestRejected, 1),
        ("not-found", RequestRejected, 1),
        ("rate-day", QuotaExhausted, 1),
        ("limit-zero", QuotaExhausted, 1),
        ("depleted", QuotaExhausted, 1),
        ("rate-minute:400", RateLimited, 1),
        ("high-demand", Overloaded, 3),
        ("redirect", ProtocolError, 1),
    ],
)
async def test_errors_cost_nothing_and_are_repeated_only_where_it_helps(
    helio: AsyncHeliograph, bill: Bill, fault: str, kind: type[HeliographError], calls: int
) -> None:
    with pytest.raises(kind) as caught:
        await helio.generate(f"A fox [[fault:{fault}]]")
    assert caught.value.charged is Charged.NO
    assert len(bill.lines) == calls
    assert bill.micro == await spent(helio) == 0
    assert list(await helio.images()) == []


@pytest.mark.parametrize("fault", ["length-lie", "cut-after-image", "cut-after-image:clean"])
async def test_a_whole_picture_in_a_broken_answer_is_delivered(
    helio: AsyncHeliograph, bill: Bill, fault: str
) -> None:
    result = await helio.generate(f"A fox [[fault:{fault}]]", size="1K")
    assert result.record.images[0].sha256 == bill.image()["sha256"]
    assert "broke off" in result.warnings[0]
    assert len(bill.lines) == 1
    assert await helio.audit() == ()


@pytest.mark.parametrize("fault", ["rate-minute:1*1", "overloaded*1", "internal*1", "deadline*1"])
async def test_one_failure_then_success(
    helio: AsyncHeliograph, bill: Bill, events: list[Event], fault: str
) -> None:
    result = await helio.generate(f"A fox [[fault:{fault}]]")
    assert result.record.attempts == 2
    assert [e.name for e in events].count("retrying") == 1
    assert len(bill.lines) == 2
    assert result.cost == bill.micro


@pytest.mark.parametrize("fault", ["reset-after-request", "cut-json:3000", "bad-gateway"])
async def test_an_unknown_outcome_is_written_down_and_never_repeated(
    helio: AsyncHeliograph, bill: Bill, fault: str
) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        await helio.generate(f"A fox [[fault:{fault}]]")
    assert caught.value.charged is Charged.UNKNOWN
    assert caught.value.facts["may_have_cost_micro"] > 240_000
    record = await helio.image(str(caught.value.record_id))
    assert record.outcome is Outcome.UNKNOWN
    assert "may have cost" in record.warnings[0]
    assert len(bill.lines) == 1


@pytest.mark.parametrize(
    "fault",
    [
        "bad-base64",
        "cut-base64",
        "image:cut",
        "image:forged_eoi",
        "image:svg",
        "image:html",
        "image:bomb",
        "image:zero",
    ],
)
async def test_damaged_bytes_are_charged_quarantined_and_never_delivered(
    helio: AsyncHeliograph, bill: Bill, tmp_path: Path, fault: str
) -> None:
    with pytest.raises(CorruptImage) as caught:
        await helio.generate(f"A fox [[fault:{fault}]]")
    assert caught.value.charged is Charged.YES
    record_id = str(caught.value.record_id)
    record = await helio.image(record_id)
    assert (record.outcome, record.images) == (Outcome.QUARANTINED, ())
    assert record.cost == bill.micro == await spent(helio) > 0
    assert list((tmp_path / "library" / "quarantine" / record_id).iterdir())


async def test_a_png_that_is_called_a_png_keeps_its_name(helio: AsyncHeliograph) -> None:
    result = await helio.generate("A fox [[fault:image:png]]", size="1K")
    kept = result.record.result
    assert kept is not None
    assert (kept.format, result.path.suffix) == ("png", ".png")


async def test_trailing_bytes_are_named(helio: AsyncHeliograph) -> None:
    result = await helio.generate("A fox [[fault:image:trailing]]", size="1K")
    assert any("after the end of the image" in w for w in result.warnings)


@pytest.mark.parametrize("fault", ["usage-missing", "usage-negative", "usage-huge"])
async def test_absurd_usage_is_settled_by_the_table(helio: AsyncHeliograph, fault: str) -> None:
    result = await helio.generate(f"A fox [[fault:{fault}]]")
    assert 240_000 <= result.cost <= 260_000
    assert any("cannot be right" in w for w in result.warnings)


async def test_an_edit_names_its_parent(helio: AsyncHeliograph, tmp_path: Path) -> None:
    first = await helio.generate("A fox", size="1K")
    second = await helio.generate("Make it night", references=[first.path], size="1K")
    kept = first.record.result
    assert kept is not None
    assert second.record.parents == (kept.sha256,)


async def test_grounding_is_kept_with_its_entry_point(helio: AsyncHeliograph, bill: Bill) -> None:
    result = await helio.generate("The weather in Oslo", ground="web", size="1K")
    assert result.record.grounding["entry_point"]
    assert result.record.grounding["queries"]
    assert result.cost == bill.micro


async def test_a_limit_and_a_wrong_request_send_nothing(helio: AsyncHeliograph, bill: Bill) -> None:
    with pytest.raises(CostLimitExceeded):
        await helio.generate("A fox", max_cost="0.10")
    with pytest.raises(InvalidRequest):
        await helio.generate("A fox", aspect="7:3")
    assert bill.lines == []


async def test_the_database_comes_back_from_the_files(
    helio: AsyncHeliograph, tmp_path: Path
) -> None:
    await helio.generate("A fox", size="1K")
    with pytest.raises(NoImage):
        await helio.generate("A fox [[fault:no-image]]")
    before = [(r.id, r.cost, r.prompt) for r in await helio.images()]
    costs = list(await helio.costs("model"))
    await helio.close()
    for file in (tmp_path / "library").glob("heliograph.db*"):
        file.unlink()
    async with AsyncHeliograph() as fresh:
        assert list(await fresh.images()) == []
        report = await fresh.rebuild()
        assert len(report.added) == 2
        assert [(r.id, r.cost, r.prompt) for r in await fresh.images()] == before
        assert list(await fresh.costs("model")) == costs


async def test_without_a_key_the_library_says_what_to_do() -> None:
    async with AsyncHeliograph() as helio:
        with pytest.raises(MissingKey, match="simulate=True"):
            await helio.generate("A fox")


async def test_a_sidecar_stands_beside_the_original(helio: AsyncHeliograph) -> None:
    result = await helio.generate("A fox", size="1K")
    (sidecar,) = result.path.parent.glob("*.json")
    facts = json.loads(sidecar.read_text())
    assert facts["record"]["prompt"] == "A fox"
    assert facts["record"]["simulated"] is True


def test_five_lines_of_ordinary_code(tmp_path: Path) -> None:
    with Heliograph(simulate=True, emulator_options=["--small"]) as helio:
        result = helio.generate("A fox", size="1K")
        saved = result.save(tmp_path / "fox.jpg")
        assert saved.read_bytes() == result.path.read_bytes()
        with pytest.raises(HeliographError, match="exists already"):
            result.save(saved)
        preview = result._repr_png_()
    assert preview is not None
    assert preview.startswith(b"\x89PNG")


async def test_a_kept_turn_goes_back_byte_for_byte(
    helio: AsyncHeliograph, emulated: Emulated, project: str
) -> None:
    result = await helio.generate("A fox", size="1K")
    stored = (await helio._open_store()).blobs

    async def part(facts: Mapping[str, Any]) -> dict[str, Any]:
        signed = {"thoughtSignature": (await stored.read(facts["signature"])).decode()}
        if "text" in facts:
            return {"text": facts["text"], **signed}
        data = base64.b64encode(result.path.read_bytes()).decode()
        return {"inlineData": {"mimeType": "image/jpeg", "data": data}, **signed}

    turn = [await part(facts) for facts in result.record.turn]
    assert [sorted(p) for p in turn] == [
        ["text", "thoughtSignature"],
        ["inlineData", "thoughtSignature"],
    ]
    assert await _continued(emulated.url, project, turn) == 200
    turn[1]["thoughtSignature"] = "A" + turn[1]["thoughtSignature"][1:]
    assert await _continued(emulated.url, project, turn) == 400


async def _continued(url: str, project: str, turn: list[dict[str, Any]]) -> int:
    """The status of a second turn after this one; the emulator enforces signatures."""
    contents = [
        {"role": "user", "parts": [{"text": "A fox"}]},
        {"role": "model", "parts": turn},
        {"role": "user", "parts": [{"text": "Make it night"}]},
    ]
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": f"emu-project-{project}"}) as session,
        session.post(
            f"{url}/v1/models/gemini-3-pro-image:generateContent",
            data=io.BytesIO(json.dumps({"contents": contents}).encode()),
            headers={"content-type": "application/json"},
        ) as response,
    ):
        await response.read()
        return response.status

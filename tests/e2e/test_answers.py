"""Answers that broke off, came from somebody else or hold too much: delivered, held or set aside,
and never sold for what they are not.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.dying import die_at
from tests.e2e.raw import (
    EVENTS,
    GREEN,
    RED,
    Said,
    Upstream,
    answer,
    event,
    part,
    picture,
    saying,
)

from heliograph import AsyncHeliograph
from heliograph.errors import Charged, KeyReused, OutcomeUnknown, SizeMismatch
from heliograph.journal import Stage
from heliograph.types import Outcome, Verdict

OTHER = "gemini-nano-banana-2.1"
THOUGHT = event(answer({"text": "Composing a fox", "thought": True}))
USAGE = {"promptTokenCount": 8, "thoughtsTokenCount": 12, "totalTokenCount": 20}
DRAFT = event({**answer(part(picture(), thought=True)), "usageMetadata": USAGE})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "library"


@asynccontextmanager
async def asking(
    *answers: Said, **settings: object
) -> AsyncIterator[tuple[AsyncHeliograph, Upstream]]:
    async with (
        saying(*answers) as upstream,
        AsyncHeliograph(base_url=upstream.url, settings=settings) as helio,
    ):
        yield helio, upstream


async def held(helio: AsyncHeliograph) -> None:
    """The only call is held as unknown, and its record says so."""
    (call,) = await helio.calls()
    (record,) = await helio.images()
    assert (call.stage, record.outcome) == (Stage.UNKNOWN, Outcome.UNKNOWN)
    (total,) = [b for b in await helio.balances() if b.scope == "total"]
    assert (total.held, total.settled) == (call.reserved, 0)


def cut_behind(document: Said, mark: str) -> Said:
    """The answer up to the end of the last occurrence of a mark; the rest never comes."""
    at = document.body.rindex(mark.encode()) + len(mark)
    return Said(document.body[:at], missing=len(document.body) - at)


def set_aside(home: Path) -> list[bytes]:
    return [path.read_bytes() for path in (home / "quarantine").rglob("*part-*")]


# ---------------------------------------------------------------- streams


@pytest.mark.parametrize("stream", [THOUGHT, DRAFT], ids=["thought", "draft"])
async def test_a_stream_that_ended_without_a_word_is_held(stream: bytes) -> None:
    async with asking(Said(stream, kind=EVENTS)) as (helio, upstream):
        with pytest.raises(OutcomeUnknown):
            await helio.generate("A fox", size="1K", stream=True)
        await held(helio)
        assert upstream.requests == 1


async def test_a_stream_that_was_cut_with_its_process_is_held() -> None:
    async with asking(Said(DRAFT, kind=EVENTS, lingers=5)) as (helio, upstream):
        client = {"base_url": upstream.url}
        await die_at("body", "A fox", client=client, options={"size": "1K", "stream": True})
        await held(helio)


async def test_a_whole_picture_of_a_stream_without_an_end_is_kept() -> None:
    stream = DRAFT + event(answer(part(picture(GREEN))))
    async with asking(Said(stream, kind=EVENTS)) as (helio, _):
        made = await helio.generate("A fox", size="1K", stream=True)
    assert made.record.outcome is Outcome.KEPT
    assert made.path.read_bytes() == picture(GREEN)
    assert "broke off" in made.warnings[0]


# ---------------------------------------------------------------- somebody on the way


@pytest.mark.parametrize("status", [502, 504, 408, 203])
async def test_what_a_box_on_the_way_says_of_a_whole_request_is_no_refusal(status: int) -> None:
    said = Said(b"<html>gateway</html>", status=status, kind="text/html")
    async with asking(said) as (helio, upstream):
        with pytest.raises(OutcomeUnknown, match=str(status)):
            await helio.generate("A fox", size="1K")
        await held(helio)
        assert upstream.requests == 1


async def test_recovery_believes_a_box_on_the_way_no_more() -> None:
    said = Said(b"<html>gateway</html>", status=502, kind="text/html", lingers=1)
    async with asking(said) as (helio, upstream):
        client = {"base_url": upstream.url}
        await die_at("body", "A fox", client=client, options={"size": "1K"})
        await held(helio)


# ---------------------------------------------------------------- keys


async def test_a_key_answers_again_after_a_fallback(
    emulated: Emulated, project: str, bill: Bill
) -> None:
    prompt = f"{project} [[fault:not-found*1]]"
    options: dict[str, Any] = {"size": "1K", "idempotency_key": "k", "model": OTHER}
    options["fallback"] = ["gemini-3-pro-image"]
    for source in ("call", "replay"):
        async with AsyncHeliograph(
            base_url=emulated.url, api_key=f"emu-project-{project}"
        ) as helio:
            made = await helio.generate(prompt, **options)
            assert (made.source, made.record.model) == (source, "gemini-3-pro-image")
    assert bill.micro == made.record.cost


async def test_a_key_of_a_simulation_is_another_request_than_the_real_one(
    helio: AsyncHeliograph,
) -> None:
    assert (await helio.generate("A fox", size="1K", idempotency_key="k")).record.simulated
    whole = Said(answer(part(picture()), finishReason="STOP"))
    async with (
        saying(whole, is_emulator=False) as upstream,
        AsyncHeliograph(base_url=upstream.url, api_key="k" * 39, simulate=False) as real,
    ):
        with pytest.raises(KeyReused):
            await real.generate("A fox", size="1K", idempotency_key="k")
        assert upstream.requests == 0
        made = await real.generate("A fox", size="1K", idempotency_key="other")
        assert (made.source, made.record.simulated) == ("call", False)


async def test_a_replay_that_strict_refuses_is_not_charged_again(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    told = []
    for _ in range(2):
        with pytest.raises(SizeMismatch) as caught:
            await helio.generate(
                "A fox [[fault:silent-1k]]", size="4K", strict=True, idempotency_key="k"
            )
        told.append(caught.value.charged)
    assert told == [Charged.YES, Charged.NO]
    assert len(bill.lines) == 1


async def test_a_strict_request_passes_over_a_twin_it_would_refuse(
    emulated: Emulated, project: str, bill: Bill
) -> None:
    prompt = f"{project} [[fault:silent-1k*1]]"
    async with AsyncHeliograph(
        base_url=emulated.url, api_key=f"emu-project-{project}", settings={"cache": "all"}
    ) as helio:
        first = await helio.generate(prompt, size="4K")
        assert first.record.verdict is Verdict.DOWNGRADED
        assert (await helio.generate(prompt, size="4K")).source == "twin"
        strict = await helio.generate(prompt, size="4K", strict=True)
        assert (strict.source, strict.record.verdict) == ("call", Verdict.VERIFIED)
    assert len(bill.lines) == 2


# ---------------------------------------------------------------- pictures


def draft_that_was_cut() -> Said:
    whole = Said(answer(part(picture(RED), thought=True), part(picture(GREEN))))
    at = whole.body.index(b'"}, "thought"') + 2
    return Said(whole.body[:at], missing=len(whole.body) - at)


async def test_a_picture_that_may_be_a_draft_is_kept_with_a_warning_and_is_no_twin() -> None:
    whole = Said(answer(part(picture(GREEN)), finishReason="STOP"))
    async with asking(draft_that_was_cut(), whole, cache="all") as (helio, upstream):
        made = await helio.generate("A fox", size="1K")
        assert any("only a draft" in warning for warning in made.warnings)
        assert (await helio.generate("A fox", size="1K")).source == "call"
        assert (await helio.generate("A fox", size="1K")).source == "twin"
        assert upstream.requests == 2


async def test_it_is_held_when_drafts_were_asked_for(home: Path) -> None:
    async with asking(draft_that_was_cut()) as (helio, _):
        with pytest.raises(OutcomeUnknown, match="draft") as caught:
            await helio.generate("A fox", size="1K", include_thoughts=True)
        assert caught.value.charged is Charged.UNKNOWN
        await held(helio)
    assert picture(RED) in set_aside(home)


async def test_recovery_holds_it_too(home: Path) -> None:
    async with asking(draft_that_was_cut()) as (helio, upstream):
        client = {"base_url": upstream.url}
        options = {"size": "1K", "include_thoughts": True}
        await die_at("body", "A fox", client=client, options=options)
        await held(helio)
    assert picture(RED) in set_aside(home)


@pytest.mark.parametrize("drafts", [False, True])
async def test_the_whole_picture_before_one_that_was_cut_is_the_result(
    home: Path, *, drafts: bool
) -> None:
    whole = Said(answer(part(picture(RED)), part(picture(GREEN))))
    cut = Said(whole.body[:-400], missing=400)
    async with asking(cut) as (helio, _):
        made = await helio.generate("A fox", size="1K", include_thoughts=drafts)
        high = (await helio.plan("A fox", size="1K")).estimate.high
        assert await helio.audit() == ()
    assert made.path.read_bytes() == picture(RED)
    assert len(made.record.images) == 1
    assert high < made.cost <= 2 * high  # nobody knows that the second was not billed
    assert not any("only a draft" in warning for warning in made.warnings)
    (piece,) = [data for data in set_aside(home) if data]
    assert picture(GREEN).startswith(piece)


async def test_what_stands_behind_a_picture_is_not_passed_on(home: Path) -> None:
    came = picture() + b"<script>somebody's secret</script>"
    signed = part(came, thoughtSignature="c2lnbmF0dXJl")
    async with asking(Said(answer(signed, finishReason="STOP"))) as (helio, _):
        made = await helio.generate("A fox", size="1K")
    kept = made.record.images[0]
    assert made.path.read_bytes() == picture()
    assert kept.sha256 == hashlib.sha256(picture()).hexdigest()
    assert [facts["image"] for facts in made.record.turn] == [kept.sha256]
    assert set_aside(home) == [came]
    assert any("34 bytes" in warning for warning in made.warnings)


async def test_a_downgraded_picture_is_never_blown_up_to_the_pixels_ordered(
    helio: AsyncHeliograph,
) -> None:
    result = await helio.generate("A fox [[fault:silent-1k]]", pixels="4096x4096")
    assert result.verdict is Verdict.DOWNGRADED
    assert result.exports == ()
    assert str(result.pixels) == "1024x1024"

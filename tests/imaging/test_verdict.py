"""Verdicts: tolerance, downgrade before ratio, and a sentence for everything that is not plain."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.imaging import judge
from heliograph.money import Rates
from heliograph.types import Estimate, Pixels, Plan, PricedModel, Request, Verdict

SIZES = {"1K": Pixels(1376, 768), "2K": Pixels(2752, 1536), "4K": Pixels(5504, 3072)}
FOUR_K = SIZES["4K"]


def plan(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "request": Request(prompt="x"),
        "model": "m",
        "size": "4K",
        "aspect": "16:9",
        "tier": "standard",
        "expected": FOUR_K,
        "tolerance": 0.03,
        "sizes": SIZES,
        "references": (),
        "ground": None,
        "thinking": None,
        "exports": (),
        "estimate": Estimate(low=1, expected=1, high=1, priced_on="2026-11-01", price_version="v"),
        "prices": PricedModel(
            rates={"standard": Rates(input_pico=1, text_pico=1, image_pico=1)},
            version="v",
            image_tokens={},
            free_queries=0,
        ),
    }
    return Plan(**{**fields, **changes})


@pytest.mark.parametrize(
    ("pixels", "verdict", "returned", "words"),
    [
        (FOUR_K, Verdict.VERIFIED, "4K", None),
        (Pixels(5632, 3072), Verdict.VERIFIED, "4K", None),
        (Pixels(5340, 2980), Verdict.VERIFIED, "4K", None),
        (Pixels(1376, 768), Verdict.DOWNGRADED, "1K", "That is the 1K tier."),
        (Pixels(1408, 768), Verdict.DOWNGRADED, "1K", "smaller than asked."),
        (Pixels(2752, 1536), Verdict.DOWNGRADED, "2K", "That is the 2K tier."),
        (Pixels(1024, 1024), Verdict.DOWNGRADED, "1K", "in another ratio"),
        (Pixels(5300, 2960), Verdict.DOWNGRADED, "4K", "smaller than asked."),
        (Pixels(4096, 4096), Verdict.RATIO_MISMATCH, "4K", "another ratio"),
        (Pixels(3072, 5504), Verdict.RATIO_MISMATCH, "4K", "another ratio"),
        (Pixels(8000, 8000), Verdict.RATIO_MISMATCH, "4K", "another ratio"),
        (Pixels(11008, 6144), Verdict.VERIFIED, "4K", "larger than asked"),
    ],
)
def test_against_exact_pixels(
    pixels: Pixels, verdict: Verdict, returned: str, words: str | None
) -> None:
    judgement = judge(pixels, plan())
    assert judgement.verdict is verdict
    assert judgement.returned_size == returned
    assert bool(judgement.warnings) == (words is not None)
    assert words is None or words in judgement.warnings[0]


@pytest.mark.parametrize(
    ("pixels", "size", "verdict", "returned"),
    [
        (Pixels(4096, 4096), "4K", Verdict.VERIFIED, "4K"),
        (Pixels(3392, 5056), "4K", Verdict.VERIFIED, "4K"),
        (Pixels(1408, 768), "4K", Verdict.DOWNGRADED, "1K"),
        (Pixels(1408, 768), "1K", Verdict.VERIFIED, "1K"),
        (Pixels(2048, 2048), "1K", Verdict.VERIFIED, "2K"),
        (Pixels(632, 424), "512", Verdict.VERIFIED, "512"),
        (Pixels(1024, 1024), None, Verdict.UNASKED, None),
    ],
)
@pytest.mark.parametrize("sizes", [{}, {"1K": Pixels(1024, 1024)}])
def test_an_open_ratio_is_judged_by_area(
    pixels: Pixels, size: str | None, verdict: Verdict, returned: str | None, sizes: Any
) -> None:
    if sizes and size in ("4K", "512"):
        return  # a table that does not know the tier says nothing
    if sizes:
        returned, verdict = "1K", Verdict.UNASKED if size is None else verdict
    judgement = judge(pixels, plan(expected=None, aspect=None, size=size, sizes=sizes))
    assert (judgement.verdict, judgement.returned_size) == (verdict, returned)


def test_a_tier_without_a_table_is_not_judged() -> None:
    judgement = judge(Pixels(9, 9), plan(expected=None, size="8K", sizes=SIZES))
    assert judgement.verdict is Verdict.UNASKED


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_within_tolerance_on_both_sides_is_the_same_as_verified_without_a_word(
    width: int, height: int
) -> None:
    judgement = judge(Pixels(width, height), plan())
    within = abs(width - 5504) <= 0.03 * 5504 and abs(height - 3072) <= 0.03 * 3072
    assert within == (judgement.verdict is Verdict.VERIFIED and not judgement.warnings)
    if judgement.verdict is Verdict.VERIFIED and not within:
        assert width * height >= FOUR_K.area

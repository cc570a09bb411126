"""Estimates equal figures worked out by hand from the published prices and token counts.

By hand, in micro-dollars, without a prompt:
    low       image tokens × image price
    expected  low + 450 text and thinking tokens × text price
    high      low + 1189 text and thinking tokens × text price
"""

import pytest

from heliograph.errors import InvalidRequest
from heliograph.planning import catalogue, estimate, offers
from heliograph.planning.price import text_tokens

PRO, NB21, LITE = "gemini-3-pro-image", "gemini-nano-banana-2.1", "gemini-3.1-flash-lite-image"

BY_HAND = {
    # 1120 × 120 = 134400; 450 × 12 = 5400; 1189 × 12 = 14268
    (PRO, "1K", "standard"): (134_400, 139_800, 148_668),
    (PRO, "2K", "standard"): (134_400, 139_800, 148_668),
    # 2000 × 120 = 240000
    (PRO, "4K", "standard"): (240_000, 245_400, 254_268),
    # half of each
    (PRO, "1K", "flex"): (67_200, 69_900, 74_334),
    (PRO, "2K", "flex"): (67_200, 69_900, 74_334),
    (PRO, "4K", "flex"): (120_000, 122_700, 127_134),
    (PRO, "1K", "batch"): (67_200, 69_900, 74_334),
    (PRO, "2K", "batch"): (67_200, 69_900, 74_334),
    (PRO, "4K", "batch"): (120_000, 122_700, 127_134),
    # 1120 × 216 = 241920; 450 × 21.6 = 9720; 1189 × 21.6 = 25682.4
    (PRO, "1K", "priority"): (241_920, 251_640, 267_602),
    (PRO, "2K", "priority"): (241_920, 251_640, 267_602),
    (PRO, "4K", "priority"): (432_000, 441_720, 457_682),
    # 1120 × 30 = 33600; 450 × 7.5 = 3375; 1189 × 7.5 = 8917.5
    (NB21, "1K", "standard"): (33_600, 36_975, 42_518),
    (NB21, "2K", "standard"): (50_400, 53_775, 59_318),
    (NB21, "4K", "standard"): (113_400, 116_775, 122_318),
    # 1120 × 15 = 16800; 450 × 3.75 = 1687.5; 1189 × 3.75 = 4458.75
    (NB21, "1K", "batch"): (16_800, 18_488, 21_259),
    (NB21, "2K", "batch"): (25_200, 26_888, 29_659),
    (NB21, "4K", "batch"): (56_700, 58_388, 61_159),
    # 450 × 1.5 = 675; 1189 × 1.5 = 1783.5
    (LITE, "1K", "standard"): (33_600, 34_275, 35_384),
    # 450 × 0.75 = 337.5; 1189 × 0.75 = 891.75
    (LITE, "1K", "batch"): (16_800, 17_138, 17_692),
}


@pytest.mark.parametrize(("way", "figures"), BY_HAND.items())
def test_estimates_by_hand(way: tuple[str, str, str], figures: tuple[int, int, int]) -> None:
    found = estimate(*way)
    assert (found.low, found.expected, found.high) == figures
    assert found.priced_on == "2026-11-22"
    assert found.price_version == f"{way[0]}@2026-11-22"


def test_every_live_way_is_offered() -> None:
    assert {(o.model, o.size, o.tier) for o in offers()} == set(BY_HAND)


@pytest.mark.parametrize(
    ("model", "size", "micro"),
    [
        ("gemini-3-pro-image-preview", "4K", 240_000),  # $0.24
        ("gemini-3.1-flash-image", "512", 44_820),  # 747 × 60
        ("gemini-3.1-flash-image", "4K", 151_200),  # 2520 × 60
        ("gemini-2.5-flash-image", "1K", 38_700),  # 1290 × 30
        ("imagen-4.0-generate-001", "1K", 40_000),
        ("imagen-4.0-ultra-generate-001", "1K", 60_000),
        ("imagen-4.0-fast-generate-001", "1K", 20_000),
    ],
)
def test_retired_models_stay_priced(model: str, size: str, micro: int) -> None:
    assert estimate(model, size).low == micro


def test_prompt_references_and_searches_are_added() -> None:
    # 12 Latin characters are 3 tokens, ×2 micro-dollars: low 2, expected 3, high 6 tokens
    words = estimate(PRO, "4K", prompt="twelve chars")
    assert (words.low, words.expected, words.high) == (240_004, 245_406, 254_280)
    # an input image is 560 tokens × 2
    two = estimate(PRO, "4K", references=2)
    assert (two.low, two.expected, two.high) == (242_240, 247_640, 256_508)
    # queries: none, one, five at 14,000
    grounded = estimate(PRO, "4K", grounded=True)
    assert (grounded.low, grounded.expected, grounded.high) == (240_000, 259_400, 324_268)
    assert "the first 5000 of a month are free" in " ".join(grounded.notes)


def test_input_images_by_model() -> None:
    assert estimate(NB21, "1K", references=1).low - 33_600 == 1_680  # $0.00168
    assert estimate(LITE, "1K", references=1).low - 33_600 == 280  # $0.00028


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本", 2), ("日本 ab", 3), ("🌅", 1)],
)
def test_text_tokens(text: str, tokens: int) -> None:
    assert text_tokens(text) == tokens


def test_notes_say_what_is_left_out() -> None:
    notes = " ".join(estimate(PRO, "4K").notes)
    assert "Further images in one answer are not in these figures; each would be $0.24" in notes
    assert "well sourced" not in notes
    assert "well sourced" in " ".join(estimate(NB21, "4K").notes)


@pytest.mark.parametrize(
    ("way", "field", "nearest"),
    [
        (("gemini-3-pro-imag", "4K", "standard"), "model", PRO),
        ((LITE, "4K", "standard"), "size", "1K"),
        ((NB21, "4K", "flex"), "tier", "standard"),
    ],
)
def test_what_has_no_price(way: tuple[str, str, str], field: str, nearest: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        estimate(*way)
    (problem,) = caught.value.problems
    assert (problem.field, problem.nearest[0]) == (field, nearest)


def test_priced_model_carries_all_tiers() -> None:
    facts = catalogue()
    priced = facts.priced(facts.models[PRO])
    assert priced.rates["priority"].image_pico == 216_000_000
    assert priced.rates["standard"].query_micro == 14_000
    assert (priced.free_queries, priced.version) == (5_000, "gemini-3-pro-image@2026-11-22")
    assert priced.image_tokens["4K"] == 2000

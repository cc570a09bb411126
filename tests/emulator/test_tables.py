"""The emulator's facts against figures worked out by hand from the shared page."""

import pytest

from heliograph.emulator.models import MODELS, PIXELS, nearest_ratio
from heliograph.emulator.prices import Bill, billable_searches, price, served_tier
from heliograph.emulator.schema import ASPECT_RATIOS, IMAGE_SIZES


def usage(prompt: int, image: int, text: int = 0, thoughts: int = 0) -> dict[str, object]:
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": image + text,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": image}],
        "thoughtsTokenCount": thoughts,
    }


@pytest.mark.parametrize(
    ("model", "numbers", "tier", "micro"),
    [
        # 2000 x 120 = 240,000: the $0.24 of the price page.
        ("gemini-3-pro-image", usage(0, 2000), "standard", 240_000),
        # 1120 x 120 = 134,400: $0.134.
        ("gemini-3-pro-image", usage(0, 1120), "standard", 134_400),
        ("gemini-3-pro-image", usage(0, 2000), "flex", 120_000),
        ("gemini-3-pro-image", usage(0, 2000), "batch", 120_000),
        ("gemini-3-pro-image", usage(0, 2000), "priority", 432_000),
        # 8 x 2 + (10 + 192) x 12 + 240,000.
        ("gemini-3-pro-image", usage(8, 2000, 10, 192), "standard", 242_440),
        # 3780 x 30 = 113,400: about $0.113.
        ("gemini-nano-banana-2.1", usage(0, 3780), "standard", 113_400),
        ("gemini-nano-banana-2.1", usage(0, 1680), "standard", 50_400),
        # 1 x 1.5 + 7 x 7.5 = 54; 0.5 rounds up: 3 x 1.5 = 4.5 -> 5.
        ("gemini-nano-banana-2.1", usage(1, 0, 7), "standard", 54),
        ("gemini-nano-banana-2.1", usage(3, 0), "standard", 5),
        ("gemini-3.1-flash-lite-image", usage(0, 1120), "standard", 33_600),
        # 1 x 0.25 = 0.25 -> 0; 2 x 0.25 = 0.5 -> 1 (half up, once).
        ("gemini-3.1-flash-lite-image", usage(1, 0), "standard", 0),
        ("gemini-3.1-flash-lite-image", usage(2, 0), "standard", 1),
    ],
)
def test_prices(model: str, numbers: dict[str, object], tier: str, micro: int) -> None:
    assert tier in ("standard", "flex", "batch", "priority")
    assert price(model, numbers, tier=tier).micro == micro  # type: ignore[arg-type]


def test_rounding_happens_once_over_the_sum() -> None:
    # Four quarters of a micro-dollar are one; rounded each they would be none.
    assert Bill(input=250_000, image=250_000, text_thinking=250_000, search=250_000).micro == 1


def test_missing_usage_numbers_cost_nothing() -> None:
    assert price("gemini-3-pro-image", {}).micro == 0


def test_a_tier_without_a_price_is_served_as_standard() -> None:
    assert served_tier("gemini-nano-banana-2.1", "flex") == "standard"
    assert served_tier("gemini-nano-banana-2.1", "priority") == "standard"
    assert served_tier("gemini-3-pro-image", "flex") == "flex"


@pytest.mark.parametrize(
    ("queries", "earlier", "billed"),
    [(3, 0, 0), (3, 4_997, 0), (3, 4_998, 1), (2, 5_000, 2), (2, 9_000, 2), (0, 9_000, 0)],
)
def test_searches_are_free_up_to_five_thousand_a_month(
    queries: int, earlier: int, billed: int
) -> None:
    assert billable_searches(queries, earlier) == billed


def test_fourteen_dollars_buy_a_thousand_searches() -> None:
    assert price("gemini-3-pro-image", {}, searches=1_000).micro == 14_000_000


def test_pixel_table_samples() -> None:
    assert PIXELS["16:9"] == {"1K": (1376, 768), "2K": (2752, 1536), "4K": (5504, 3072)}
    assert PIXELS["1:1"]["4K"] == (4096, 4096)
    assert PIXELS["21:9"]["4K"] == (6336, 2688)
    assert PIXELS["5:4"]["4K"] == (4608, 3712)
    assert PIXELS["1:4"]["4K"] == (2048, 8256)
    assert PIXELS["8:1"]["4K"] == (11712, 1408)


def test_pixel_table_holds_together() -> None:
    assert len(PIXELS) == 14
    for ratio, sizes in PIXELS.items():
        across, down = map(int, ratio.split(":"))
        for size, (width, height) in sizes.items():
            assert width % 8 == height % 8 == 0
            assert abs(width / height * down / across - 1) < 0.04, ratio
            factor = {"1K": 1, "2K": 2, "4K": 4}[size]
            assert (width, height) == tuple(factor * side for side in sizes["1K"])
    turned = {ratio: ":".join(reversed(ratio.split(":"))) for ratio in PIXELS}
    pairs = [(ratio, turned[ratio]) for ratio in PIXELS if turned[ratio] in PIXELS]
    assert len(pairs) == 13
    assert all(PIXELS[one]["1K"] == PIXELS[other]["1K"][::-1] for one, other in pairs)


def test_only_live_models_with_their_sizes() -> None:
    sizes = {name: tuple(model.image_tokens.items()) for name, model in MODELS.items()}
    assert sizes == {
        "gemini-3-pro-image": (("1K", 1120), ("2K", 1120), ("4K", 2000)),
        "gemini-nano-banana-2.1": (("1K", 1120), ("2K", 1680), ("4K", 3780)),
        "gemini-3.1-flash-lite-image": (("1K", 1120),),
    }
    counts = [len(model.ratios) for model in MODELS.values()]
    assert counts == [10, 14, 10]


def test_the_newer_response_format_names_every_ratio() -> None:
    assert set(ASPECT_RATIOS.values()) == set(PIXELS)
    assert set(IMAGE_SIZES.values()) == {"512", "1K", "2K", "4K"}


def test_nearest_ratio_of_an_input_picture() -> None:
    ten = MODELS["gemini-3-pro-image"].ratios
    assert nearest_ratio(1920, 1080, ten) == "16:9"
    assert nearest_ratio(1000, 1010, ten) == "1:1"
    assert nearest_ratio(300, 3000, ten) == "9:16"
    assert nearest_ratio(300, 3000, MODELS["gemini-nano-banana-2.1"].ratios) == "1:8"

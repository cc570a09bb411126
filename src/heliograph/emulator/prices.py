"""What a call costs; invariant: whole numbers all the way, rounded half up exactly once per call.

One unit is the picodollar per token, which is the same number as the micro-dollar per million
tokens. Source: shared facts section 1.5 (2026-11-22).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tier = Literal["standard", "flex", "priority", "batch"]

PICO_PER_MICRO = 1_000_000
SEARCH_QUERY_PICO = 14_000 * PICO_PER_MICRO
FREE_SEARCHES_PER_MONTH = 5_000


@dataclass(frozen=True, kw_only=True)
class Price:
    """Micro-dollars per million tokens, and the tenths of it that each offered tier costs."""

    input: int
    text: int
    image: int
    tenths: Mapping[Tier, int]


PRICES: Mapping[str, Price] = {
    "gemini-3-pro-image": Price(
        input=2_000_000,
        text=12_000_000,
        image=120_000_000,
        tenths={"standard": 10, "batch": 5, "flex": 5, "priority": 18},
    ),
    "gemini-nano-banana-2.1": Price(
        input=1_500_000, text=7_500_000, image=30_000_000, tenths={"standard": 10, "batch": 5}
    ),
    "gemini-3.1-flash-lite-image": Price(
        input=250_000, text=1_500_000, image=30_000_000, tenths={"standard": 10, "batch": 5}
    ),
}


@dataclass(frozen=True, kw_only=True)
class Bill:
    """The cost of one call in picodollars, by what it was for."""

    input: int = 0
    image: int = 0
    text_thinking: int = 0
    search: int = 0
    tier: Tier = "standard"

    @property
    def micro(self) -> int:
        """Whole micro-dollars, half up."""
        pico = self.input + self.image + self.text_thinking + self.search
        return (2 * pico + PICO_PER_MICRO) // (2 * PICO_PER_MICRO)


def served_tier(model: str, asked: Tier) -> Tier:
    """The tier a call really runs in: one that the model does not offer becomes standard."""
    return asked if asked in PRICES[model].tenths else "standard"


def billable_searches(queries: int, earlier_this_month: int) -> int:
    """How many of these queries come after the free allowance of the month."""
    return max(0, earlier_this_month + queries - max(FREE_SEARCHES_PER_MONTH, earlier_this_month))


def price(
    model: str, usage: Mapping[str, object], *, tier: Tier = "standard", searches: int = 0
) -> Bill:
    """Price the usage numbers of an answer exactly as they stand on the wire."""
    row = PRICES[model]
    tenths = row.tenths[tier]
    image = _modality_tokens(usage.get("candidatesTokensDetails"), "IMAGE")
    text = _count(usage, "candidatesTokenCount") - image + _count(usage, "thoughtsTokenCount")
    return Bill(
        input=_count(usage, "promptTokenCount") * row.input * tenths // 10,
        image=image * row.image * tenths // 10,
        text_thinking=text * row.text * tenths // 10,
        search=searches * SEARCH_QUERY_PICO,
        tier=tier,
    )


def _count(usage: Mapping[str, object], name: str) -> int:
    value = usage.get(name, 0)
    return value if isinstance(value, int) else 0


def _modality_tokens(details: object, modality: str) -> int:
    if not isinstance(details, list):
        return 0
    return sum(row["tokenCount"] for row in details if row["modality"] == modality)

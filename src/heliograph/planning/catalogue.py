"""The catalogue: what is known of each model and its prices, dated and sourced.

Invariant: every row says where it comes from, and money is integers only. That the whole is
free of gaps is `audit.py`'s to see; reading it is `load.py`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from heliograph.money import Rates
from heliograph.planning.rows import CatalogueError, Fact
from heliograph.types import Pixels, PricedModel

# ---------------------------------------------------------------- models.toml


@dataclass(frozen=True, kw_only=True)
class Capability(Fact):
    """What a model accepts and makes."""

    sizes: tuple[str, ...] = ()  # tiers, smallest first
    sends_size: bool = True  # False where the API has no size field
    default_size: str = ""  # what the API makes when the field is left out
    ratios: tuple[str, ...] = ()
    pixels: str = ""  # name of a pixel table
    tolerance: float = 0.03  # allowed difference a side: real sizes vary around the table
    references: int = 0  # input images at most
    reference_split: str = ""
    thinking: Literal["always", "levels", "none"] = "none"  # always: levels have no effect
    thinking_levels: tuple[str, ...] = ()
    thinking_default: str | None = None
    grounding: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()  # of input images
    input_tokens: int = 0
    output_tokens: int = 0
    system: bool = False  # takes a system instruction
    batch: bool = False
    output: str = ""  # media type of its images


@dataclass(frozen=True, kw_only=True)
class Tokens(Fact):
    """What is counted: exact for images, measured spans for thinking and other text."""

    image: Mapping[str, int]  # output tokens of one image by size
    input_image: int | None = None
    thinking_typical: int = 0
    thinking_high: int = 0
    text_typical: int = 0
    text_high: int = 0
    queries_typical: int = 0
    queries_high: int = 0


@dataclass(frozen=True, kw_only=True)
class Seconds(Fact):
    """How long the server takes."""

    typical: int
    slow: int


@dataclass(frozen=True, kw_only=True)
class Model(Fact):
    """One model id, live or not, and its lifecycle."""

    id: str
    name: str
    status: Literal["live", "retired", "unsupported"]
    released: str  # as exactly as it is known: "2025", "2025-11", "2025-11-20"
    can: Capability
    tokens: Tokens
    deprecated: date | None = None
    shut_down: date | None = None
    replacement: str | None = None
    vertex: str = ""  # how long Vertex serves it, in words
    seconds: Seconds | None = None

    @property
    def largest(self) -> str:
        """Its largest size tier."""
        return self.can.sizes[-1]


@dataclass(frozen=True, kw_only=True)
class PixelRows(Fact):
    """Pixels by ratio and size from one source."""

    px: Mapping[str, Mapping[str, Pixels]]


@dataclass(frozen=True, kw_only=True)
class PixelTable:
    """What the documents say, and what was measured where that differs."""

    documented: PixelRows
    measured: PixelRows | None = None

    def at(self, size: str, ratio: str) -> Pixels | None:
        """The pixels to expect: the measured ones where there are any."""
        for rows in (self.measured, self.documented):
            found = rows.px.get(ratio, {}).get(size) if rows else None
            if found:
                return found
        return None


@dataclass(frozen=True, kw_only=True)
class Tier(Fact):
    """A service tier in words."""

    behaviour: str  # continues "The … tier"
    loses: str  # what one gives up by taking it


@dataclass(frozen=True, kw_only=True)
class Safety(Fact):
    """Harm categories and thresholds of the Gemini API."""

    categories: tuple[str, ...]
    deprecated: tuple[str, ...]
    thresholds: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Limits(Fact):
    """Limits that hold for every model."""

    inline_bytes: int  # of one request body


# ---------------------------------------------------------------- prices.toml


@dataclass(frozen=True, kw_only=True)
class Price:
    """Micro-dollars per million tokens."""

    input: int
    text: int
    image: int


@dataclass(frozen=True, kw_only=True)
class PriceRow(Fact):
    """The prices of one model as they were on one day."""

    model: str
    tiers: Mapping[str, Price]
    query_micro: int = 0
    free_queries: int = 0

    @property
    def version(self) -> str:
        """The name that ledger lines keep."""
        return f"{self.model}@{self.checked.isoformat()}"

    def rates(self, tier: str) -> Rates:
        price = self.tiers[tier]
        return Rates(
            input_pico=price.input,
            text_pico=price.text,
            image_pico=price.image,
            query_micro=self.query_micro,
        )


# ---------------------------------------------------------------- the whole


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All facts, read-only."""

    models: Mapping[str, Model]
    pixels: Mapping[str, PixelTable]
    tiers: Mapping[str, Tier]
    safety: Safety
    limits: Limits
    prices: tuple[PriceRow, ...] = ()

    @property
    def live(self) -> tuple[Model, ...]:
        """The models that can be used today."""
        return tuple(m for m in self.models.values() if m.status == "live")

    @property
    def ratios(self) -> tuple[str, ...]:
        """Every ratio that some model makes."""
        return tuple(dict.fromkeys(r for m in self.models.values() for r in m.can.ratios))

    def price(self, model: str) -> PriceRow | None:
        """The newest prices of a model, or None when there are none."""
        rows = [row for row in self.prices if row.model == model]
        return max(rows, key=lambda row: row.checked, default=None)

    def price_row(self, version: str) -> PriceRow | None:
        """The row that a ledger line names, however old."""
        return next((row for row in self.prices if row.version == version), None)

    def priced(self, model: Model) -> PricedModel:
        """What a call of `model` is settled with. The model must have a price."""
        row = self.price(model.id)
        if row is None:
            raise CatalogueError(f"{model.id} has no price")
        return PricedModel(
            rates={tier: row.rates(tier) for tier in row.tiers},
            version=row.version,
            image_tokens=model.tokens.image,
            free_queries=row.free_queries,
        )

    def expected(self, model: Model, size: str, ratio: str) -> Pixels:
        """The pixels an original of this size and ratio should measure."""
        found = self.pixels[model.can.pixels].at(size, ratio)
        if found is None:
            raise CatalogueError(f"{model.id} has no pixels for {size} {ratio}")
        return found

    def sizes(self, model: Model, ratio: str) -> dict[str, Pixels]:
        """Expected pixels by size tier in one ratio."""
        return {size: self.expected(model, size, ratio) for size in model.can.sizes}

"""Models as they are answered."""

from typing import Literal

from pydantic import Field

from heliograph.server.native.shapes.plain import Money, Told


class Rates(Told):
    """Prices of a million tokens."""

    input: Money
    text: Money = Field(description="Text and thinking.")
    image: Money


class Price(Told):
    """What a model costs."""

    version: str = Field(description="Name of the price row; ledger lines keep it.")
    checked: str = Field(description="Day on which it was checked.")
    tiers: dict[str, Rates] = Field(description="By service tier.")


class Model(Told):
    """One model."""

    id: str
    name: str
    status: Literal["live", "retired", "unsupported"]
    released: str
    shut_down: str | None
    replacement: str | None = Field(description="What to use instead of one that is retired.")
    sizes: list[str]
    ratios: list[str]
    references: int = Field(description="Input images at most.")
    thinking: list[str]
    grounding: list[str]
    output: str = Field(description="Media type of its images.")
    seconds: int | None = Field(description="How long a picture takes, usually.")
    price: Price | None = Field(description="A model without a price is refused.")


class Models(Told):
    """All models."""

    items: list[Model]

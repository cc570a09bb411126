"""Names what would be cheaper than a plan, and what one would give up for it.

Invariant: everything listed still gives the asked size or pixels, except one: the next smaller
size, which says that it loses pixels. Differences come from the tables, never from opinion.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from heliograph.planning.catalogue import Catalogue, Model
from heliograph.planning.cover import cheapest, originals
from heliograph.planning.price import Inputs, price_of, price_row
from heliograph.types import Alternative, Pixels, Request


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a plan settled on, to hold others against."""

    asked: Request
    model: Model
    size: str
    ratio: str | None  # the ratio sent
    tier: str
    expected: int  # micro-dollars
    pixels: Pixels | None  # what an original must cover, when exact pixels are asked
    inputs: Inputs


def alternatives(chosen: Choice, facts: Catalogue) -> tuple[Alternative, ...]:
    """Cheaper ways, the largest saving first."""
    ways = (*_same_pixels(chosen, facts), *_next_smaller(chosen, facts))
    cheaper = (way for way in ways if way.saves > 0)
    return tuple(sorted(cheaper, key=lambda way: (-way.saves, way.model, way.tier)))


def _same_pixels(chosen: Choice, facts: Catalogue) -> Iterator[Alternative]:
    for model in facts.live:
        for tier in price_row(model, facts).tiers:
            size = _size_on(model, tier, chosen, facts)
            if size and (model, size, tier) != (chosen.model, chosen.size, chosen.tier):
                yield _way(chosen, facts, model, size, tier)


def _size_on(model: Model, tier: str, chosen: Choice, facts: Catalogue) -> str | None:
    """The size another model and tier would need for the same wish, or None if it cannot."""
    if chosen.pixels is None:
        same_ratio = chosen.ratio is None or chosen.ratio in model.can.ratios
        return chosen.size if same_ratio and chosen.size in model.can.sizes else None
    made = originals(model, tier, facts)
    best = cheapest(made, chosen.pixels, size=chosen.asked.size, ratio=chosen.asked.aspect)
    return best.size if best else None


def _next_smaller(chosen: Choice, facts: Catalogue) -> Iterator[Alternative]:
    place = chosen.model.can.sizes.index(chosen.size)
    if chosen.pixels or place == 0:
        return  # exact pixels cannot be made from less
    smaller = chosen.model.can.sizes[place - 1]
    yield _way(chosen, facts, chosen.model, smaller, chosen.tier)


def _way(chosen: Choice, facts: Catalogue, model: Model, size: str, tier: str) -> Alternative:
    micro = price_of(model, price_row(model, facts), size, tier, chosen.inputs).expected
    return Alternative(
        model=model.id,
        size=size if model.can.sends_size else None,
        tier=tier,
        expected=micro,
        saves=chosen.expected - micro,
        loses=tuple(_losses(chosen, facts, model, size, tier)),
    )


def _losses(chosen: Choice, facts: Catalogue, model: Model, size: str, tier: str) -> Iterator[str]:
    if tier != chosen.tier:
        yield facts.tiers[tier].loses
    if chosen.pixels is None and size != chosen.size:
        ratio = chosen.ratio or "1:1"
        less, more = (facts.expected(chosen.model, s, ratio) for s in (size, chosen.size))
        yield f"It is {less} instead of {more} pixels in {ratio}."
    if model.id != chosen.model.id:
        yield from _between(chosen, model)


def _between(chosen: Choice, model: Model) -> Iterator[str]:
    """What another model lacks, asked things first."""
    mine, other, asked = chosen.model.can, model.can, chosen.asked
    yield "It is another model, so the picture looks different."
    if asked.ground and asked.ground not in other.grounding:
        yield f"It cannot ground with {asked.ground}, which is asked."
    if asked.thinking and asked.thinking not in other.thinking_levels:
        yield f"It has no thinking level {asked.thinking}, which is asked."
    if asked.system and not other.system:
        yield "It takes no system instruction, which is asked."
    if chosen.inputs.references > other.references:
        yield f"It takes at most {other.references} input images."
    if mine.thinking == "always" and other.thinking != "always":
        default = other.thinking_default or "its own choice"
        yield f"It does not always think at full length (default: {default})."
    for what, has, lacks in (
        ("grounding", other.grounding, mine.grounding),
        ("sizes", other.sizes, mine.sizes),
        ("ratios", other.ratios, mine.ratios),
    ):
        missing = [value for value in lacks if value not in has]
        if missing:
            yield f"It has no {what} {', '.join(missing)}."
    if model.tokens.confidence == "L":
        yield f"Its price is less sure: {model.tokens.source}."

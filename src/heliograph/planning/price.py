"""What a request will cost, before it is sent.

Invariant: exact integers through `heliograph.money.cost`, rounded once per figure, and
low ≤ expected ≤ high.

    low       one image at its size; half the estimated prompt; no thinking, no other text;
              all search queries free
    expected  one image; the estimated prompt; typical thinking, text and (if grounded) queries
    high      one image; twice the estimated prompt; the most thinking, text and queries that
              were measured. Further images are left out, because they are rare and would make
              the figure useless; a note gives the price of each.

The prompt is estimated at one token per four Latin characters and one per CJK character.
Input images have a fixed number of tokens each.
"""

from dataclasses import dataclass

from heliograph.errors import InvalidRequest, Problem
from heliograph.money import Quantities, Rates, cost, dollars
from heliograph.planning import nearest
from heliograph.planning.catalogue import Catalogue, Model, PriceRow
from heliograph.planning.load import catalogue
from heliograph.planning.rows import CatalogueError
from heliograph.types import Estimate

_FIRST_WIDE = "\u2e80"  # from here on Unicode is CJK, Kana, Hangul and emoji


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a request puts into a call, apart from the model."""

    text_tokens: int = 0  # prompt and system instruction, estimated
    references: int = 0
    grounded: bool = False


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One way to order an image, with its price."""

    model: str
    size: str
    tier: str
    estimate: Estimate


def text_tokens(text: str) -> int:
    """An estimate of the tokens of `text`."""
    wide = sum(c >= _FIRST_WIDE for c in text)
    return wide + -(-(len(text) - wide) // 4)


def image_price(model: Model, size: str, rates: Rates) -> int:
    """Micro-dollars of one image alone."""
    return cost(rates, Quantities(image_tokens=model.tokens.image[size])).micro


def price_of(model: Model, row: PriceRow, size: str, tier: str, inputs: Inputs) -> Estimate:
    """The estimate for one call; see the module for what its three figures stand on."""
    rates, tokens = row.rates(tier), model.tokens
    images = inputs.references * (tokens.input_image or 0)

    def micro(prompt: int, text: int, queries: int) -> int:
        used = Quantities(
            input_tokens=prompt + images,
            text_tokens=text,
            image_tokens=tokens.image[size],
            paid_queries=queries if inputs.grounded else 0,
        )
        return cost(rates, used).micro

    typical = tokens.thinking_typical + tokens.text_typical
    most = tokens.thinking_high + tokens.text_high
    return Estimate(
        low=micro(-(-inputs.text_tokens // 2), 0, 0),
        expected=micro(inputs.text_tokens, typical, tokens.queries_typical),
        high=micro(inputs.text_tokens * 2, most, tokens.queries_high),
        priced_on=row.checked.isoformat(),
        price_version=row.version,
        notes=_notes(model, row, size, tier, inputs),
    )


def _notes(model: Model, row: PriceRow, size: str, tier: str, inputs: Inputs) -> tuple[str, ...]:
    tokens = model.tokens
    each = dollars(image_price(model, size, row.rates(tier)))
    adds = (
        f"Expected adds {tokens.thinking_typical} thinking and {tokens.text_typical} text "
        f"tokens, high {tokens.thinking_high} and {tokens.text_high}, the most measured."
    )
    notes = [
        f"One {size} image is {tokens.image[size]} tokens, {each}.",
        adds,
        f"Further images in one answer are not in these figures; each would be {each} more.",
    ]
    if inputs.grounded:
        notes.append(
            f"Search queries are counted as 0, {tokens.queries_typical} and "
            f"{tokens.queries_high} at {dollars(row.query_micro)} each; the first "
            f"{row.free_queries} of a month are free."
        )
    if tokens.confidence == "L":
        notes.append(f"The token counts of {model.id} are not well sourced: {tokens.source}.")
    return tuple(notes)


def estimate(
    model: str,
    size: str,
    tier: str = "standard",
    *,
    prompt: str = "",
    references: int = 0,
    grounded: bool = False,
) -> Estimate:
    """The price of one image, for a model, size and tier exactly as the catalogue spells them.

    Retired models can be priced too, so that old calls can be explained.

    Raises:
        InvalidRequest: the catalogue has no such model, size or tier.
    """
    facts = catalogue()
    row = facts.price(model)
    if model not in facts.models or row is None:
        close = nearest.names(model, [m.id for m in facts.live])
        raise InvalidRequest([_unknown("model", model, "has no price.", close)])
    chosen = facts.models[model]
    if size not in chosen.tokens.image:
        close = nearest.sizes(size, tuple(chosen.tokens.image))
        raise InvalidRequest([_unknown("size", size, f"{model} has no price for it.", close)])
    if tier not in row.tiers:
        close = tuple(row.tiers)
        raise InvalidRequest([_unknown("tier", tier, f"{model} has no price for it.", close)])
    inputs = Inputs(text_tokens=text_tokens(prompt), references=references, grounded=grounded)
    return price_of(chosen, row, size, tier, inputs)


def _unknown(field: str, value: str, message: str, close: tuple[str, ...]) -> Problem:
    return Problem(field=field, value=value, message=message, nearest=close)


def offers(
    *, prompt: str = "", references: int = 0, grounded: bool = False, facts: Catalogue | None = None
) -> tuple[Offer, ...]:
    """Every live model × size × tier with its price, models in catalogue order."""
    facts = facts or catalogue()
    inputs = Inputs(text_tokens=text_tokens(prompt), references=references, grounded=grounded)
    return tuple(
        Offer(
            model=model.id,
            size=size,
            tier=tier,
            estimate=price_of(model, row, size, tier, inputs),
        )
        for model in facts.live
        for row in [price_row(model, facts)]
        for size in model.can.sizes
        for tier in row.tiers
    )


def price_row(model: Model, facts: Catalogue) -> PriceRow:
    """The prices of a model that is known to have them."""
    row = facts.price(model.id)
    if row is None:
        raise CatalogueError(f"{model.id} has no price")
    return row

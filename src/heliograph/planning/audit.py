"""Checks a catalogue against itself, so that no fact is missing when it is needed.

Invariant: what passes here can be planned, priced and verified without a gap. All
contradictions are reported together.
"""

from collections import Counter
from collections.abc import Iterator

from heliograph.planning.catalogue import Catalogue, Model, PriceRow
from heliograph.planning.rows import CatalogueError


def audit(facts: Catalogue) -> None:
    """Raises CatalogueError with every contradiction found."""
    wrong = [
        *_pixels(facts),
        *(line for model in facts.models.values() for line in _lifecycle(model, facts)),
        *(line for model in facts.live for line in _complete(model, facts)),
        *(line for row in facts.prices for line in _price(row, facts)),
        *_versions(facts),
    ]
    if wrong:
        raise CatalogueError("; ".join(wrong))


def _pixels(facts: Catalogue) -> Iterator[str]:
    for name, table in facts.pixels.items():
        for rows in filter(None, (table.documented, table.measured)):
            for ratio, sizes in rows.px.items():
                for size, px in sizes.items():
                    if px.width % 8 or px.height % 8:
                        yield f"pixels.{name} {ratio} {size}: {px} is not a multiple of 8"


def _lifecycle(model: Model, facts: Catalogue) -> Iterator[str]:
    if model.status == "live":
        if model.replacement:
            yield f"{model.id} is live and has a replacement"
        if model.shut_down and model.shut_down <= model.checked:
            yield f"{model.id} is live and was shut down"
        return
    if model.status == "retired" and not model.shut_down:
        yield f"{model.id} is retired without a shutdown date"
    successor = facts.models.get(model.replacement or "")
    if successor is None or successor.status != "live":
        yield f"the replacement of {model.id} is {model.replacement!r}, which is not live"


def _complete(model: Model, facts: Catalogue) -> Iterator[str]:
    can, row = model.can, facts.price(model.id)
    if not can.sizes or can.default_size not in can.sizes:
        yield f"{model.id} has no sizes or its default {can.default_size!r} is none of them"
    if not can.ratios or not can.media_types or not can.output:
        yield f"{model.id} lacks ratios, input types or its output type"
    if can.thinking_default and can.thinking_default not in can.thinking_levels:
        yield f"{model.id}: default thinking {can.thinking_default!r} is no level of it"
    if not 0 < can.tolerance < 0.5:
        yield f"{model.id}: tolerance {can.tolerance} is outside 0…0.5"
    if can.references and model.tokens.input_image is None:
        yield f"{model.id} lacks the tokens of an input image"
    yield from _sizes(model, facts)
    if row is None or "standard" not in row.tiers:
        yield f"{model.id} is live without a standard price"
    elif can.batch != ("batch" in row.tiers):
        yield f"{model.id}: batch ability and batch price disagree"
    elif can.grounding and not row.query_micro:
        yield f"{model.id} grounds, but has no price per query"


def _sizes(model: Model, facts: Catalogue) -> Iterator[str]:
    table = facts.pixels.get(model.can.pixels)
    if table is None:
        yield f"{model.id}: there is no pixel table {model.can.pixels!r}"
        return
    areas = []
    for size in model.can.sizes:
        if model.tokens.image.get(size, 0) <= 0:
            yield f"{model.id} has no image tokens for {size}"
        for ratio in model.can.ratios:
            if table.at(size, ratio) is None:
                yield f"{model.id} has no pixels for {size} {ratio}"
        px = table.at(size, model.can.ratios[0]) if model.can.ratios else None
        areas.append(px.area if px else 0)
    if areas != sorted(areas):
        yield f"{model.id}: sizes are not listed smallest first"


def _price(row: PriceRow, facts: Catalogue) -> Iterator[str]:
    if row.model not in facts.models:
        yield f"a price names {row.model!r}, which is unknown"
    for tier, price in row.tiers.items():
        if tier not in facts.tiers:
            yield f"{row.version} prices {tier!r}, which is no service tier"
        if min(price.input, price.text, price.image) < 0:
            yield f"{row.version} {tier} is negative"
    if min(row.query_micro, row.free_queries) < 0:
        yield f"{row.version}: queries are negative"


def _versions(facts: Catalogue) -> Iterator[str]:
    for version, times in Counter(row.version for row in facts.prices).items():
        if times > 1:
            yield f"price {version} is there {times} times"

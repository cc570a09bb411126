"""What each model can do, as alternatives of a JSON schema.

Written from the catalogue, so the document says what planning takes. Three things cannot be said
in a schema and stand in descriptions instead: what two texts, or a text and a picture, have to do
with each other (a region lies in its picture), what is kept here (the ratio of a kept picture), and
what would need one alternative for each pair of a size and a ratio (whether they cover the pixels).

Invariant: what an alternative forbids, planning refuses.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from heliograph.planning import DEFAULT_MODEL
from heliograph.planning.catalogue import Catalogue, Model
from heliograph.planning.load import catalogue
from heliograph.types import Pixels

Schema = dict[str, Any]
NULL: Schema = {"type": "null"}


def wanted(*, default: str | None, batch: bool) -> list[Schema]:
    """The alternatives of a request that stands alone.

    Args:
        default: the gateway's own model, which a request without one gets.
        batch: whether the tier `batch` is there; it can be priced, not sent.
    """
    usual = _usual(default)
    return _crossed(
        [_able([row], [row.id, *_without(row, usual)], batch=batch) for row in catalogue().live]
    )


def turn() -> list[Schema]:
    """The alternatives of a turn: without a model it has that of the version it goes on from."""
    live = catalogue().live
    models = [_able([row], [row.id], batch=False) for row in live]
    return _crossed([*models, _able(live, [None], batch=False)])


def beginning(*, default: str | None) -> list[Schema]:
    """The alternatives of a new session: what a kept picture was made with goes on."""
    live = catalogue().live
    models = [_able([row], [row.id], batch=False) for row in live]
    sent = _able([_usual(default)], [None], batch=False)
    kept = _able(live, [None], batch=False)
    sent["properties"]["of"] = {"type": "object", "required": ["data"]}
    kept["properties"]["of"] = {"type": "object", "required": ["image"]}
    return _crossed([*models, sent, kept])


def export(*, default: str | None) -> list[Schema]:
    """The alternatives of an export: pixels or a use, as far as any picture reaches."""
    return _sizes([_usual(default)])


def _usual(default: str | None) -> Model:
    facts = catalogue()
    row = facts.models.get((default or DEFAULT_MODEL).removeprefix("models/"))
    return row if row is not None and row.status == "live" else facts.models[DEFAULT_MODEL]


def _without(row: Model, usual: Model) -> list[None]:
    return [None] if row.id == usual.id else []


def _able(rows: Sequence[Model], models: Sequence[str | None], *, batch: bool) -> Schema:
    """What can be asked of any of these models."""
    facts = catalogue()
    tiers = _each(name for row in rows for name in _tiers(row, facts, batch=batch))
    properties: Schema = {
        "model": {"enum": [*models]},
        "size": _or_null(_each(name for row in rows for name in row.can.sizes)),
        "aspect": _or_null(_each(name for row in rows for name in row.can.ratios)),
        "thinking": _or_null(_each(name for row in rows for name in row.can.thinking_levels)),
        "ground": _or_null(_each(name for row in rows for name in row.can.grounding)),
        "tier": _or_null(tiers),
    }
    needed = [] if None in models else ["model"]
    return {"required": needed, "properties": properties, "sizes": _sizes(rows)}


def _tiers(row: Model, facts: Catalogue, *, batch: bool) -> Iterable[str]:
    prices = facts.price(row.id)
    return [t for t in (prices.tiers if prices else ()) if batch or t != "batch"]


def _each(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _or_null(names: Sequence[str]) -> Schema:
    return {"enum": [*names, None]}


def _sizes(rows: Sequence[Model]) -> list[Schema]:
    """Exact pixels, or a use, or neither."""
    largest = max((row.largest for row in rows), key=_rank)
    pixels = {"anyOf": [{"type": "string", "pattern": pixels_pattern(rows)}, NULL]}
    use = {"anyOf": [{"type": "string", "format": f"use-{largest}"}, NULL]}
    return [
        {"properties": {"pixels": pixels, "use": NULL}},
        {"properties": {"pixels": NULL, "use": use}},
    ]


def _rank(size: str) -> int:
    return int(size.removesuffix("K")) * (1024 if size.endswith("K") else 1)


def _crossed(models: Iterable[Schema]) -> list[Schema]:
    """Every model with every way to say a size and an area."""
    found = []
    for model in models:
        for size in model["sizes"]:
            for area in _areas():
                properties = model["properties"] | size["properties"] | area["properties"]
                needed = [*model["required"], *area["required"]]
                found.append({"properties": properties, **({"required": needed} if needed else {})})
    return found


def _areas() -> Iterable[Mapping[str, Any]]:
    some: Schema = {"not": NULL}
    nothing = {"region": NULL, "mask": NULL, "protect": {"const": False}}
    yield {"required": [], "properties": {**nothing, "feather": {"enum": [None, 0]}}}
    for name, other in (("region", "mask"), ("mask", "region")):
        yield {"required": [name], "properties": {name: some, other: NULL}}


# ---------------------------------------------------------------- exact pixels


def pixels_pattern(rows: Sequence[Model]) -> str:
    """Every WIDTHxHEIGHT that an original of one of the models covers, as a pattern."""
    facts = catalogue()
    boxes = {
        facts.expected(row, size, ratio)
        for row in rows
        for size in row.can.sizes
        for ratio in row.can.ratios
    }
    widest = [box for box in boxes if not any(_within(box, other) for other in boxes - {box})]
    ordered = sorted(widest, key=lambda box: (box.width, box.height))
    return f"^(?:{'|'.join(f'{up_to(b.width)}x{up_to(b.height)}' for b in ordered)})$"


def _within(box: Pixels, other: Pixels) -> bool:
    return box.width <= other.width and box.height <= other.height


def up_to(most: int) -> str:
    """A pattern of the whole numbers from 1 to `most`, without leading zeros."""
    digits = str(most)
    shorter = ["[1-9]" + _free(count) for count in range(len(digits) - 1)]
    as_long = []
    for place, digit in enumerate(digits):
        low = 0 if place else 1
        below = int(digit) - 1
        if below >= low:
            one = str(low) if below == low else f"[{low}-{below}]"
            as_long.append(digits[:place] + one + _free(len(digits) - place - 1))
    return f"(?:{'|'.join([*shorter, *as_long, digits])})"


def _free(count: int) -> str:
    return "" if count == 0 else "[0-9]" if count == 1 else f"[0-9]{{{count}}}"

"""What picture is asked for: size, tier, ratio and quality, brought to one meaning.

    size      `3840x2160` is exact; `1K`, `2K`, `4K`, `512` are tiers; `auto` leaves it open
    quality   names a tier where size does not: low and standard 1K, medium 2K, the others 4K
              (the habit of LiteLLM, gemini-api.md 7.2)

Invariant: what contradicts itself is a problem, whatever the order in which it was given.
"""

import math
from dataclasses import dataclass

from heliograph.planning import nearest, normalise
from heliograph.planning.catalogue import Model
from heliograph.server.openai.fields import Fields
from heliograph.types import Pixels

TIERS = ("512", "1K", "2K", "4K")
QUALITIES = {
    "auto": None,
    "low": "1K",
    "standard": "1K",
    "medium": "2K",
    "high": "4K",
    "hd": "4K",
    "xhigh": "4K",
    "max": "4K",
}
# what a picture of a tier is called in answers
NAMED = {"512": "low", "1K": "low", "2K": "medium", "4K": "high"}
ALIKE = 0.03  # difference between two ratios that say the same: the models' own sizes vary as much


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What of a `types.Request` says how large a picture is, and in what ratio."""

    size: str | None = None
    aspect: str | None = None
    pixels: str | None = None
    quality: str | None = None  # as it was given
    notes: tuple[str, ...] = ()


def read_shape(body: Fields, model: Model, *, tier: str | None, ratio: str | None) -> Shape:
    """Size, quality and ratio of a request.

    Args:
        tier: what another member says of the size: `image_config.image_size` …
        ratio: the same of the ratio: `aspect_ratio`, `image_config.aspect_ratio` …
    """
    quality = body.choice("quality", tuple(QUALITIES))
    exact, named = _size(body)
    aspect = normalise.ratio(ratio, model.can.ratios) if ratio is not None else None
    other = normalise.size(tier) if tier is not None else None
    if named and other and named != other:
        body.refuse("size", f"contradicts the image size {other}.", (other,))
    if exact and other:
        body.refuse("size", f"is exact, so it cannot stand beside the image size {other}.")
    if exact and aspect:
        _agree(body, exact, aspect)
    size, notes = named or other, []
    wanted = QUALITIES.get(quality or "auto")
    if wanted and (exact or size):
        notes.append(f"quality {quality} had nothing to choose: the size is given.")
    elif wanted:
        if wanted not in model.can.sizes:
            body.refuse("quality", _makes(model, wanted), _qualities(model))
        size = wanted
    return Shape(
        size=size,
        aspect=aspect,
        pixels=str(exact) if exact else None,
        quality=quality,
        notes=tuple(notes),
    )


def _size(body: Fields) -> tuple[Pixels | None, str | None]:
    """Exact pixels, or a tier, or neither."""
    given = body.text("size", most=64)
    if given is None or normalise.word(given) == "auto":
        return None, None
    exact = normalise.as_pixels(normalise.pixels(given))
    if exact is not None:
        return exact, None
    tier = normalise.size(given)
    if tier in TIERS:
        return None, tier
    body.refuse(
        "size",
        f"must be WIDTHxHEIGHT, one of {', '.join(TIERS)}, or auto.",
        nearest.sizes(tier, TIERS),
    )
    return None, None


def _agree(body: Fields, exact: Pixels, aspect: str) -> None:
    sides = aspect.split(":")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() for side in sides):
        return  # no ratio at all: planning says so
    width, height = (int(side) for side in sides)
    if not width or not height:
        return
    if abs(math.log(exact.width * height / (exact.height * width))) > ALIKE:
        body.refuse("size", f"is not of the ratio {aspect}; leave one of them out.")


def _makes(model: Model, wanted: str) -> str:
    return f"stands for {wanted}, and {model.id} makes {', '.join(model.can.sizes)}."


def _qualities(model: Model) -> tuple[str, ...]:
    return tuple(name for name, tier in QUALITIES.items() if tier in (None, *model.can.sizes))

"""Finds the original to make for exact pixels: which size tier, in which ratio.

Invariant: exact pixels are never enlarged. An original covers a target when both its sides are
at least as long; the export is then a crop, scaled down. Only a print, which is asked for in
paper and dpi, may be enlarged, by 5 % at most and never in silence: A3 at 300 dpi is 3508x4961,
and 4K reaches 290 dpi, which no eye can tell apart.

Of the originals that cover, the cheapest is taken; at the same price the larger tier (on
gemini-3-pro-image 1K and 2K cost the same: the larger one scales down to a finer picture and
leaves a better original in the library, for a few more megabytes); then the ratio that loses
least to the crop.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from heliograph.errors import InvalidRequest, Problem
from heliograph.money import dollars
from heliograph.planning.catalogue import Catalogue, Model
from heliograph.planning.findings import Findings
from heliograph.planning.price import image_price, price_row
from heliograph.types import ExportSpec, Pixels

PRINT_STRETCH = Fraction(105, 100)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Exact pixels that an export must have, and how they were asked for."""

    pixels: Pixels
    field: str  # "pixels" | "use"
    value: str  # as it was asked
    inches: tuple[Fraction, Fraction] | None = None  # of a print, so that dpi can be named
    name: str | None = None

    @property
    def least(self) -> Pixels:
        """The fewest pixels that will do: a print may be enlarged a little."""
        stretch = PRINT_STRETCH if self.inches else Fraction(1)
        return Pixels(ceil(self.pixels.width / stretch), ceil(self.pixels.height / stretch))

    def dpi_of(self, original: Pixels) -> int:
        """The dpi that a print would have without enlarging."""
        width, height = self.inches or (Fraction(1), Fraction(1))
        return int(min(original.width / width, original.height / height))


@dataclass(frozen=True, kw_only=True)
class Original:
    """One picture that a model can make."""

    size: str
    rank: int  # of the size, smallest first
    ratio: str
    pixels: Pixels
    micro: int  # micro-dollars of the image alone

    def covers(self, wanted: Pixels) -> bool:
        return self.pixels.width >= wanted.width and self.pixels.height >= wanted.height

    def scale(self, wanted: Pixels) -> Fraction:
        """How many times `wanted` fits into it, on the tighter side."""
        return min(
            Fraction(self.pixels.width, wanted.width), Fraction(self.pixels.height, wanted.height)
        )

    def kept(self, wanted: Pixels) -> Fraction:
        """The part of its area that a crop to the shape of `wanted` keeps, 0…1."""
        return self.scale(wanted) ** 2 * Fraction(wanted.area, self.pixels.area)

    def preference(self, wanted: Pixels) -> tuple[int, int, Fraction]:
        """Sorts the best first."""
        return (self.micro, -self.rank, -self.kept(wanted))


def originals(model: Model, tier: str, facts: Catalogue) -> list[Original]:
    """Everything that `model` can make, with its price in `tier`."""
    rates = price_row(model, facts).rates(tier)
    made = []
    for rank, size in enumerate(model.can.sizes):
        micro = image_price(model, size, rates)
        for ratio in model.can.ratios:
            px = facts.expected(model, size, ratio)
            made.append(Original(size=size, rank=rank, ratio=ratio, pixels=px, micro=micro))
    return made


def cheapest(
    made: Iterable[Original], wanted: Pixels, *, size: str | None = None, ratio: str | None = None
) -> Original | None:
    """The best original that covers `wanted`, within a size and a ratio where they are given."""
    fits = [o for o in made if o.covers(wanted) and size in (None, o.size)]
    fits = [o for o in fits if ratio in (None, o.ratio)]
    return min(fits, key=lambda o: o.preference(wanted), default=None)


def enlarges(have: Pixels, wanted: Pixels) -> bool:
    """Whether more pixels would have to be invented than the few of a print."""
    return wanted.width > have.width * PRINT_STRETCH or wanted.height > have.height * PRINT_STRETCH


def refuse_enlarging(have: Pixels, specs: Iterable[ExportSpec], *, is_print: bool) -> None:
    """Exports of a picture that exists never invent pixels, but for the few of a print.

    Raises:
        InvalidRequest: one would be enlarged.
    """
    stretch = PRINT_STRETCH if is_print else Fraction(1)
    for wanted in (spec.pixels for spec in specs if spec.pixels):
        if wanted.width > have.width * stretch or wanted.height > have.height * stretch:
            message = f"the original has {have}, and exports never enlarge"
            if is_print:
                message = f"the original has {have}, and a print is enlarged by 5 % at most"
            raise InvalidRequest(
                [Problem(field="pixels", value=str(wanted), message=message, nearest=(str(have),))]
            )


def choose(
    made: Sequence[Original], target: Target, size: str | None, ratio: str | None, found: Findings
) -> Original | None:
    """The original to make for `target`; a problem that names the way out when there is none."""
    wanted = target.pixels
    best = cheapest(made, wanted, size=size, ratio=ratio)
    if best:
        _tell(made, best, wanted, size, found)
        return best
    best = cheapest(made, target.least, size=size, ratio=ratio)
    if best:
        percent = ceil((1 / best.scale(wanted) - 1) * 1000) / 10
        found.note(
            f"{wanted} is cut from a {best.size} {best.ratio} original of {best.pixels}, which "
            f"has {target.dpi_of(best.pixels)} dpi there; the file is enlarged by {percent} %."
        )
        return best
    fits = sorted((o for o in made if o.covers(wanted)), key=lambda o: o.preference(wanted))
    if not fits:
        _beyond([o for o in made if ratio in (None, o.ratio)], target, found)
        return None
    by_size = [o for o in fits if ratio in (None, o.ratio)]
    by_ratio = [o for o in fits if size in (None, o.size)]
    if size and (by_size or not by_ratio):
        nearest = dict.fromkeys(o.size for o in by_size or fits)
        found.problem("size", size, f"is too small for {wanted} pixels.", nearest)
    if ratio and (by_ratio or not by_size):
        nearest = dict.fromkeys(o.ratio for o in by_ratio or fits)
        found.problem("aspect", ratio, f"does not cover {wanted} pixels in that size.", nearest)
    return None


def _beyond(made: Sequence[Original], target: Target, found: Findings) -> None:
    """Says how far the largest original reaches, in the words the target was asked in."""
    wanted = target.pixels
    largest = max(made, key=lambda o: o.scale(wanted))
    message = f"needs {wanted} pixels; the largest original in this shape is {largest.pixels}"
    if target.inches:
        dpi = target.dpi_of(largest.pixels)
        near = f"{target.name} at {dpi} dpi" if dpi else ""
        message = f"{message}, which reaches {dpi} dpi"
    else:
        scale = largest.scale(wanted)
        near = str(Pixels(max(1, int(wanted.width * scale)), max(1, int(wanted.height * scale))))
    found.problem(target.field, target.value, message, [near] if near else ())


def _tell(
    made: Sequence[Original], best: Original, wanted: Pixels, size: str | None, found: Findings
) -> None:
    lost = 100 - int(best.kept(wanted) * 100 + Fraction(1, 2))
    crop = f"{lost} % of it is cropped away" if lost else "hardly anything is cropped away"
    found.note(
        f"{wanted} is cut from a {best.size} {best.ratio} original of {best.pixels}; {crop}."
    )
    for other in {o.size: o for o in made if o.ratio == best.ratio}.values():
        more = other.micro - best.micro
        if more > 0 and other.rank > best.rank:
            percent = (more * 200 + best.micro) // (2 * best.micro)
            found.note(
                f"{other.size} would cost {dollars(more)} ({percent} %) more an image, for "
                "pixels that the export does not keep."
            )
    enough = cheapest(made, wanted)
    if size and enough and enough.micro < best.micro:
        found.note(
            f"{enough.size} in {enough.ratio} would be enough and costs "
            f"{dollars(best.micro - enough.micro)} less an image."
        )

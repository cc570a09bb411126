"""A copy of a picture that is small enough to be sent.

Invariant: the picture itself is only read; what is returned is within every limit.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.errors import FinishError, InvalidRequest, Problem
from heliograph.imaging.opening import (
    REFUSALS,
    check_made,
    examine,
    honest,
    making,
    open_upright,
    pixels_of,
    place,
    printable,
    reason,
)
from heliograph.imaging.png import METADATA_LIMIT
from heliograph.imaging.steps.convert import convert
from heliograph.imaging.steps.order import Order
from heliograph.imaging.steps.resize import resize
from heliograph.imaging.window import open_window
from heliograph.types import ExportSpec, Pixels

QUALITIES = (92, 85, 75)  # tried before pixels are given up
SMALLEST = 64  # px of the longest side below which a copy is of no use
_KEEP_ICC = 8
_AIM = 0.95  # of the bytes, since they do not shrink quite as the area does


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a copy must be within."""

    max_bytes: int
    max_side: int  # px
    max_area: int  # px

    def scale(self, pixels: Pixels) -> float:
        """How far a picture must shrink for its pixels alone; 1 when it need not."""
        longest = max(pixels.width, pixels.height)
        return min(1.0, self.max_side / longest, math.sqrt(self.max_area / pixels.area))

    def target(self, pixels: Pixels, scale: float) -> Pixels:
        """The pixels at a scale, rounded down so that no limit is passed by a hair."""
        sides = (pixels.width, pixels.height)
        return Pixels(*(max(1, math.floor(side * scale + 1e-9)) for side in sides))


def fit(picture: Path, limits: Limits, folder: Path) -> Path:
    """Write a copy within the limits into `folder`; the picture itself when it is within them.

    Raises:
        InvalidRequest: it is no picture that is accepted.
        FinishError: no copy is that small, or it cannot be written.
    """
    try:
        with open_window(picture) as window:
            size = window.size
        header, structure = examine(picture)
        light = structure.metadata <= METADATA_LIMIT
        if size <= limits.max_bytes and light and limits.scale(header.pixels) == 1.0:
            return picture
        honest()
        base = _base(picture, limits)
        honest()
    except REFUSALS as error:
        message = f"It is refused: {reason(error)}."
        problem = Problem(field="picture", value=printable(picture), message=message)
        raise InvalidRequest([problem]) from error
    with making("smaller copy"):
        smallest = size
        for data, suffix, pixels in _attempts(base, limits):
            smallest = min(smallest, len(data))
            if len(data) <= limits.max_bytes:
                check_made(data, pixels)
                return place(data, folder, "fitted", suffix)
    raise FinishError(
        f"No copy of {printable(picture)} is within {limits.max_bytes} bytes.",
        why=f"The smallest that was tried has {smallest} bytes.",
        remedy="Give a smaller picture.",
        facts={"reached": smallest, "max_bytes": limits.max_bytes},
    )


def _base(path: Path, limits: Limits) -> Any:
    """The picture in sRGB and 8 bits, as large as its pixels may be, in memory.

    A transparency that nothing uses is dropped, so that the copy can be a JPEG.
    """
    picture = open_upright(path)
    pixels = pixels_of(picture)
    order = _order(limits.target(pixels, limits.scale(pixels)))
    picture = convert(resize(picture, order), order).colourspace("srgb").cast("uchar")
    picture = picture.copy_memory()
    if picture.hasalpha() and picture[3].min() == 255:
        picture = picture.extract_band(0, n=3)
    return picture


def _order(target: Pixels) -> Order:
    # a format without inks, so that none are left
    return Order(spec=ExportSpec(name="fitted", srgb=True), format="png", target=target)


def _attempts(base: Any, limits: Limits) -> Iterator[tuple[bytes, str, Pixels]]:
    """Ever smaller files: lower quality first, then fewer pixels."""
    picture, scale = base, 1.0
    if base.hasalpha():
        data = _png(base)
        yield data, ".png", pixels_of(base)
        if len(data) <= 2 * limits.max_bytes:  # it saves a third, seldom more
            yield _webp(base, lossless=True), ".webp", pixels_of(base)
    save: Callable[..., bytes] = _webp if base.hasalpha() else _jpeg
    suffix = ".webp" if base.hasalpha() else ".jpg"
    while max(picture.width, picture.height) >= min(SMALLEST, max(base.width, base.height)):
        for quality in QUALITIES:
            data = save(picture, Q=quality)
            yield data, suffix, pixels_of(picture)
        scale *= min(0.9, _AIM * math.sqrt(limits.max_bytes / len(data)))
        target = limits.target(pixels_of(base), scale)
        if target == pixels_of(picture):  # nothing is left to give up
            return
        picture = resize(base, _order(target)).copy_memory()


def _jpeg(picture: Any, **options: Any) -> bytes:
    return bytes(picture.jpegsave_buffer(optimize_coding=True, keep=_KEEP_ICC, **options))


def _webp(picture: Any, **options: Any) -> bytes:
    return bytes(picture.webpsave_buffer(effort=4, keep=_KEEP_ICC, **options))


def _png(picture: Any) -> bytes:
    return bytes(picture.pngsave_buffer(compression=6, filter="sub", keep=_KEEP_ICC))

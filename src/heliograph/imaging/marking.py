"""A copy of a picture in which the area of an edit is marked, for a model to look at.

Invariant: the mark covers the area and a hairline around it; the rest looks like the picture.
"""

from pathlib import Path
from typing import Any

from heliograph.imaging.blending import check_parent
from heliograph.imaging.masking import area_weights, boxed
from heliograph.imaging.opening import check_made, making, open_upright, pixels_of, place, printable
from heliograph.imaging.steps.convert import convert
from heliograph.imaging.steps.flatten import flatten
from heliograph.imaging.steps.order import Order, resolve
from heliograph.imaging.steps.resize import resize
from heliograph.ports import AreaShape
from heliograph.types import ExportSpec

MARK_SIDE = 2048  # px
MARK_QUALITY = 90
MAGENTA, WHITE = (255, 0, 255), (255, 255, 255)
_TINT = 0.45  # share of magenta in the filled area
_FULL = 65535


def mark(picture: Path, area: AreaShape, folder: Path) -> Path:
    """Write the marked copy into `folder`.

    Raises:
        InvalidRequest: the area does not go with the picture, or the rest of it is to be put back
            and cannot be.
        FinishError: it cannot be made.
    """
    with making("marked copy"):
        whole = open_upright(picture)
        if area.protect:
            check_parent(whole, printable(picture))
        weights = area_weights(area, pixels_of(whole))
        spec = ExportSpec(name="marked", fit_within=MARK_SIDE, srgb=True)
        order = resolve(spec, pixels_of(whole), "jpeg")
        small = _plain(whole, order)
        marked = _draw(small, _inside(weights, order))
        data = bytes(marked.jpegsave_buffer(Q=MARK_QUALITY, keep=0))
        check_made(data, order.target)
        return place(data, folder, "marked", ".jpg")


def _plain(picture: Any, order: Order) -> Any:
    """Three bands of 8 bits in sRGB, on white, in the order's size."""
    for step in (resize, convert, flatten):
        picture = step(picture, order)
    return picture.colourspace("srgb").cast("uchar")


def _inside(weights: Any, order: Order) -> Any:
    """255 where at least half of the strongest weight is asked for, however small that is."""
    inside = (weights >= max(1.0, weights.max() / 2)).copy_memory()
    if pixels_of(inside) == order.target:
        return inside
    across, down = order.target.width / inside.width, order.target.height / inside.height
    return (inside.resize(across, vscale=down, kernel="linear") > 0).copy_memory()


def _draw(picture: Any, inside: Any) -> Any:
    """Tint the area, outline it within, and set it off with a white hairline around it."""
    line = max(3, max(picture.width, picture.height) // 340)
    # what lies beyond the picture counts as outside, so that its edge is outlined too
    framed = inside.embed(line, line, picture.width + 2 * line, picture.height + 2 * line)
    core = boxed(framed, line).crop(line, line, picture.width, picture.height) >= _FULL
    halo = boxed(inside, max(1, line // 3)) > 0
    tint = (inside * _TINT).rint().cast("uchar")
    tinted = tint.ifthenelse(_flat(picture, MAGENTA), picture, blend=True)
    lined = (inside & core.invert()).ifthenelse(_flat(picture, MAGENTA), tinted)
    return (halo & inside.invert()).ifthenelse(_flat(picture, WHITE), lined)


def _flat(like: Any, colour: tuple[int, int, int]) -> Any:
    return like.new_from_image(list(colour)).copy(interpretation="srgb")

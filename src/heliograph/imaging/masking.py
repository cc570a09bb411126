"""From the area of an edit to weights: one band, 0 keeps the parent, 255 takes the change.

Invariant: a weight is 0 wherever the area does not lie, also after feathering; a mask is decoded
whole and checked before any weight is made of it.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pyvips

from heliograph.errors import InvalidRequest, Problem
from heliograph.imaging.area import check_area
from heliograph.imaging.opening import (
    REFUSALS,
    examine,
    honest,
    open_upright,
    pixels_of,
    printable,
    reason,
)
from heliograph.imaging.refusal import Foreign
from heliograph.ports import AreaShape
from heliograph.types import Pixels

RATIO_TOLERANCE = 0.01
_FULL = 65535
_EXACT, _COARSE = 64, 4
_COLOURED = 24  # levels between the bands from which a mask is a coloured picture
_SHADED = 128  # levels between the darkest and the lightest part from which it has shades


def area_weights(area: AreaShape, parent: Pixels) -> Any:
    """The weights of an area with a hard edge, in the parent's size, in memory.

    Raises:
        InvalidRequest: the area does not go with the parent; says why.
    """
    problems = check_area(area, parent)
    if problems:
        raise InvalidRequest(problems)
    if area.region is not None:
        left, top, width, height = area.region
        block = pyvips.Image.black(width, height).invert()
        return block.embed(left, top, parent.width, parent.height).copy_memory()
    if area.mask is None:
        raise AssertionError("an area of nothing was found good")
    return _decode_mask(area.mask, parent, strict=area.strict)


def feathered(weights: Any, feather: int) -> Any:
    """The weights with their edge softened inwards over `feather` px.

    A box mean is ½ on a straight edge and 1 from `feather` px inside, so twice its excess over ½
    is the ramp. Where the area ends at the edge of the picture it stays hard: there is nothing to
    blend with. An area too narrow for the ramp to leave half of it gets a shorter one.
    """
    if not feather:
        return weights
    box = _extent(weights, margin=feather + 1)
    part = weights.crop(*box).copy_memory()
    width = feather
    while width:
        soft = (boxed(part > 0, width).maplut(_ramp()) * part / 255).rint().cast("uchar")
        soft = soft.copy_memory()
        if 2 * soft.avg() >= part.avg():
            return soft.embed(box[0], box[1], weights.width, weights.height)
        width //= 2
    return weights


def boxed(inside: Any, radius: int) -> Any:
    """The share of 255s within `radius` px, both ways, of each pixel: 0 to 65,535.

    Exact up to a radius of 64; of a wider one it is taken at a quarter of the size, which is
    smooth enough by then and costs a quarter of the CPU.
    """
    if radius > _EXACT:
        small = boxed(inside.shrink(_COARSE, _COARSE, ceil=True), radius // _COARSE)
        large = small.copy_memory().resize(_COARSE, kernel="linear")
        return large.crop(0, 0, inside.width, inside.height)
    side = 2 * radius + 1
    row = pyvips.Image.new_from_list([[1] * side], scale=side)
    # of one layer it is a running sum, exact to one level
    return (inside * 257).cast("ushort").convasep(row, layers=1)


@cache
def _ramp() -> Any:
    """From a box mean to a weight, with a soft start and end."""
    share = (2 * pyvips.Image.identity(ushort=True) / _FULL - 1).copy(interpretation="b-w")
    share = (share > 0).ifthenelse(share, 0)
    return (share * share * (3 - 2 * share) * 255).rint().cast("uchar").copy_memory()


def _extent(weights: Any, *, margin: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is not 0, with a margin inside the picture."""
    columns, rows = weights.project()
    left, _, width, _ = (columns > 0).find_trim(background=0, threshold=0, line_art=True)
    _, top, _, height = (rows > 0).find_trim(background=0, threshold=0, line_art=True)
    right, bottom = left + width + margin, top + height + margin
    left, top = max(0, left - margin), max(0, top - margin)
    return left, top, min(weights.width, right) - left, min(weights.height, bottom) - top


def _decode_mask(path: Path, parent: Pixels, *, strict: bool) -> Any:
    try:
        header, _ = examine(path)
        if header.format != "png":
            raise Foreign(f"it is a {header.format.upper()}; a mask is a PNG")
        mask = open_upright(path).copy_memory()
        honest()
    except REFUSALS as error:
        raise _refused(path, reason(error)) from error
    across, down = mask.width * parent.height, mask.height * parent.width
    if abs(across - down) > RATIO_TOLERANCE * down:
        here = pixels_of(mask)
        raise _refused(path, f"its ratio ({here} px) is not that of the picture ({parent} px)")
    weights = _weights(mask, path, strict=strict)
    if weights.max() == 0:
        raise _refused(path, "it keeps the whole picture; nothing would be changed")
    if pixels_of(weights) != parent:
        weights = _resized(weights, parent)
    return weights.copy_memory()


def _resized(weights: Any, parent: Pixels) -> Any:
    """To the nearest pixel, exactly in size, so that hard edges stay hard.

    Each pixel takes the one under its centre, as most programs do it.
    """
    at = pyvips.Image.xyz(parent.width, parent.height).cast("float") + 0.5
    scale = [weights.width / parent.width, weights.height / parent.height]
    return weights.mapim((at * scale).floor(), interpolate=pyvips.Interpolate.new("nearest"))


def _weights(mask: Any, path: Path, *, strict: bool) -> Any:
    """One band of 8 bits: from the transparency where there is any, else from the shades.

    Args:
        strict: refuse light paint on transparency, where white and transparency both say where.
    """
    if mask.format == "ushort":
        mask = (mask / 257).rint().cast("uchar")
    colours, alpha = mask, None
    if mask.bands in (2, 4):
        colours, alpha = mask.extract_band(0, n=mask.bands - 1), mask[mask.bands - 1]
    grey = colours.bands == 1 or _spread(colours) <= _COLOURED
    if alpha is None or alpha.min() == 255:
        if not grey:
            raise _refused(path, "it is a coloured picture; a mask is black, white and grey")
        return _shade(colours)
    if grey and _is_shaded(_shade(colours), alpha):
        raise _refused(
            path,
            "it holds both transparency and black and white, so what shall change is unclear; "
            "save it with one of them",
        )
    if strict and grey and _is_light(_shade(colours), alpha):
        raise _refused(
            path,
            "it is white paint on transparency, so what shall change is unclear; put black under "
            "the white, or erase from a black mask what may change",
        )
    return alpha.invert()


def _shade(colours: Any) -> Any:
    if colours.bands == 1:
        return colours
    return ((colours[0] * 299 + colours[1] * 587 + colours[2] * 114) / 1000).rint().cast("uchar")


def _spread(colours: Any) -> float:
    """How far the bands are apart where they are farthest."""
    pairs = ((0, 1), (1, 2), (0, 2))
    return max(float((colours[a].cast("short") - colours[b]).abs().max()) for a, b in pairs)


def _is_shaded(shade: Any, alpha: Any) -> bool:
    seen = alpha >= 128
    lightest = seen.ifthenelse(shade, 0).max()
    darkest = seen.ifthenelse(shade, 255).min()
    return bool(lightest - darkest > _SHADED)


def _is_light(shade: Any, alpha: Any) -> bool:
    # of a thin brush the strongest strokes count, however thin
    seen = alpha * 2 >= max(alpha.max(), 1)
    darkest = seen.ifthenelse(shade, 255).min()
    return bool(alpha.max() and darkest >= _SHADED)


def _refused(path: Path, why: str) -> InvalidRequest:
    message = f"The mask is refused: {why}."
    return InvalidRequest([Problem(field="mask", value=printable(path), message=message)])

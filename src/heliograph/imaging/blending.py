"""The edit that leaves the rest of the picture alone.

Invariant: every pixel outside the area is the parent's, value by value as it decodes; the parent's
profile, depth and transparency stay; the same inputs give the same bytes. Of each picture only the
rows that are taken are sure to be decoded, so this is no test of the others.
"""

from pathlib import Path
from typing import Any

import pyvips

from heliograph.errors import InvalidRequest, Problem
from heliograph.imaging.masking import area_weights, feathered
from heliograph.imaging.opening import check_made, making, open_upright, pixels_of, place
from heliograph.imaging.refusal import NotAnImage
from heliograph.imaging.steps.order import Order
from heliograph.imaging.steps.resize import resize
from heliograph.ports import AreaShape
from heliograph.types import ExportSpec, Pixels

_PROFILE = "icc-profile-data"
# one noisy 4K picture: level 3 took 0.5 s of CPU, level 6 0.75 s, 1 % apart in size; without a
# filter it is twice as large
_SAVE = {"compression": 3, "filter": "sub"}
_KEEP_NOTHING, _KEEP_ICC = 0, 8


def blend(parent: Path, change: Path, area: AreaShape, folder: Path) -> Path:
    """Write `change` inside the area on `parent` outside it as a PNG into `folder`.

    Raises:
        InvalidRequest: the area does not go with the parent.
        FinishError: it cannot be made.
    """
    with making("protected result"):
        below, veil = _split(_open(parent, "the parent"))
        size = pixels_of(below)
        weights = feathered(area_weights(area, size), area.feather)
        below, profile = _as_colour(below)
        above, cover = _split(_sized(_open(change, "the change"), size))
        above = _matched(above, profile, deep=below.format == "ushort")
        if cover is not None:  # what the change leaves out is left as it was
            weights = (weights * _eight_bit(cover) / 255).rint().cast("uchar")
        made = weights.ifthenelse(above, below, blend=True)
        if veil is not None:
            made = made.bandjoin(veil)
        made = made.copy(interpretation="rgb16" if made.format == "ushort" else "srgb")
        data = bytes(made.pngsave_buffer(keep=_KEEP_ICC if profile else _KEEP_NOTHING, **_SAVE))
        check_made(data, size)
        return place(data, folder, "blended", ".png")


def check_parent(parent: Any, name: str) -> None:
    """Whether a change could be blended into an open picture; decodes none of it.

    Raises:
        InvalidRequest: it is in inks, or its colour profile is of no use.
    """
    try:
        below, profile = _as_colour(_split(parent)[0])
        dot = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
        _matched(dot, profile, deep=below.format == "ushort").avg()
    except NotAnImage:
        why = "is in CMYK, and what is put back is a PNG, which has no inks; convert it to RGB."
    except pyvips.Error:
        why = "has a colour profile that cannot be used; convert it to RGB (sRGB)."
    else:
        return
    raise InvalidRequest([Problem(field="base", value=name, message=why)])


def _open(path: Path, what: str) -> Any:
    try:
        return open_upright(path)
    except NotAnImage as error:
        raise NotAnImage(f"{what}: {error}", looks_like=error.looks_like) from error


def _sized(picture: Any, size: Pixels) -> Any:
    return resize(picture, Order(spec=ExportSpec(name="change"), format="png", target=size))


def _split(picture: Any) -> tuple[Any, Any | None]:
    """Colours and transparency."""
    if not picture.hasalpha():
        return picture, None
    last = picture.bands - 1
    return picture.extract_band(0, n=last), picture[last]


def _as_colour(parent: Any) -> tuple[Any, bytes | None]:
    """The parent's values in three bands, and the profile they are meant in (None is sRGB).

    Raises:
        NotAnImage: it is in inks, which a PNG cannot hold; converting would change every pixel.
    """
    if parent.interpretation == "cmyk" or parent.bands == 4:
        raise NotAnImage("the parent is in CMYK; make an sRGB export of it and edit that")
    if parent.bands == 1:  # a change may bring colour, and a profile for greys does not hold then
        parent = parent.bandjoin([parent, parent]).copy()
        parent.remove(_PROFILE)
    profile = parent.get(_PROFILE) if parent.get_typeof(_PROFILE) else None
    return parent, profile


def _matched(change: Any, profile: bytes | None, *, deep: bool) -> Any:
    """The change in the parent's colour space and depth."""
    own = change.get(_PROFILE) if change.get_typeof(_PROFILE) else None
    inks = change.interpretation == "cmyk"
    if own != profile or inks:
        source = {
            "embedded": True,
            "input_profile": "cmyk" if inks else "srgb",
            "intent": "relative",
            "black_point_compensation": True,
        }
        change = _exported(change if own or inks else _coloured(change), profile, source)
    return _in_depth(_coloured(change), deep=deep)


def _exported(change: Any, profile: bytes | None, source: dict[str, Any]) -> Any:
    depth = 16 if change.format == "ushort" else 8
    if profile is None:
        return change.icc_transform("srgb", depth=depth, **source)
    meant = change.icc_import(**source).copy()
    meant.set_type(pyvips.GValue.blob_type, _PROFILE, profile)
    return meant.icc_export(intent=source["intent"], black_point_compensation=True, depth=depth)


def _coloured(change: Any) -> Any:
    return change if change.bands == 3 else change.bandjoin([change, change])


def _in_depth(picture: Any, *, deep: bool) -> Any:
    if deep:
        return picture if picture.format == "ushort" else (picture * 257).cast("ushort")
    return _eight_bit(picture)


def _eight_bit(picture: Any) -> Any:
    return (picture / 257).rint().cast("uchar") if picture.format == "ushort" else picture

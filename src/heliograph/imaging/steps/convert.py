"""Convert to sRGB and embed its profile, when asked or when the format has no CMYK."""

from typing import Any

import pyvips

from heliograph.imaging.steps.order import Order

_TAKES_CMYK = ("jpeg", "tiff")
_PROFILE = "icc-profile-data"


def convert(picture: Any, order: Order) -> Any:
    inks = picture.interpretation == "cmyk"
    if not order.spec.srgb and not (inks and order.format not in _TAKES_CMYK):
        return picture
    deep = picture.format == "ushort"
    if inks or picture.get_typeof(_PROFILE):
        picture = picture.icc_transform(
            "srgb",
            embedded=True,
            input_profile="cmyk" if inks else "srgb",  # where the embedded one is unusable
            intent="relative",
            black_point_compensation=True,
            depth=16 if deep else 8,
        )
    else:
        picture = picture.colourspace("rgb16" if deep else "srgb").copy()
    picture.set_type(
        pyvips.GValue.blob_type, _PROFILE, pyvips.Operation.call("profile_load", "srgb")
    )
    return picture

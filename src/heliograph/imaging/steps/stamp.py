"""Write the density and drop what would be stale; pixels stay as they are.

JPEG, PNG and TIFF carry the density in their own fields, WebP and AVIF in EXIF.
"""

from typing import Any

import pyvips

from heliograph.imaging.steps.order import Order

_MM_PER_INCH = 25.4
_OLD_THUMBNAIL = "jpeg-thumbnail-data"  # inside EXIF; shows the picture before the crop


def stamp(picture: Any, order: Order) -> Any:
    dpi = order.spec.dpi
    density = {"xres": dpi / _MM_PER_INCH, "yres": dpi / _MM_PER_INCH} if dpi else {}
    stamped = picture.copy(**density)  # a copy, since metadata of a shared picture is fixed
    if dpi:
        stamped.set_type(pyvips.GValue.gstr_type, "resolution-unit", "in")
    if stamped.get_typeof(_OLD_THUMBNAIL):
        stamped.remove(_OLD_THUMBNAIL)
    return stamped

"""Pictures for the largest runs; invariant: the ratio as asked, the size not, no two equal.

About 64 by 64 pixels whatever was asked: the 1K size divided by 16. The pixels are the same for
every call of a size; call id and number stand in the metadata, so that each file is unique and can
be traced to its bill.
"""

import functools
import math

from heliograph.emulator.reply import Picture
from heliograph.emulator.scene import Shot

_SIDE = 64


def paint_tiny(call_id: str, number: int, shot: Shot) -> Picture:
    """One picture, a JPEG of about a kilobyte, in microseconds."""
    from heliograph.emulator.painting import write_metadata_mark

    # 1K, 2K and 4K are 16, 32 and 64 times as long and as wide, near enough to know which.
    times = 2 ** round(math.log2(math.sqrt(shot.width * shot.height) / _SIDE))
    width, height = shot.width // times, shot.height // times
    marked = write_metadata_mark(_plate(width, height, number), call_id)
    return Picture(data=marked, mime="image/jpeg", width=width, height=height, role=shot.role)


@functools.cache
def _plate(width: int, height: int, number: int) -> bytes:
    """The picture of a size; the place in its answer decides on its colour."""
    import pyvips

    ramp = pyvips.Image.xyz(width, height)[1] * (200 / height)
    bands = [ramp + 40, ramp * 0.8 + 20, 200 - ramp + 4 * number]
    sheet = bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb")
    return bytes(sheet.jpegsave_buffer(Q=90, keep="none"))

"""The three formats that are accepted, and how each is measured and walked.

Invariant: this table is the allowlist; whatever is not in it never reaches a decoder.
"""

from collections.abc import Callable
from dataclasses import dataclass

from heliograph.imaging import jpeg, png, webp
from heliograph.imaging.foreign import PROBE, name_foreign
from heliograph.imaging.refusal import Foreign
from heliograph.imaging.window import Window
from heliograph.types import Pixels


@dataclass(frozen=True, kw_only=True)
class Format:
    """One accepted format."""

    name: str  # as in `Header.format`
    media_type: str
    suffix: str
    matches: Callable[[bytes], bool]  # by the first bytes
    measure: Callable[[Window], Pixels]
    exif: Callable[[Window], bytes]  # from its byte order on; empty where there is none
    walk: Callable[[Window], tuple[int, int, int]]  # frames, metadata bytes, end offset


FORMATS = (
    Format(
        name="jpeg",
        media_type="image/jpeg",
        suffix=".jpg",
        matches=lambda start: start.startswith(jpeg.SIGNATURE),
        measure=jpeg.measure,
        exif=jpeg.exif,
        walk=jpeg.walk,
    ),
    Format(
        name="png",
        media_type="image/png",
        suffix=".png",
        matches=lambda start: start.startswith(png.SIGNATURE),
        measure=png.measure,
        exif=png.exif,
        walk=png.walk,
    ),
    Format(
        name="webp",
        media_type="image/webp",
        suffix=".webp",
        matches=webp.is_webp,
        measure=webp.measure,
        exif=webp.exif,
        walk=webp.walk,
    ),
)


def recognise(window: Window) -> Format:
    """The format of the data, by its first bytes alone.

    Raises:
        Foreign: it is none of the accepted ones.
    """
    start = window.read(0, PROBE)
    for known in FORMATS:
        if known.matches(start):
            return known
    name = name_foreign(start)
    what = f"it looks like {name}" if name else "it is no known kind of picture"
    raise Foreign(f"{what}; only JPEG, PNG and WebP are accepted", looks_like=name)

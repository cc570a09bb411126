"""What the bytes of a picture really are, and finished files made from them.

Reading headers, walking structure and judging size happen here in plain Python; everything that
decodes runs in a worker process. Invariant: importing this package never loads libvips.
"""

from typing import TYPE_CHECKING, Any

from heliograph.imaging.area import check_area
from heliograph.imaging.header import read_header, sniff, upright_pixels
from heliograph.imaging.reference import check_references
from heliograph.imaging.refusal import NotAnImage
from heliograph.imaging.structure import ending
from heliograph.imaging.verdict import judge

if TYPE_CHECKING:
    from heliograph.imaging.direct import DirectImager
    from heliograph.imaging.imager import VipsImager

__all__ = [
    "DirectImager",
    "NotAnImage",
    "VipsImager",
    "check_area",
    "check_references",
    "ending",
    "judge",
    "read_header",
    "sniff",
    "upright_pixels",
]


def __getattr__(name: str) -> Any:
    # late, because the worker process imports this package and needs neither asyncio nor a pool
    if name == "VipsImager":
        from heliograph.imaging.imager import VipsImager

        return VipsImager
    if name == "DirectImager":
        from heliograph.imaging.direct import DirectImager

        return DirectImager
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Read back the pixels of a finished file from its own header, without the encoder's word.

Invariant: only for bytes that we have just written; the parsers for TIFF and AVIF are no defence.
"""

from heliograph.imaging.header import sniff
from heliograph.imaging.refusal import Broken
from heliograph.types import Pixels

_WIDTH, _HEIGHT = 256, 257  # TIFF tags


def measure(data: bytes, format_name: str) -> Pixels:
    """The size that the file states.

    Raises:
        NotAnImage: it states none.
    """
    if format_name == "tiff":
        return _measure_tiff(data)
    if format_name == "avif":
        return _measure_avif(data)
    return sniff(data).pixels


def _measure_tiff(data: bytes) -> Pixels:
    order = "little" if data[:2] == b"II" else "big"

    def number(offset: int, count: int) -> int:
        return int.from_bytes(data[offset : offset + count], order)  # type: ignore[arg-type]

    directory = number(4, 4)
    tags: dict[int, int] = {}
    for index in range(number(directory, 2)):
        entry = directory + 2 + 12 * index
        short = number(entry + 2, 2) == 3
        tags[number(entry, 2)] = number(entry + 8, 2 if short else 4)
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise Broken("it states no size", looks_like="TIFF")
    return Pixels(tags[_WIDTH], tags[_HEIGHT])


def _measure_avif(data: bytes) -> Pixels:
    at = data.find(b"ispe")  # the box of the picture's extent: version, width, height
    if at < 0:
        raise Broken("it states no size", looks_like="AVIF")
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (at + 8, at + 12))
    return Pixels(width, height)

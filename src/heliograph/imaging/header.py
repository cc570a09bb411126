"""What a picture says of itself in its first bytes.

Invariant: names, suffixes and declared types are never believed, nothing is decoded, and
whatever the bytes are, the answer is a `Header` or a `NotAnImage`.
"""

from pathlib import Path

from heliograph.imaging.exif import orientation, turned
from heliograph.imaging.formats import recognise
from heliograph.imaging.window import Window, open_window
from heliograph.types import Header, Pixels


def read_header(path: Path) -> Header:
    """The header of a picture file.

    Raises:
        NotAnImage: it is no JPEG, PNG or WebP, or its size is unsafe; says what it looks like.
        OSError: the file cannot be read.
    """
    with open_window(path) as window:
        return header_of(window)


def upright_pixels(source: Path | bytes) -> Pixels:
    """The pixels of a picture as it is seen, turned as EXIF says; nothing is decoded.

    Raises:
        NotAnImage: as in `read_header`, or what stands before the picture does not hold together.
        OSError: the file cannot be read.
    """
    if isinstance(source, bytes):
        return _upright(Window.over(source))
    with open_window(source) as window:
        return _upright(window)


def _upright(window: Window) -> Pixels:
    known = recognise(window)
    return turned(known.measure(window), orientation(known.exif(window)))


def sniff(data: bytes) -> Header:
    """The header of a picture in memory; its beginning is enough.

    Raises:
        NotAnImage: as in `read_header`.
    """
    return header_of(Window.over(data))


def header_of(window: Window) -> Header:
    """The header of the picture in a window."""
    known = recognise(window)
    return Header(
        format=known.name,
        media_type=known.media_type,
        suffix=known.suffix,
        pixels=known.measure(window),
    )

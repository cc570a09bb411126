"""JPEG: size from the frame header, and the walk to the true end of the picture.

Segments are passed by their length and scans by looking for the first marker that is neither
stuffing nor a restart, so thumbnails inside metadata and bytes behind the end mislead nobody.
All coding processes are accepted (progressive, arithmetic …): the decoder has the last word.
Pixels are measured as stored, whatever EXIF says.
Invariant: at most `MAX_SEGMENTS` steps, each in time linear in the bytes it passes.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from heliograph.imaging.refusal import Broken, safe_pixels
from heliograph.imaging.window import Window
from heliograph.types import Pixels

NAME = "JPEG"
SIGNATURE = b"\xff\xd8\xff"
MAX_SEGMENTS = 8192
BLOCK = 1 << 20

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # TEM and restarts carry no length
_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # all SOFn, without DHT, JPG, DAC
_APP, _APP1 = range(0xE0, 0xF0), 0xE1
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class Segment(NamedTuple):
    """One marker with what belongs to it."""

    marker: int
    start: int  # of the payload
    length: int  # of the payload


def measure(window: Window) -> Pixels:
    """The size in the frame header.

    Raises:
        Broken: there is none before the picture data.
        Bomb: it is unsafe.
    """
    for segment in _segments(window):
        if segment.marker in _FRAME:
            payload = window.read(segment.start, 5)  # precision, height, width
            if segment.length < 6 or len(payload) < 5:
                raise _broken("its frame header is cut")
            height, width = (int.from_bytes(payload[i : i + 2], "big") for i in (1, 3))
            return safe_pixels(width, height, NAME)
        if segment.marker in (_SOS, _EOI):
            break
    raise _broken("it has no frame header before its picture data")


def exif(window: Window) -> bytes:
    """The first block of EXIF before the picture data, or nothing.

    Raises:
        Broken: the segments do not hold together.
    """
    for segment in _segments(window):
        if segment.marker in (_SOS, _EOI):
            break
        if segment.marker == _APP1 and segment.length > 4:
            payload = window.read(segment.start, segment.length)
            if payload.startswith(b"Exif"):
                # a later one does not count, also where this one is no good
                return payload[6:] if payload[4:6] == bytes(2) else b""
    return b""


def walk(window: Window) -> tuple[int, int, int]:
    """Frames (always 1), bytes of metadata, and the offset behind the end marker.

    Raises:
        Broken: the file ends before its end marker, or its segments do not hold together.
    """
    metadata = 0
    drawn = False
    for segment in _segments(window):
        if segment.marker in _APP or segment.marker == _COM:
            metadata += segment.length
        drawn = drawn or segment.marker == _SOS
        if segment.marker == _EOI:
            if not drawn:
                raise _broken("it ends without picture data")
            return 1, metadata, segment.start
    raise _broken("it never ends")


def _segments(window: Window) -> Iterator[Segment]:
    position = 2
    for _ in range(MAX_SEGMENTS):
        marker, position = _marker(window, position)
        if marker in _STANDALONE:
            continue
        if marker == _SOI:
            raise _broken("a second picture begins inside it")
        if marker == _EOI:
            yield Segment(marker, position, 0)
            return
        length = window.number(position, 2)
        if length is None or length < 2 or position + length > window.size:
            raise _broken("it ends inside a segment")
        yield Segment(marker, position + 2, length - 2)
        position += length
        if marker == _SOS:
            position = _scan_end(window, position)
    raise _broken(f"it has more than {MAX_SEGMENTS} segments")


def _marker(window: Window, position: int) -> tuple[int, int]:
    """The marker at `position` and the offset behind it; any number of 0xFF may fill the gap."""
    run = window.read(position, 64)
    if not run:
        raise _broken("it ends before its end marker")
    code = run.lstrip(b"\xff")
    if len(code) == len(run):
        raise _broken("bytes stand where a marker belongs")
    if not code:
        raise _broken(
            "it ends before its end marker" if len(run) < 64 else "its filling is endless"
        )
    if code[0] == 0:
        raise _broken("bytes stand where a marker belongs")
    return code[0], position + len(run) - len(code) + 1


def _scan_end(window: Window, position: int) -> int:
    size = 4096  # grows, so that thousands of tiny scans do not read the file as often
    while True:
        block = window.read(position, size)
        found = _AFTER_SCAN.search(block)
        if found:
            return position + found.start()
        if len(block) < size:
            raise _broken("it ends inside its picture data")
        position += size - 1  # a marker may straddle two blocks
        size = min(size * 4, BLOCK)


def _broken(reason: str) -> Broken:
    return Broken(reason, looks_like=NAME)

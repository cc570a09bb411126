"""WebP: size from the first chunk (VP8, VP8L or VP8X), and the walk over the RIFF container.

Invariant: at most `MAX_CHUNKS` steps; nothing is decoded.
"""

from heliograph.imaging.exif import LIMIT
from heliograph.imaging.refusal import Broken, safe_pixels
from heliograph.imaging.window import Window
from heliograph.types import Pixels

NAME = "WebP"
MAX_CHUNKS = 1 << 16

_HAS_EXIF = 0x08  # flag in VP8X


def measure(window: Window) -> Pixels:
    """The size of the picture, or of the canvas of an extended file.

    Raises:
        Broken: the first chunk is cut or unknown.
        Bomb: the size is unsafe.
    """
    kind = window.read(12, 4)
    data = window.read(20, 10)
    if kind == b"VP8X" and len(data) == 10:
        sides = (1 + int.from_bytes(data[i : i + 3], "little") for i in (4, 7))
    elif kind == b"VP8L" and len(data) >= 5 and data[0] == 0x2F:
        bits = int.from_bytes(data[1:5], "little")
        sides = (1 + (bits >> shift & 0x3FFF) for shift in (0, 14))
    elif kind == b"VP8 " and len(data) == 10 and data[3:6] == b"\x9d\x01\x2a" and not data[0] & 1:
        sides = (int.from_bytes(data[i : i + 2], "little") & 0x3FFF for i in (6, 8))
    else:
        raise _broken("its header is cut or unknown")
    width, height = sides
    return safe_pixels(width, height, NAME)


def exif(window: Window) -> bytes:
    """The first chunk of EXIF, where the header of an extended file announces one."""
    head = window.read(12, 9)
    if head[:4] != b"VP8X" or len(head) < 9 or not head[8] & _HAS_EXIF:
        return b""
    position, end = 12, min(window.size, 8 + int.from_bytes(window.read(4, 4), "little"))
    for _ in range(MAX_CHUNKS):
        head = window.read(position, 8)
        if len(head) < 8 or position >= end:
            break
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            found = window.read(position + 8, min(length, LIMIT))
            return found.removeprefix(b"Exif\x00\x00")
        position += 8 + length + length % 2
    return b""


def walk(window: Window) -> tuple[int, int, int]:
    """Frames, bytes of metadata, and the offset behind the container.

    Raises:
        Broken: the file is shorter than its container says, or a chunk leaves it.
    """
    end = 8 + int.from_bytes(window.read(4, 4), "little")
    if end > window.size:
        raise _broken(f"it ends at {window.size} of {end} bytes")
    position, pictures, frames, metadata = 12, 0, 0, 0
    for _ in range(MAX_CHUNKS):
        if position >= end:
            break
        head = window.read(position, 8)
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if position + 8 + length > end:
            raise _broken("a chunk is longer than the file")
        if kind in (b"VP8 ", b"VP8L"):
            pictures += 1
        elif kind == b"ANMF":
            frames += 1
        elif kind not in (b"VP8X", b"ALPH", b"ANIM"):
            metadata += length
        position += 8 + length + length % 2
    else:
        raise _broken(f"it has more than {MAX_CHUNKS} chunks")
    if not pictures and not frames:
        raise _broken("it has no picture data")
    return max(frames, 1), metadata, end


def is_webp(start: bytes) -> bool:
    return start[:4] == b"RIFF" and start[8:12] == b"WEBP"


def _broken(reason: str) -> Broken:
    return Broken(reason, looks_like=NAME)

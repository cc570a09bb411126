"""PNG: size from IHDR, and the chunk walk with every checksum.

Invariant: metadata is inflated only as far as `METADATA_LIMIT`, whatever it claims to hold.
"""

import zlib

from heliograph.imaging.refusal import Broken, safe_pixels
from heliograph.imaging.window import Window
from heliograph.types import Pixels

NAME = "PNG"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
METADATA_LIMIT = 1 << 20  # bytes after inflation
MAX_CHUNKS = 1 << 17
BLOCK = 1 << 20

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def measure(window: Window) -> Pixels:
    """The size in IHDR.

    Raises:
        Broken: IHDR is not first, not whole or makes no sense.
        Bomb: the size is unsafe.
    """
    chunk = window.read(8, 25)
    if len(chunk) < 25:
        raise _broken("its header is cut")
    if chunk[:8] != b"\x00\x00\x00\x0dIHDR":
        raise _broken("it does not begin with its header")
    if zlib.crc32(chunk[4:21]) != int.from_bytes(chunk[21:], "big"):
        raise _broken("its header is damaged (checksum)")
    width, height = (int.from_bytes(chunk[i : i + 4], "big") for i in (8, 12))
    pixels = safe_pixels(width, height, NAME)
    depth, colour, compression, filtering, interlace = chunk[16:21]
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise _broken("its header names an unknown kind of pixels")
    return pixels


def exif(window: Window) -> bytes:
    """The EXIF before the picture data, or nothing; checksums are the walk's to check."""
    position = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        head = window.read(position, 8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or kind in (b"IDAT", b"IEND"):
            break
        if kind == b"eXIf":
            return window.read(position + 8, min(length, METADATA_LIMIT))
        position += 12 + length
    return b""


def walk(window: Window) -> tuple[int, int, int]:
    """Frames, bytes of metadata after inflation, and the offset behind the last chunk.

    Raises:
        Broken: a checksum is wrong, or the file ends before IEND.
    """
    position = len(SIGNATURE)
    frames, metadata, drawn = 1, 0, False
    for _ in range(MAX_CHUNKS):
        head = window.read(position, 8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or position + 12 + length > window.size:
            raise _broken("it ends before its last chunk")
        if not (kind.isalpha() and kind.isascii()):
            raise _broken("bytes stand where a chunk belongs")
        _check_sum(window, position, length, kind)
        start, position = position + 8, position + 12 + length
        if kind == b"IEND":
            if not drawn:
                raise _broken("it has no picture data")
            return frames, metadata, position
        drawn = drawn or kind == b"IDAT"
        if kind == b"acTL":
            frames = max(frames, window.number(start, 4) or 1)
        elif kind[0] & 0x20 and kind != b"fdAT":
            metadata += _weight(window, start, length, kind, room=METADATA_LIMIT - metadata)
    raise _broken(f"it has more than {MAX_CHUNKS} chunks")


def _check_sum(window: Window, position: int, length: int, kind: bytes) -> None:
    checksum = zlib.crc32(kind)
    for offset in range(0, length, BLOCK):
        checksum = zlib.crc32(
            window.read(position + 8 + offset, min(BLOCK, length - offset)), checksum
        )
    if checksum != window.number(position + 8 + length, 4):
        raise _broken(f"its chunk {kind.decode()} is damaged (checksum)")


def _weight(window: Window, start: int, length: int, kind: bytes, *, room: int) -> int:
    """Bytes an ancillary chunk holds after inflation, counted no further than `room` + 1."""
    if kind not in (b"iCCP", b"zTXt", b"iTXt") or length > room:
        return length
    packed = _packed(window.read(start, length), kind)
    if packed is None:
        return length
    try:
        return len(zlib.decompressobj().decompress(packed, room + 1))
    except zlib.error:
        return length  # nothing will be inflated from it either


def _packed(data: bytes, kind: bytes) -> bytes | None:
    """The deflated part of a chunk, or None when it is stored plain."""
    rest = data.partition(b"\x00")[2]
    if kind != b"iTXt":
        return rest[1:]
    if rest[:1] != b"\x01":
        return None
    return rest[2:].partition(b"\x00")[2].partition(b"\x00")[2]


def _broken(reason: str) -> Broken:
    return Broken(reason, looks_like=NAME)

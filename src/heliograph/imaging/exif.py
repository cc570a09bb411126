"""Which way up a picture is meant to be seen: the EXIF orientation, read without decoding.

Read as libexif, and so the decoder, reads it: the first such entry of the first directory counts.
Invariant: whatever the bytes are, the answer is 1 to 8, after at most 65,535 entries.
"""

import struct

from heliograph.types import Pixels

UPRIGHT = 1
LIMIT = 1 << 20  # bytes of EXIF that are looked at

_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
_TAG = 0x0112
_ENTRY = 12  # bytes
_WHOLE = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # formats of whole numbers


def orientation(exif: bytes) -> int:
    """The orientation in a block of EXIF that begins with its byte order; 1 is upright."""
    order = _ORDERS.get(exif[:4])
    if order is None or len(exif) < 10:
        return UPRIGHT
    (first,) = struct.unpack_from(f"{order}I", exif, 4)
    if first + 2 > len(exif):
        return UPRIGHT
    (count,) = struct.unpack_from(f"{order}H", exif, first)
    most = min(count, (len(exif) - first - 2) // _ENTRY)
    for start in range(first + 2, first + 2 + most * _ENTRY, _ENTRY):
        tag, form, values = struct.unpack_from(f"{order}HHI", exif, start)
        if tag == _TAG and values and form in _WHOLE:
            return _value(exif, start, f"{order}{_WHOLE[form]}", values)
    return UPRIGHT


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """The pixels of a picture once it is upright: 5 to 8 lie on their side."""
    return Pixels(pixels.height, pixels.width) if orientation >= 5 else pixels


def _value(exif: bytes, start: int, form: str, values: int) -> int:
    """The first value of an entry; more than four bytes of them lie elsewhere."""
    at = start + 8
    size = struct.calcsize(form) * values
    if size > 4:
        (at,) = struct.unpack_from(f"{form[0]}I", exif, at)
        if at + size > len(exif):
            return UPRIGHT
    (found,) = struct.unpack_from(form, exif, at)
    return int(found) if found in range(1, 9) else UPRIGHT

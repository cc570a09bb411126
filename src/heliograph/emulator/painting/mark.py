"""Says on every picture that it is simulated, and by which call.

Invariant: the place of the strip follows from the picture's size alone, so the id can be read
back from any re-encoding at that size; a wrong id is never read (CRC), only none.
"""

import math
import re
import zlib
from dataclasses import dataclass

from pyvips import Error, Image

from heliograph.emulator.painting.lettering import flat, typeset

_START, _END = 0b11100010, 0b10110001
_CELLS = 8 + 64 + 16 + 8
_DARK, _LIGHT = (22, 22, 26), (196, 194, 188)
_LEAST_CONTRAST = 60
_COMMENT = b"\xff\xfe"
_NOTE = "Simulated picture by the Heliograph emulator; call "
_NOTED = re.compile(re.escape(_NOTE) + "([0-9a-f]{16})")


@dataclass(frozen=True)
class Strip:
    """Where the coded id lies: rows of square cells in the bottom left corner."""

    cell: int
    columns: int
    rows: int

    @property
    def height(self) -> int:
        """Pixels from the bottom edge that the strip takes."""
        return self.cell * self.rows


def strip_for(width: int, height: int) -> Strip:
    """The strip of a picture of this size; cells of 8 pixels or more where there is room."""
    large = max(8, min(width, height) // 256)
    for cell in (large, 8, 4, 3, 2, 1):
        columns = min(_CELLS, max(1, width // cell))
        rows = math.ceil(_CELLS / columns)
        columns = math.ceil(_CELLS / rows)
        if rows * cell <= height / 4 and columns * cell <= max(width * 0.75, 8 * _CELLS):
            break
    return Strip(cell, columns, rows)


def band_height(width: int, height: int) -> int:
    """Pixels from the bottom edge that strip and caption take together."""
    return strip_for(width, height).height + math.ceil(_caption_size(width, height) * 2.2)


def stamp(image: Image, call_id: str) -> Image:
    """The image with caption and coded strip."""
    strip = strip_for(image.width, image.height)
    image = _caption(image, call_id, strip)
    bits = _bits(call_id)
    bits += "0" * (strip.columns * strip.rows - len(bits))
    rows = [
        [int(bit) for bit in bits[start : start + strip.columns]]
        for start in range(0, len(bits), strip.columns)
    ]
    cells = Image.new_from_array(rows).zoom(strip.cell, strip.cell)
    inked = cells * [light - dark for light, dark in zip(_LIGHT, _DARK, strict=True)] + list(_DARK)
    inked = inked.cast("uchar").copy(interpretation="srgb").copy_memory()
    return image.insert(inked, 0, image.height - strip.height)


def read_mark(image: bytes) -> str | None:
    """The call id in the pixels of an encoded picture, or None; ValueError if undecodable."""
    try:
        return read_pixels(Image.new_from_buffer(image, "", access="sequential"))
    except Error as error:
        raise ValueError(f"the image cannot be decoded: {_first_line(error)}") from error


def read_pixels(image: Image) -> str | None:
    """The call id in the pixels of a picture, or None."""
    strip = strip_for(image.width, image.height)
    if strip.columns * strip.cell > image.width or strip.height > image.height:
        return None
    box = (0, image.height - strip.height, strip.columns * strip.cell, strip.height)
    grey = image.crop(*box).colourspace("b-w")[0].shrink(strip.cell, strip.cell)
    levels = grey.cast("uchar").write_to_memory()[:_CELLS]
    known = f"{_START:08b}", f"{_END:08b}"
    ends = [*zip(known[0], levels[:8], strict=True), *zip(known[1], levels[-8:], strict=True)]
    light = [level for bit, level in ends if bit == "1"]
    dark = [level for bit, level in ends if bit == "0"]
    if min(light) - max(dark) < _LEAST_CONTRAST:
        return None
    middle = (min(light) + max(dark)) / 2
    bits = "".join("1" if level > middle else "0" for level in levels)
    call_id = f"{int(bits[8:72], 2):016x}"
    return call_id if bits == _bits(call_id) else None


def write_metadata_mark(jpeg: bytes, call_id: str) -> bytes:
    """The JPEG with the call id in a comment segment, right after its start."""
    note = (_NOTE + call_id).encode("ascii")
    return jpeg[:2] + _COMMENT + (len(note) + 2).to_bytes(2, "big") + note + jpeg[2:]


def read_metadata_mark(image: bytes) -> str | None:
    """The call id in the comment of a JPEG, or None."""
    position = 2
    while image[:2] == b"\xff\xd8" and position + 4 <= len(image):
        marker, length = image[position : position + 2], image[position + 2 : position + 4]
        end = position + 2 + int.from_bytes(length, "big")
        if marker == _COMMENT:
            found = _NOTED.fullmatch(image[position + 4 : end].decode("latin-1"))
            if found:
                return found[1]
        if marker[0] != 0xFF or marker == b"\xff\xda":
            break
        position = end
    return None


def _bits(call_id: str) -> str:
    check = zlib.crc32(call_id.encode()) & 0xFFFF
    return f"{_START:08b}{int(call_id, 16):064b}{check:016b}{_END:08b}"


def _caption_size(width: int, height: int) -> float:
    return max(8.0, min(width, height, math.sqrt(width * height) * 0.8) / 84)


def _caption(image: Image, call_id: str, strip: Strip) -> Image:
    size = _caption_size(image.width, image.height)
    # Below this width the id would be too small to read; the strip still carries it.
    text = f"SIMULATED · {call_id}" if image.width >= 190 else "SIMULATED"
    mask = typeset(text, size, weight="Medium", spacing=0.04)
    margin = round(size * 0.9)
    room = image.width - 2 * margin
    if mask.width > room:
        mask = mask.resize(room / mask.width)
    beside = strip.columns * strip.cell + mask.width + 3 * margin <= image.width
    x = image.width - margin - mask.width
    y = image.height - margin - mask.height - (0 if beside else strip.height)
    pad = max(1, round(size / 4))
    box = (max(0, x - pad), max(0, y - pad), mask.width + 2 * pad, mask.height + 2 * pad)
    below = image.crop(
        box[0], box[1], min(box[2], image.width - box[0]), min(box[3], image.height - box[1])
    )
    sheet = mask.embed(x - box[0], y - box[1], below.width, below.height)
    halo = (sheet.gaussblur(max(0.6, size / 9)) * 1.6).cast("uchar")
    # Light letters with a dark halo, or the reverse on paper and snow.
    ink, edge = ((250, 249, 246), _DARK) if below.avg() < 190 else (_DARK, (250, 249, 246))
    shaded = halo.ifthenelse(flat(below, edge), below, blend=True)
    return image.insert(sheet.ifthenelse(flat(below, ink), shaded, blend=True), box[0], box[1])


def _first_line(error: Error) -> str:
    return (str(error).strip().splitlines() or ["unknown error"])[0]

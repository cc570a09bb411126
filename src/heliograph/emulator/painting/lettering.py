"""Sets the quoted words of a prompt in type.

Invariant: the lettering fits its zone, uses only the shipped face, and contrasts with what
lies under it; no text, however long or strange, fails.
"""

import math
import os
import unicodedata
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from pyvips import Image

from heliograph.emulator.painting.colour import BLACK, Colour, mix
from heliograph.emulator.painting.field import enlarge
from heliograph.emulator.painting.palette import Palette

_FACE = "Noto Sans CJK JP"
_LEADING = 0.86
"""Of the face's own line height, which leaves room for CJK and is too airy for a title."""
_PROBE = 48
"""Pixels at which a line is measured before it is set."""


@dataclass(frozen=True, kw_only=True)
class Zone:
    """Where lettering may go, in pixels."""

    left: float
    top: float
    width: float
    height: float
    tall: bool = False
    """Whether the picture is a scroll, much taller than wide."""


def letter(image: Image, words: tuple[str, ...], zone: Zone, palette: Palette) -> Image:
    """The image with words set in the zone: the first as a title, the others below it."""
    words = tuple(text for text in map(_printable, words) if _visible(text))
    if not words:
        return image
    if zone.tall and all(map(_wide, "".join(words[0].split()))):
        # A scroll: CJK titles run down it.
        zone = Zone(
            left=zone.left + zone.width * 0.3,
            top=zone.top,
            width=zone.width * 0.4,
            height=zone.height * 1.6,
            tall=True,
        )
    share = 1.0 if len(words) == 1 else 0.68
    blocks = [_block(words[0], zone.width, zone.height * share, weight="Bold")]
    rest = zone.height * (1 - share) / max(1, len(words) - 1)
    blocks += [_block(text, zone.width * 0.8, rest * 0.62, weight="Regular") for text in words[1:]]
    gap = zone.height * 0.07
    total = sum(block.height for block in blocks) + gap * (len(blocks) - 1)
    row = zone.top + (zone.height - total) / 2
    for block in blocks:
        image = _ink(image, block, zone.left + (zone.width - block.width) / 2, row, palette)
        row += block.height + gap
    return image


def typeset(text: str, size: float, *, weight: str = "Regular", spacing: float = 0.0) -> Image:
    """Text as a one-band mask, `size` pixels to the em; lines are centred."""
    tracking = round(spacing * size * 1024 * 0.75)
    style = f'letter_spacing="{tracking}" line_height="{_LEADING}"'
    mask = Image.text(
        f"<span {style}>{escape(text)}</span>",
        font=f"{_FACE} {weight} {max(1.0, size):.2f}",
        fontfile=_font_file(),
        dpi=72,
        align="centre",
    )
    return mask.copy_memory()


@cache
def _font_file() -> str:
    """The shipped face. Fontconfig is told, before it first looks, to read no other."""
    import manimgx_fonts_cjk

    # Without this, a machine with no fonts installed complains on stderr at every start.
    os.putenv("FONTCONFIG_FILE", str(Path(__file__).with_name("fonts.conf")))
    return str(Path(manimgx_fonts_cjk.__file__).with_name("NotoSansCJK-VF.otf.ttc"))


def _block(text: str, width: float, height: float, *, weight: str) -> Image:
    """The text broken into the lines that let it be largest, set to fill the box."""
    lines = max(
        _breaks(text, tall=height > width * 1.2), key=lambda lines: _fit(lines, width, height)
    )
    spacing = 0.1 if len(text) < 14 and text.isascii() else 0.03
    body = "\n".join(lines)
    probe = typeset(body, _PROBE, weight=weight, spacing=spacing)
    scale = min(width / probe.width, height / probe.height)
    # Beyond this the title shouts: short words keep some air around them.
    size = min(_PROBE * scale * 0.995, height * 0.62, max(width * 0.3, height * 0.2))
    return typeset(body, size, weight=weight, spacing=spacing)


def _breaks(text: str, *, tall: bool) -> list[list[str]]:
    """The ways worth trying to break a text into lines of about equal length."""
    parts = _atoms(text)
    if tall and all(_wide(part.strip()) for part in parts):
        return [[part.strip() for part in parts]]
    most = min(len(parts), max(4, math.ceil(sum(map(_advance, parts)) / 14)))
    return [_balanced(parts, count) for count in range(1, most + 1)]


def _balanced(parts: list[str], count: int) -> list[str]:
    goal = sum(map(_advance, parts)) / count
    lines: list[str] = []
    line = ""
    for part in parts:
        grown = line + part
        if line and len(lines) < count - 1 and _advance(grown) - goal > goal - _advance(line):
            lines.append(line)
            line = part.lstrip()
        else:
            line = grown
    return [*lines, line]


def _atoms(text: str) -> list[str]:
    """What may stand on a line of its own, a word or one CJK character, spaces kept in front."""
    atoms: list[str] = []
    for word in text.split():
        fresh = True
        for letter_ in word:
            closing = unicodedata.category(letter_) in {"Pe", "Pf", "Po"}
            alone = _wide(letter_) and not closing
            if fresh or alone or (not closing and _wide(atoms[-1].strip())):
                atoms.append(f" {letter_}" if fresh and atoms else letter_)
            else:
                atoms[-1] += letter_
            fresh = False
    return [piece for atom in atoms for piece in _pieces(atom)] or [" "]


def _pieces(atom: str, longest: int = 28) -> list[str]:
    return [atom[start : start + longest] for start in range(0, len(atom), longest)]


def _fit(lines: list[str], width: float, height: float) -> float:
    return min(width / max(map(_advance, lines)), height / (len(lines) * 1.3))


def _advance(text: str) -> float:
    return sum(1.0 if _wide(letter_) else 0.6 for letter_ in text)


def _wide(text: str) -> bool:
    return all(unicodedata.east_asian_width(letter_) in "WF" for letter_ in text)


def _printable(text: str) -> str:
    """Pango refuses control characters and lone surrogates; people cannot read them either."""
    return "".join(
        letter_
        if letter_ == "\n" or unicodedata.category(letter_) not in {"Cc", "Cs", "Cn"}
        else " "
        for letter_ in text
    )


def _visible(text: str) -> bool:
    """Whether there is a letter, number, mark or symbol to set."""
    return any(unicodedata.category(letter_)[0] in "LNPS" for letter_ in text)


def _ink(image: Image, mask: Image, left: float, top: float, palette: Palette) -> Image:
    """The image with the mask inked in light or dark, whichever reads, over a soft shadow."""
    pad = round(mask.height * 0.25) + 8
    x, y = max(0, round(left) - pad), max(0, round(top) - pad)
    wide = min(image.width - x, mask.width + 2 * pad)
    high = min(image.height - y, mask.height + 2 * pad)
    below = image.crop(x, y, wide, high)
    sheet = mask.embed(round(left) - x, round(top) - y, wide, high)
    colour, halo = _inks(below, palette)
    soft = _shadow(sheet, mask.height)
    shaded = soft.ifthenelse(flat(below, halo), below, blend=True)
    inked = sheet.ifthenelse(flat(below, colour), shaded, blend=True)
    return image.insert(inked, x, y)


def _shadow(sheet: Image, size: int) -> Image:
    small = sheet.shrink(8, 8, ceil=True).gaussblur(max(0.8, size / 90)) * 0.85
    return enlarge(small.cast("uchar").copy_memory(), sheet.width, sheet.height)


def _inks(below: Image, palette: Palette) -> tuple[Colour, Colour]:
    level = (
        below.shrink(max(1, below.width // 32), max(1, below.height // 32)).colourspace("b-w").avg()
    )
    if level < 165:
        return mix(palette.sun, (255, 255, 255), 0.55), mix(palette.ground, BLACK, 0.3)
    return mix(palette.ground, palette.near, 0.15), mix(palette.cloud, (255, 255, 255), 0.5)


def flat(like: Image, colour: Colour) -> Image:
    """An image of one colour, the size of another."""
    return like.new_from_image([round(part) for part in colour]).copy(interpretation="srgb")

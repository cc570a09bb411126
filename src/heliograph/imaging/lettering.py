"""Words on contact sheets, set in the face that comes with the package.

Invariant: any text whatever can be set; nothing in it is obeyed as markup, and what cannot be
printed is shown as a replacement sign or a space.
"""

import math
import os
import unicodedata
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import pyvips

_FACE = "Noto Sans CJK JP"
_LEADING = 1.45  # line height of the face, in its size
_LONGEST = 400  # characters of which any fit a line
_ELLIPSIS = "…"
_REPLACEMENT = "□"  # the face has no U+FFFD
# controls, surrogates, unassigned and private ones, and formats, which can turn a line around
_UNPRINTABLE = {"Cc", "Cs", "Cn", "Co", "Cf"}


def use_own_fonts() -> None:
    """Read no font of the machine, and do not complain where it has none; for a whole process.

    Has to come before the first line is set.
    """
    os.putenv("FONTCONFIG_FILE", str(Path(__file__).with_name("fonts.conf")))


def line_height(size: int) -> int:
    """Rows that a line takes, in px, for type of `size` px."""
    return math.ceil(size * _LEADING)


def set_line(text: str, size: int, width: int, *, bold: bool = False) -> Any:
    """One line as a one-band mask of exactly `width` times `line_height` px; too long ends in ….

    Args:
        text: any text; it is taken as it is, not as markup.
        size: px to the em.
        width: px.
        bold: heavier.
    """
    height = line_height(size)
    shown = plain(text)
    ink = _ink(shown, size, bold=bold)
    while ink is not None and ink.width > width:
        # what fits if all letters were alike wide, and at least one less
        keep = min(len(shown) - 1, int(len(shown) * width / ink.width))
        shown = shown[:keep].rstrip(_ELLIPSIS).rstrip()
        ink = _ink(shown + _ELLIPSIS, size, bold=bold) if shown else None
    if ink is None:
        return pyvips.Image.black(width, height)
    return ink.embed(0, ink.yoffset, width, height)


def ink_width(mask: Any) -> int:
    """How much of a line's width is inked, from its left."""
    left, _, width, _ = mask.find_trim(background=0, threshold=0, line_art=True)
    return int(left + width)


def plain(text: str) -> str:
    """The text on one line, without what cannot be printed."""
    spaced = " ".join(text[: 4 * _LONGEST].split())[:_LONGEST]
    return "".join(
        _REPLACEMENT if unicodedata.category(letter) in _UNPRINTABLE else letter
        for letter in spaced
    )


def _ink(text: str, size: int, *, bold: bool) -> Any | None:
    """The text inked, as high and wide as its ink; None when there is none."""
    if not text:
        return None
    try:
        return pyvips.Image.text(
            escape(text),
            font=f"{_FACE} {'Bold' if bold else 'Regular'} {size}",
            fontfile=_face_file(),
            dpi=72,
        ).copy_memory()
    except pyvips.Error:  # only of spaces of some kind
        return None


@cache
def _face_file() -> str:
    import manimgx_fonts_cjk

    return str(Path(manimgx_fonts_cjk.__file__).with_name("NotoSansCJK-VF.otf.ttc"))

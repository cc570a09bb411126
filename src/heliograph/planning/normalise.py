"""Brings what people type to the spelling the catalogue uses.

Invariant: only spelling changes, never meaning, and doing it twice changes nothing more. Text
that is not understood comes back as it is (stripped), for `check.py` to refuse by name.

Accepted, whatever the case, width (４Ｋ) and spaces:
    sizes    4K, and the edge of its square: 4096 or 4096px; 512 also as 0.5K
    ratios   16:9, 16x9, 16×9, 16/9, or a decimal within 1 % of a known ratio: 1.78. Whole
             numbers are taken literally: 32:18 and 7:3 are no spelling of anything.
    pixels   4096x2304, 4096×2304, 4096*2304, with or without px
    model    a `models/` prefix is dropped
    safety   categories with or without HARM_CATEGORY_, thresholds with or without BLOCK_
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from heliograph.types import Finish, Pixels, Request

_SIZES = {"0.5K": "512", "1024": "1K", "2048": "2K", "4096": "4K"}
_GROUNDS = {"image": "images"}
_FORMATS = {"jpg": "jpeg", "tif": "tiff"}
_NEAR = Fraction(1, 100)  # how far a decimal may be from the ratio it means


def request(asked: Request, ratios: Iterable[str]) -> Request:
    """`asked` in catalogue spelling; `safety` is left to `check.py`, which sees duplicates."""
    return replace(
        asked,
        model=asked.model and model(asked.model),
        size=asked.size and size(asked.size),
        aspect=asked.aspect and ratio(asked.aspect, ratios),
        pixels=asked.pixels and pixels(asked.pixels),
        use=asked.use and use(asked.use),
        thinking=asked.thinking and word(asked.thinking),
        tier=asked.tier and word(asked.tier),
        ground=asked.ground and _GROUNDS.get(word(asked.ground), word(asked.ground)),
        finish=finish(asked.finish),
    )


def finish(asked: Finish) -> Finish:
    """`asked` with its format spelled our way."""
    if asked.format is None:
        return asked
    name = word(asked.format).removeprefix(".")
    return replace(asked, format=_FORMATS.get(name, name))


def model(text: str) -> str:
    return word(text).removeprefix("models/")


def size(text: str) -> str:
    """A size tier as the catalogue spells it: "4k", "4 K" and "4096" are "4K"."""
    compact = _compact(text).upper().removesuffix("PX")
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?K?", compact):
        return text.strip()
    return _SIZES.get(compact, compact)


def ratio(text: str, known: Iterable[str]) -> str:
    """A ratio as the catalogue spells it: "16x9", "16/9" and "1.78" are "16:9"."""
    compact = _compact(text)
    whole = re.fullmatch(r"([0-9]{1,6})[:x/]([0-9]{1,6})", compact)
    if whole:
        return f"{int(whole[1])}:{int(whole[2])}"
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,9})?", compact):
        wanted = Fraction(compact)
        near = [r for r in known if abs(wanted / as_fraction(r) - 1) <= _NEAR]
        if near:
            return min(near, key=lambda r: abs(wanted / as_fraction(r) - 1))
    return text.strip()


def pixels(text: str) -> str:
    exact = re.fullmatch(r"([0-9]{1,6})(?:px)?[x*]([0-9]{1,6})(?:px)?", _compact(text))
    return f"{int(exact[1])}x{int(exact[2])}" if exact else text.strip()


def use(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def word(text: str) -> str:
    return text.strip().lower()


def category(text: str, known: Iterable[str]) -> str:
    return _upper(text, "HARM_CATEGORY_", known)


def threshold(text: str, known: Iterable[str]) -> str:
    return _upper(text, "BLOCK_", known)


def as_fraction(ratio_text: str) -> Fraction:
    """A ratio such as "16:9" as a number."""
    width, height = ratio_text.split(":")
    return Fraction(int(width), int(height))


def as_pixels(text: str) -> Pixels | None:
    """Pixels in our spelling as numbers, or None when they are none or nothing."""
    exact = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text)
    return Pixels(int(exact[1]), int(exact[2])) if exact else None


def _compact(text: str) -> str:
    """Lower case, plain width, × as x, no spaces."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("×", "x")
    return "".join(plain.split())


def _upper(text: str, prefix: str, known: Iterable[str]) -> str:
    name = re.sub(r"[\s-]+", "_", text.strip()).upper()
    found = {name, prefix + name} & set(known)
    return min(found) if found else text.strip()

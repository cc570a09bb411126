"""What can be asked of a picture: the last part of its path.

    original                  the bytes as they came
    picture                   as its user sees it: with what was protected put back
    extra-1, draft-2          further images of the same answer
    preview, thumbnail        at most 2048 and 512 px a side
    w640                      so many px wide, never enlarged
    1080x1350, youtube-thumbnail   exactly these pixels, cut to their ratio, never enlarged

all but the originals with a suffix that says the format: .jpg .png .webp .avif.
Invariant: pure, and the set is finite, so that nobody can have ever new files made.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache

from heliograph.errors import InvalidRequest, Problem
from heliograph.planning.uses import uses
from heliograph.types import SUFFIX_KINDS, ExportSpec, Pixels

WIDTHS = (
    *(64, 128, 256, 320, 480, 512, 640, 768, 960, 1024, 1280, 1536, 1920),
    *(2048, 2560, 3072, 3840, 4096),
)
PREVIEW, THUMBNAIL = 2048, 512  # px a side at most
FORMATS = ("jpeg", "png", "webp", "avif")
_WHOLE = 1 << 16  # px; more than any side, so nothing is scaled but metadata is left out
_TEXT = re.compile(r"([a-z0-9][a-z0-9-]{0,60})(?:\.(jpg|jpeg|png|webp|avif))?", re.ASCII)
_NUMBERED = re.compile(r"(extra|draft)-([1-9][0-9]?)", re.ASCII)
_EXACT = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})", re.ASCII)
_WIDE = re.compile(r"w([1-9][0-9]{1,4})", re.ASCII)


class Kind(Enum):
    """How a variant comes about."""

    ORIGINAL = "original"
    EXTRA = "extra"
    DRAFT = "draft"
    PICTURE = "picture"
    PREVIEW = "preview"
    THUMBNAIL = "thumbnail"
    WIDE = "wide"
    EXACT = "exact"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One thing that can be asked of a picture."""

    kind: Kind
    name: str  # as in the path, without its suffix
    format: str | None = None  # one of `FORMATS`; None leaves it as it is, or WebP for a copy
    number: int = 0  # of an extra or a draft, from 1
    width: int = 0  # px
    pixels: Pixels | None = None

    @property
    def is_kept(self) -> bool:
        """Whether it is an image of the answer, byte for byte."""
        return self.kind in (Kind.ORIGINAL, Kind.EXTRA, Kind.DRAFT)

    @property
    def is_untouched(self) -> bool:
        """Whether nothing is encoded for it."""
        return self.is_kept or (self.kind is Kind.PICTURE and self.format is None)

    def spec(self, seen: Pixels) -> ExportSpec:
        """How it is made of a picture that is seen at so many pixels.

        Raises:
            InvalidRequest: it would have to be enlarged.
        """
        kind = self.format or "webp"
        if self.kind is Kind.PREVIEW:
            return ExportSpec(name="made", fit_within=PREVIEW, format=kind)
        if self.kind is Kind.THUMBNAIL:
            return ExportSpec(name="made", fit_within=THUMBNAIL, format=kind)
        target = self.pixels
        if self.kind is Kind.WIDE and self.width < seen.width:
            target = Pixels(self.width, max(1, round(seen.height * self.width / seen.width)))
        if target and (target.width > seen.width or target.height > seen.height):
            raise unknown(
                self.name, f"has more pixels than the picture itself ({seen})", ("picture",)
            )
        # the longest side is given besides exact pixels because copies for others carry none of
        # the metadata that exports for their owner keep
        return ExportSpec(name="made", pixels=target, fit_within=_WHOLE, format=kind)


def parse(text: str) -> Variant:
    """What the last part of a path asks for.

    Raises:
        InvalidRequest: there is no such variant (field "variant").
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise unknown(text, "is no variant of a picture")
    name, suffix = found.groups()
    kind = SUFFIX_KINDS[f".{suffix}"] if suffix else None
    if name in ("original", "picture", "preview", "thumbnail"):
        return Variant(kind=Kind(name), name=name, format=kind)
    numbered, wide, exact = (p.fullmatch(name) for p in (_NUMBERED, _WIDE, _EXACT))
    if numbered:
        return Variant(kind=Kind(numbered[1]), name=name, format=kind, number=int(numbered[2]))
    if wide:
        width = int(wide[1])
        if width not in WIDTHS:
            raise unknown(text, "is not one of the widths that are made", _nearest(width))
        return Variant(kind=Kind.WIDE, name=name, format=kind, width=width)
    if exact:
        pixels = Pixels(int(exact[1]), int(exact[2]))
        if pixels not in presets().values() and not {pixels.width, pixels.height} <= set(WIDTHS):
            message = "is not one of the sizes that are made: those of named uses, or two widths"
            raise unknown(text, message, _nearest(pixels.width))
        return Variant(kind=Kind.EXACT, name=name, format=kind, pixels=pixels)
    if name in presets():
        return Variant(kind=Kind.EXACT, name=name, format=kind, pixels=presets()[name])
    raise unknown(text, "is no variant of a picture")


@cache
def presets() -> Mapping[str, Pixels]:
    """Exact pixels by the names of uses, written with hyphens."""
    slugs = {name: re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in uses().by_name}
    return {
        slugs[name]: use.pixels
        for name, use in uses().by_name.items()
        if use.pixels is not None and name.isascii()
    }


def unknown(text: str, message: str, nearest: tuple[str, ...] = ()) -> InvalidRequest:
    """The error for a variant that there is not."""
    usual = nearest or ("original", "picture", "preview", "thumbnail", "w1024")
    shown = "".join(c if c.isprintable() else "?" for c in text[:80])
    return InvalidRequest(
        [Problem(field="variant", value=shown, message=f"{message}.", nearest=usual)],
        remedy="Ask for one of the variants that are named.",
    )


def _nearest(width: int) -> tuple[str, ...]:
    return tuple(f"w{w}" for w in sorted(WIDTHS, key=lambda w: abs(w - width))[:2])

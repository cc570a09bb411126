"""Turns a use in words ("A3 print at 250 dpi", "youtube thumbnail") into exact pixels.

Invariant: a use either gives exact pixels or a problem with the nearest known uses; nothing is
guessed in silence.

Understood, whatever the case: a name of `uses.toml`; `<W>x<H> cm|mm|in`; `web <N>px` (N is the
width) and `web <W>x<H>`; `<W>x<H> px`. Each may carry `at <N> dpi` and `portrait` or
`landscape`, and the words print, paper, poster or format.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from importlib.resources import files

from heliograph.planning import nearest
from heliograph.planning.findings import Findings
from heliograph.planning.load import parse
from heliograph.planning.normalise import as_fraction
from heliograph.planning.rows import CatalogueError, Fact, read
from heliograph.types import Pixels, Request

DPI = (1, 2400)
_PRINT_DPI, _POSTER_DPI = 300, 150  # where neither the words nor the row say
_WEB_RATIO, _WEB_FORMAT, _WEB_QUALITY = "16:9", "webp", 82
_INCH = {"mm": Fraction(10, 254), "cm": Fraction(100, 254), "in": Fraction(1)}

_NUMBER = r"([0-9]{1,5}(?:\.[0-9]{1,3})?)"
_UNIT = r"(mm|cm|in|inch|inches|\")"
_PAPER = re.compile(rf"{_NUMBER} ?{_UNIT}? ?x ?{_NUMBER} ?{_UNIT}")
_EXACT = re.compile(r"(web )?([0-9]{1,6}) ?x ?([0-9]{1,6}) ?(?:px|pixels)?")
_WIDTH = re.compile(r"web ([0-9]{1,6}) ?(?:px|pixels)?")
_AT_DPI = re.compile(r"(?:\bat |@ ?)?\b([0-9]{1,6}) ?(?:dpi|ppi)\b")
_TURN = re.compile(r"\b(portrait|landscape)\b")
_FILLING = re.compile(r"\b(print|printed|paper|poster|format)\b")


@dataclass(frozen=True, kw_only=True)
class Use(Fact):
    """One row of uses.toml: pixels of a screen, or the sides of a print."""

    name: str
    aliases: tuple[str, ...] = ()
    pixels: Pixels | None = None
    mm: Pixels | None = None  # whole millimetres
    inches: tuple[str, ...] = ()  # decimals as text, to stay exact
    dpi: int | None = None
    format: str | None = None
    quality: int | None = None
    max_bytes: int | None = None

    @property
    def sides(self) -> tuple[Fraction, Fraction] | None:
        """The sides of a print in inches."""
        if self.mm:
            return self.mm.width * _INCH["mm"], self.mm.height * _INCH["mm"]
        if self.inches:
            return Fraction(self.inches[0]), Fraction(self.inches[1])
        return None


@dataclass(frozen=True, kw_only=True)
class Uses:
    """The table of named uses."""

    use: tuple[Use, ...]

    @property
    def by_name(self) -> Mapping[str, Use]:
        """Every name and alias."""
        return {name: row for row in self.use for name in (row.name, *row.aliases)}


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What a use asks of the finished file."""

    name: str  # with its orientation when that is said, without dpi
    pixels: Pixels
    inches: tuple[Fraction, Fraction] | None = None
    dpi: int | None = None
    format: str | None = None
    quality: int | None = None
    max_bytes: int | None = None


def load_uses(text: str) -> Uses:
    """Raises CatalogueError when the file contradicts its schema or itself."""
    table = read(Uses, parse(text, "uses.toml"), "uses")
    names = [name for row in table.use for name in (row.name, *row.aliases)]
    wrong = [f"{n!r} is there twice" for n in sorted(set(names)) if names.count(n) > 1]
    for row in table.use:
        if sum((row.pixels is not None, row.mm is not None, bool(row.inches))) != 1:
            wrong.append(f"{row.name}: exactly one of pixels, mm, inches is needed")
        if row.inches and not all(re.fullmatch(_NUMBER, side) for side in row.inches):
            wrong.append(f"{row.name}: inches are decimals as text")
        if row.inches and len(row.inches) != 2:
            wrong.append(f"{row.name}: inches are two sides")
    if wrong:
        raise CatalogueError("; ".join(wrong))
    return table


@cache
def uses() -> Uses:
    """The packaged table, read once."""
    folder = files("heliograph.planning")
    return load_uses(folder.joinpath("uses.toml").read_text(encoding="utf-8"))


def resolve(text: str, aspect: str | None, found: Findings) -> Purpose | None:
    """The purpose that `text` names; a problem when it names none.

    `aspect` is the ratio the caller asked for: it shapes `web Npx`, and turns a print whose
    orientation is not said.
    """
    words = " ".join(text.lower().replace("×", "x").split())
    dpi, rest = _take(_AT_DPI, words)
    if dpi and not DPI[0] <= int(dpi) <= DPI[1]:
        found.problem("use", text, f"dpi must be from {DPI[0]} to {DPI[1]}")
        return None
    purpose = _purpose(rest, int(dpi) if dpi else None, aspect)
    if purpose is None:
        known = uses().by_name
        close = nearest.names(_FILLING.sub("", rest).strip(), {n: u.name for n, u in known.items()})
        found.problem("use", text, "is no known use, paper size or WxH with a unit.", close)
    elif not 0 < purpose.pixels.width < 10**6 or not 0 < purpose.pixels.height < 10**6:
        found.problem("use", text, "needs two sides of 1 to 999999 pixels")
        return None
    return purpose


def for_picture(use: str, picture: Pixels) -> tuple[str, bool]:
    """A use as it is meant for a picture that exists, and whether it is a print.

    A print of which no orientation is said lies the way the picture does.
    """
    silent = Findings(Request(prompt=use))
    purpose = resolve(use, None, silent)
    if purpose is None or purpose.inches is None:
        return use, False
    turned = resolve(use, f"{picture.width}:{picture.height}", silent)
    if turned is None or turned.pixels == purpose.pixels:
        return use, True
    return f"{use} {'landscape' if picture.width > picture.height else 'portrait'}", True


def _purpose(rest: str, dpi: int | None, aspect: str | None) -> Purpose | None:
    known = uses().by_name
    turn, turned = _take(_TURN, rest)
    bare = " ".join(_FILLING.sub(" ", turned).split())
    if rest in known:  # first as it stands: "instagram portrait" is a name
        turn, row = "", known[rest]
    elif row_name := next((n for n in (turned, bare) if n in known), None):
        row = known[row_name]
    else:
        return _generic(bare, dpi, aspect, turn, poster="poster" in rest.split())
    return resolve_row(row, dpi=dpi, turn=turn or ("" if row.pixels else _turn_of(aspect)))


def resolve_row(row: Use, *, dpi: int | None = None, turn: str = "") -> Purpose:
    """What a named use asks for, with its usual dpi and orientation where none is given."""
    if row.sides:
        made = _print(row.name, row.sides, dpi or row.dpi or _PRINT_DPI, turn)
    else:
        made = Purpose(name=row.name, pixels=_turned(row.pixels or Pixels(0, 0), turn), dpi=dpi)
    return replace(made, format=row.format, quality=row.quality, max_bytes=row.max_bytes)


def _generic(
    bare: str, dpi: int | None, aspect: str | None, turn: str, *, poster: bool
) -> Purpose | None:
    """A size in units, in pixels, or a width for the web."""
    if paper := _PAPER.fullmatch(bare):
        first, unit_first, second, unit = paper.groups()
        width = Fraction(first) * _inches_of(unit_first or unit)
        sides = (width, Fraction(second) * _inches_of(unit))
        name = f"{first}x{second} {unit}" if unit_first in (None, unit) else bare
        usual = _POSTER_DPI if poster else _PRINT_DPI
        return _print(name, sides, dpi or usual, turn)
    if exact := _EXACT.fullmatch(bare):
        pixels = _turned(Pixels(int(exact[2]), int(exact[3])), turn)
        made = Purpose(name=bare, pixels=pixels, dpi=dpi)
        return replace(made, format=_WEB_FORMAT, quality=_WEB_QUALITY) if exact[1] else made
    if width_only := _WIDTH.fullmatch(bare):
        wide = int(width_only[1])
        pixels = _turned(Pixels(wide, _rounded(wide / as_fraction(aspect or _WEB_RATIO))), turn)
        return Purpose(name=bare, pixels=pixels, dpi=dpi, format=_WEB_FORMAT, quality=_WEB_QUALITY)
    return None


def _print(name: str, sides: tuple[Fraction, Fraction], dpi: int, turn: str) -> Purpose:
    if turn:
        short, long = sorted(sides)
        sides = (short, long) if turn == "portrait" else (long, short)
    width, height = (_rounded(side * dpi) for side in sides)
    said = f"{name} {turn}".strip()
    return Purpose(name=said, pixels=Pixels(width, height), inches=sides, dpi=dpi)


def _turned(pixels: Pixels, turn: str) -> Pixels:
    if not turn:
        return pixels
    short, long = sorted((pixels.width, pixels.height))
    return Pixels(short, long) if turn == "portrait" else Pixels(long, short)


def _turn_of(aspect: str | None) -> str:
    """The orientation of a ratio, or nothing for a square or an open one."""
    shape = as_fraction(aspect) if aspect else Fraction(1)
    return "" if shape == 1 else "landscape" if shape > 1 else "portrait"


def _take(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    """The first match's word and the text without it."""
    match = pattern.search(text)
    if not match:
        return "", text
    rest = f"{text[: match.start()]} {text[match.end() :]}"
    return match[1], " ".join(rest.split())


def _inches_of(unit: str) -> Fraction:
    return _INCH.get(unit, Fraction(1))


def _rounded(length: Fraction) -> int:
    """To whole pixels, half up; something is never rounded to nothing."""
    return max(1, int(length + Fraction(1, 2))) if length else 0

"""Contact sheets: many pictures on one page, with words below each.

Invariant: a sheet is never larger than what is safe to decode; a picture that cannot be shown
leaves a place that says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyvips

from heliograph.errors import InvalidRequest, Problem
from heliograph.imaging.lettering import ink_width, line_height, set_line
from heliograph.imaging.opening import (
    REFUSALS,
    check_made,
    honest,
    making,
    open_upright,
    pixels_of,
    place,
)
from heliograph.imaging.refusal import MAX_SIDE
from heliograph.imaging.steps.convert import convert
from heliograph.imaging.steps.flatten import flatten
from heliograph.imaging.steps.order import resolve
from heliograph.imaging.steps.resize import resize
from heliograph.ports import Cell
from heliograph.types import ExportSpec, Pixels

CELL = 480  # px, width of a cell and the most a picture measures on it
MAX_COLUMNS = 12
LINES = 3
_GAP, _MARGIN = 32, 48  # px between cells, around the sheet
_TITLE, _FIRST, _OTHER, _BADGE = 36, 19, 17, 17  # px to the em
_WHITE, _PAPER, _INK, _SOFT = (255, 255, 255), (241, 241, 243), (28, 28, 32), (104, 104, 112)
_CAPTION = 10 + line_height(_FIRST) + (LINES - 1) * line_height(_OTHER)
_EMPTY, _BROKEN = "no picture", "cannot be shown"


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Cells side by side, and how high the highest picture among them is."""

    cells: Sequence[Cell]
    pictures: Sequence[Any]
    high: int


def sheet(cells: Sequence[Cell], folder: Path, *, columns: int, title: str) -> Path:
    """Write the sheet as a PNG into `folder`.

    Raises:
        InvalidRequest: no cells, or more than one sheet holds.
        FinishError: it cannot be made.
    """
    check_sheet(len(cells), columns)
    columns = min(columns, len(cells))
    with making("contact sheet"):
        width = columns * (CELL + _GAP) - _GAP
        bands = [_title(title, width)] if title.strip() else []
        starts = range(0, len(cells), columns)
        bands += [_strip(_shown(cells[at : at + columns]), width) for at in starts]
        page = bands[0]
        for band in bands[1:]:
            page = page.join(band, "vertical", shim=_GAP, background=list(_WHITE))
        page = page.embed(
            _MARGIN,
            _MARGIN,
            page.width + 2 * _MARGIN,
            page.height + 2 * _MARGIN,
            extend="background",
            background=list(_WHITE),
        )
        page = page.copy(interpretation="srgb")
        data = bytes(page.pngsave_buffer(compression=6, filter="sub", keep=0))
        check_made(data, pixels_of(page))
        return place(data, folder, "sheet", ".png")


def check_sheet(cells: int, columns: int) -> None:
    """Raises InvalidRequest when so many cells do not go on a sheet with so many columns."""
    problems = []
    if cells < 1:
        problems.append(Problem(field="cells", value="0", message="There is nothing to show."))
    if not 1 <= columns <= MAX_COLUMNS:
        message = f"A sheet has 1 to {MAX_COLUMNS} columns."
        problems.append(Problem(field="columns", value=str(columns), message=message))
    else:
        room = MAX_SIDE - 2 * _MARGIN - line_height(_TITLE)
        most = columns * (room // (CELL + _CAPTION + _GAP))
        if cells > most:
            message = f"At most {most} pictures go on a sheet of {columns} columns."
            problems.append(Problem(field="cells", value=str(cells), message=message))
    if problems:
        raise InvalidRequest(problems)


def _shown(cells: Sequence[Cell]) -> _Row:
    pictures = [_picture(cell) for cell in cells]
    return _Row(cells=cells, pictures=pictures, high=max(p.height for p in pictures))


def _picture(cell: Cell) -> Any:
    """The picture within a cell in three bands, in memory; words where there is none."""
    if cell.picture is None:
        return _words(_EMPTY)
    try:
        picture = open_upright(cell.picture, side=CELL)
        spec = ExportSpec(name="cell", fit_within=CELL, srgb=True)
        order = resolve(spec, pixels_of(picture), "jpeg")
        for step in (resize, convert, flatten):
            picture = step(picture, order)
        picture = picture.colourspace("srgb").cast("uchar").copy_memory()
        honest()
    except REFUSALS:
        return _words(_BROKEN)
    return picture


def _words(text: str) -> Any:
    size = Pixels(CELL, CELL * 9 // 16)
    mask = set_line(text, _FIRST, CELL)
    mask = mask.crop(0, 0, max(1, ink_width(mask)), mask.height)
    left, top = (CELL - mask.width) // 2, (size.height - mask.height) // 2
    return _inked(_plain(size, _PAPER), mask, left, top, _SOFT)


def _strip(row: _Row, width: int) -> Any:
    """One row of the sheet."""
    strip = _plain(Pixels(width, row.high + _CAPTION), _WHITE)
    for index, (cell, picture) in enumerate(zip(row.cells, row.pictures, strict=True)):
        left = index * (CELL + _GAP)
        box = _plain(Pixels(CELL, row.high), _PAPER)
        box = box.insert(picture, (CELL - picture.width) // 2, (row.high - picture.height) // 2)
        strip = strip.insert(_badged(box, cell.badge), left, 0)
        top = row.high + 10
        for number, text in enumerate(cell.lines[:LINES]):
            size, colour = (_OTHER, _SOFT) if number else (_FIRST, _INK)
            strip = _inked(strip, set_line(text, size, CELL), left, top, colour)
            top += line_height(size)
    return strip.copy_memory()


def _badged(box: Any, badge: str | None) -> Any:
    if not badge or not badge.strip():
        return box
    mask = set_line(badge, _BADGE, CELL - 48, bold=True)
    mask = mask.crop(0, 0, max(1, ink_width(mask)), mask.height)
    label = _plain(Pixels(mask.width + 20, mask.height + 4), _INK)
    return box.insert(_inked(label, mask, 10, 2, _WHITE), 10, 10)


def _title(text: str, width: int) -> Any:
    mask = set_line(text, _TITLE, width, bold=True)
    return _inked(_plain(pixels_of(mask), _WHITE), mask, 0, 0, _INK).copy_memory()


def _plain(size: Pixels, colour: tuple[int, int, int]) -> Any:
    return (pyvips.Image.black(size.width, size.height, bands=3) + list(colour)).cast("uchar")


def _inked(page: Any, mask: Any, left: int, top: int, colour: tuple[int, int, int]) -> Any:
    under = page.crop(left, top, mask.width, mask.height)
    ink = _plain(pixels_of(mask), colour)
    return page.insert(mask.ifthenelse(ink, under, blend=True), left, top)

"""Writes a contact sheet: small pictures of the originals, a page, a picture of all.

Invariant: originals are only read, and no file is written over another unless that is asked.
"""

import asyncio
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from heliograph.calls import Shelf
from heliograph.errors import (
    FinishError,
    InvalidRequest,
    Problem,
    RecordNotFound,
    StorageError,
    WouldOverwrite,
)
from heliograph.money import dollars
from heliograph.placing import place
from heliograph.ports import Cell
from heliograph.repaint import is_protected, picture_of
from heliograph.sheets.entry import (
    NO_PICTURE,
    Entry,
    Thumbnail,
    grounding_of,
    one_line,
    short,
    state,
)
from heliograph.sheets.page import html
from heliograph.types import ExportSpec, Record

NAME = "contact-sheet"  # of the files, when a folder is given
MOST = 1000  # records of one sheet; all thumbnails of a page are in memory at once
MOST_COLUMNS = 12
SIDE_BY_SIDE = 4  # originals that are fetched at once
THUMBNAIL = ExportSpec(name="thumbnail", fit_within=512, format="webp")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a contact sheet is made."""

    title: str = "Contact sheet"
    columns: int = 4  # of the PNG; the page has at most as many
    html: bool = True
    png: bool = True
    force: bool = False  # replace files that are there


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The files of a contact sheet."""

    html: Path | None
    png: Path | None


async def make_sheet(
    records: Sequence[Record], destination: str | Path, layout: Layout, shelf: Shelf
) -> Sheet:
    """Write a contact sheet as NAME.html and NAME.png.

    An original that is missing or damaged gets a cell that says so.

    Args:
        records: in the order in which they are shown; one that comes twice is shown once.
        destination: NAME, with or without a suffix, or a folder, which gets `contact-sheet`.

    Raises:
        RecordNotFound: there are no records.
        InvalidRequest: the layout or the name makes no sense.
        WouldOverwrite: a file is there and `force` is not set; nothing was written.
        StorageError: a file cannot be written, or no image worker can be started.
    """
    records = list({record.id: record for record in records}.values())
    _refuse(records, layout)
    page, picture = _targets(Path(destination), str(destination), layout)
    with TemporaryDirectory(prefix="heliograph-") as name:
        folder = Path(name)
        entries = await _entries(records, shelf, folder)
        made: list[tuple[Path, Path]] = []
        if page is not None:
            text = html(entries, title=layout.title, columns=layout.columns, made=datetime.now(UTC))
            source = folder / "page.html"
            await asyncio.to_thread(source.write_text, text, encoding="utf-8")
            made.append((source, page))
        if picture is not None:
            cells = [_cell(entry) for entry in entries]
            title = one_line(layout.title)
            source = await shelf.imager.sheet(cells, folder, columns=layout.columns, title=title)
            made.append((source, picture))
        # only now, so that a sheet that cannot be made leaves nothing half
        for source, target in made:
            await asyncio.to_thread(place, source, target, force=layout.force)
    return Sheet(html=page, png=picture)


async def _entries(records: Sequence[Record], shelf: Shelf, folder: Path) -> list[Entry]:
    gate = asyncio.Semaphore(SIDE_BY_SIDE)
    # all of them end before the folder goes, also when one has failed
    ended = await asyncio.gather(
        *(_entry(record, shelf, folder, gate) for record in records), return_exceptions=True
    )
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return [one for one in ended if isinstance(one, Entry)]


def _refuse(records: Sequence[Record], layout: Layout) -> None:
    if not records:
        raise RecordNotFound(
            "There is no picture to show.",
            remedy="`heliograph images list` shows what there is.",
        )
    problems = []
    if len(records) > MOST:
        message = f"are too many for one sheet; at most {MOST}"
        problems.append(Problem(field="records", value=str(len(records)), message=message))
    if not 1 <= layout.columns <= MOST_COLUMNS:
        message = f"must be from 1 to {MOST_COLUMNS}"
        nearest = ("1" if layout.columns < 1 else str(MOST_COLUMNS),)
        value = str(layout.columns)
        problems.append(Problem(field="columns", value=value, message=message, nearest=nearest))
    if not layout.html and not layout.png:
        message = "and PNG are both left out; one of them has to be made"
        problems.append(Problem(field="html", value="no", message=message))
    if problems:
        raise InvalidRequest(problems)


def _targets(path: Path, given: str, layout: Layout) -> tuple[Path | None, Path | None]:
    """The page and the picture, as far as each is wanted."""
    try:
        if given.endswith(("/", "\\")) or path.is_dir():
            path = path / NAME
        suffix = path.suffix.lower()
        if suffix in (".html", ".htm", ".png"):
            path = path.with_suffix("")
        elif re.fullmatch(r"\.[a-z]{2,5}", suffix):
            message = f"ends in {path.suffix}; a sheet is HTML and PNG"
            raise InvalidRequest(
                [Problem(field="output", value=given, message=message, nearest=(path.stem,))]
            )
        page = path.with_name(f"{path.name}.html") if layout.html else None
        picture = path.with_name(f"{path.name}.png") if layout.png else None
        for target in (page, picture):
            if target and not layout.force and (target.exists() or target.is_symlink()):
                raise WouldOverwrite(
                    f"{target} exists already; nothing was written.",
                    remedy="Choose another name, or allow replacing it with force (CLI: --force).",
                    facts={"path": str(target)},
                )
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{given[:200]!r} is no name for a sheet.",
            why=str(error)[:300],
            remedy="Choose another name or folder.",
        ) from error
    return page, picture


async def _entry(record: Record, shelf: Shelf, folder: Path, gate: asyncio.Semaphore) -> Entry:
    kept = record.result
    if kept is None:
        return Entry(record=record, thumbnail=None, missing=NO_PICTURE.get(record.outcome))
    own = folder / record.id
    own.mkdir()
    try:
        async with gate:
            original = await _seen(record, kept.key, own / "original", shelf)
            small = await shelf.imager.finish(original, THUMBNAIL, own)
            # where originals lie elsewhere, this was a copy of up to 12 MB
            await asyncio.to_thread(shutil.rmtree, own / "original", ignore_errors=True)
            data = await asyncio.to_thread(small.path.read_bytes)
    except RecordNotFound:
        return Entry(record=record, thumbnail=None, missing="The original is missing.")
    except FinishError as error:
        missing = f"The original cannot be shown. {error.why or ''}".strip()
        return Entry(record=record, thumbnail=None, missing=missing)
    thumbnail = Thumbnail(path=small.path, data=data, pixels=small.pixels)
    return Entry(record=record, thumbnail=thumbnail)


async def _seen(record: Record, key: str, scratch: Path, shelf: Shelf) -> Path:
    """The picture as its user sees it."""
    if is_protected(record):
        return await picture_of(record, shelf)
    return await shelf.blobs.local(key, scratch)


def _cell(entry: Entry) -> Cell:
    """Three lines below a picture, which is what there is room for."""
    record = entry.record
    facts = [state(record), dollars(record.cost)]
    if grounding_of(record) is not None:
        # a picture cannot hold the suggestions; the page does
        facts.append("grounded")
    return Cell(
        picture=entry.thumbnail.path if entry.thumbnail else None,
        lines=(
            short(record.prompt),
            " · ".join(facts),
            f"{record.model} · {record.created:%Y-%m-%d} · {record.id[:8]}",
        ),
        badge="simulated" if record.simulated else None,
    )

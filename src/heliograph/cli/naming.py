"""Where finished files go and what they are called.

Invariant: a name is checked before anything is paid for, and nothing is ever written over.
"""

import hashlib
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heliograph.errors import Charged, InvalidRequest, Problem, StorageError, WouldOverwrite
from heliograph.placing import place, refuse_own
from heliograph.types import Export, Record

SLUG_LENGTH = 48
FILLERS = {"a", "an", "the", "of", "on", "at", "in"}
KINDS = ({".jpg", ".jpeg", ".jpe"}, {".tif", ".tiff"}, {".png"}, {".webp"}, {".avif"})
SUFFIXES = {"jpeg": ".jpg", "jpg": ".jpg", "tif": ".tiff"}


@dataclass(frozen=True, kw_only=True)
class Destination:
    """What `--output` means."""

    folder: Path = Path()
    stem: str | None = None  # None makes one from the prompt
    suffix: str = ""
    to_stdout: bool = False

    def numbered(self, number: int | None) -> "Destination":
        """The destination of one of several variations."""
        if number is None or self.stem is None:
            return self
        return replace(self, stem=f"{self.stem}-{number}")


def destination(output: str | None) -> Destination:
    """Read `--output`: a file, a folder, or `-`.

    Raises:
        InvalidRequest: it looks like an option, or names a format that is not made.
    """
    if output is None:
        return Destination()
    if output == "-":
        return Destination(to_stdout=True)
    if output.startswith("-") or "\0" in output or not output.strip():
        raise _problem(output, "is no file name", "./" + output.strip("\0"))
    path = Path(output)
    if output.endswith(("/", "\\")) or (_exists(path) and path.is_dir()):
        return Destination(folder=path)
    suffix = path.suffix
    known = {s for kind in KINDS for s in kind}
    if suffix and suffix.lower() not in known:
        if re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{1,4}", suffix):
            nearest = str(path.with_suffix(".jpg"))
            raise _problem(output, f"{suffix[1:]} is no format that can be written", nearest)
        return Destination(folder=path.parent, stem=path.name)
    return Destination(folder=path.parent, stem=path.stem, suffix=suffix)


def refuse_taken(
    where: Destination, kind: str | None, small: Sequence[str], *, force: bool
) -> None:
    """Before anything is paid for, refuse a name that cannot be written; `place` checks again.

    Args:
        kind: the format of the main file, None for the one that arrives.
        small: which smaller files are made too: "preview", "thumbnail".

    Raises:
        WouldOverwrite: a file is there and `force` is not set.
        StorageError: the folder cannot be written to, or is a library's own.
    """
    _refuse_unwritable(where.folder)
    refuse_library(where)
    if where.stem is None or force:
        return
    suffix = where.suffix or SUFFIXES.get(kind or "jpeg", f".{kind}")
    names = [f"{where.stem}{suffix}", *(f"{where.stem}-{name}.webp" for name in small)]
    for path in (where.folder / name for name in names):
        if _exists(path):
            raise WouldOverwrite(
                f"{path} exists already; nothing was sent.",
                remedy="Choose another name, or add --force to replace it.",
            )


def refuse_library(where: Destination) -> None:
    """Raises StorageError where files would go among what a library keeps for itself."""
    if not where.to_stdout:
        refuse_own(where.folder / f"{where.stem or 'image'}{where.suffix}")


def _refuse_unwritable(folder: Path) -> None:
    existing = folder
    while not _exists(existing) and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise StorageError(
            f"{folder} cannot be written to; nothing was sent.",
            remedy="Choose a folder you may write to.",
        )


def _exists(path: Path) -> bool:
    try:
        return path.is_symlink() or path.exists()
    except (OSError, ValueError) as error:
        raise _problem(str(path)[:60], f"is no usable file name ({error})", "image.jpg") from error


def write_files(
    record: Record,
    original: Path,
    exports: Sequence[Export],
    where: Destination,
    *,
    force: bool,
    cost: int | None = None,
) -> tuple[Export, ...]:
    """Put every finished file where the user wants it; the main file comes first.

    Args:
        cost: micro-dollars that this request cost, where that is not what the record cost.

    Raises:
        StorageError: a file could not be written; the image is kept and paid for.
    """
    if not any(e.name == "export" for e in exports):
        exports = (_untouched(record, original), *exports)
    if where.to_stdout:
        sys.stdout.buffer.write(exports[0].path.read_bytes())
        sys.stdout.buffer.flush()
        return (replace(exports[0], path=Path("-")),)
    stem = where.stem or f"{slug(record.prompt)}-{_mark(record)}"
    try:
        return tuple(_write(export, where, stem, force=force) for export in exports)
    except StorageError as error:
        cost = record.cost if cost is None else cost
        error.record_id = record.id
        error.charged = Charged.YES if cost else Charged.NO
        error.facts |= {"cost_micro": cost, "simulated": record.simulated}
        error.remedy = (
            f"The image is kept: heliograph images export {record.id[:8]} -o another-name. "
            f"{error.remedy or ''}"
        ).strip()
        raise


def slug(prompt: str) -> str:
    """A file name from a prompt: letters and digits of any script, dashes, not too long."""
    cleaned = re.sub(r"\[\[.*?\]\]", " ", unicodedata.normalize("NFKC", prompt))
    words = [w for w in re.findall(r"\w+", cleaned.lower()) if w not in FILLERS]
    name = "-".join(words)
    while len(name.encode()) > SLUG_LENGTH and "-" in name:
        name = name.rpartition("-")[0]
    shortened = name.encode()[:SLUG_LENGTH].decode(errors="ignore")
    return shortened.strip("-_") or "image"


def _write(export: Export, where: Destination, stem: str, *, force: bool) -> Export:
    main = export.name == "export"
    actual = export.path.suffix
    ending = where.suffix if main and same_kind(where.suffix, actual) else actual
    name = stem if main else f"{stem}-{export.name}"
    target = where.folder / f"{name}{ending}"
    if not force and _holds(target, export):
        return replace(export, path=target)  # a repeated request finds its own file
    return replace(export, path=place(export.path, target, force=force))


def _holds(path: Path, export: Export) -> bool:
    """Whether a file has exactly the bytes of an export already."""
    try:
        if not path.is_file() or path.stat().st_size != export.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == export.sha256
    except OSError:
        return False


def _mark(record: Record) -> str:
    # the name goes where the words on the screen do not
    return f"simulated-{record.id[:8]}" if record.simulated else record.id[:8]


def same_kind(wanted: str, actual: str) -> bool:
    """Whether two suffixes stand for the same format."""
    pair = {wanted.lower(), actual.lower()}
    return any(pair <= kind for kind in KINDS)


def _untouched(record: Record, original: Path) -> Export:
    kept = record.result
    if kept is None:
        raise AssertionError("a result without an image")
    return Export(
        name="export",
        path=original,
        sha256=kept.sha256,
        size=kept.size,
        format=kept.format,
        pixels=kept.pixels,
    )


def _problem(output: str, message: str, nearest: str) -> InvalidRequest:
    return InvalidRequest(
        [Problem(field="output", value=output, message=message, nearest=(nearest,))]
    )

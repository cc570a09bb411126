"""Changing a part of a picture: what the model is shown of it, and what is put back afterwards.

Invariant: originals are never touched. What is made here lies under `derived/` and can be made
again from originals at any time, byte for byte, so it may be deleted. Each is made in a folder of
its own and put in place in one step, so that several may make the same at once.
"""

import asyncio
import hashlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from heliograph.calls import Shelf
from heliograph.errors import FinishError, InvalidRequest, Problem, StorageError
from heliograph.imaging import NotAnImage, check_references, ending, read_header, upright_pixels
from heliograph.ports import AreaShape
from heliograph.types import Area, Export, Record, Reference

DERIVED = "derived"
FORGOTTEN = 24 * 3600.0  # seconds after which an unfinished file is nobody's any more


def is_protected(record: Record) -> bool:
    """Whether only a part of a picture was changed, and the rest put back as it was."""
    area = record.request.get("area")
    return isinstance(area, Mapping) and area.get("protect") is True


async def picture_of(record: Record, shelf: Shelf) -> Path:
    """The picture of a record as its user sees it: repainted where only a part was changed.

    Raises:
        RecordNotFound, StorageError: something it is made of is not in the library, or what is
            made cannot be written.
        FinishError: it cannot be made.
    """
    steps = []
    # back to the nearest picture that is there: a session may have hundreds of turns
    while is_protected(record):
        there = await asyncio.to_thread(_is_whole, _target(record, shelf))
        if there:
            seen = _target(record, shelf)
            break
        steps.append(record)
        if record.follows is None:
            seen = await _kept(_area_of(record).get("picture"), record, shelf)
            break
        record = await shelf.books.find(record.follows)
        if any(record.id == step.id for step in steps):
            raise _unusable(record, "it was made of itself")
    else:
        seen = await _original(record, shelf)
    for step in reversed(steps):
        seen = await _put_back(step, seen, shelf)
    return seen


def _target(record: Record, shelf: Shelf) -> Path:
    return _folder(record, shelf) / "protected.png"


def _folder(record: Record, shelf: Shelf) -> Path:
    return shelf.home / DERIVED / record.id


def _area_of(record: Record) -> Mapping[str, Any]:
    area: Mapping[str, Any] = record.request["area"]
    return area


async def _put_back(record: Record, parent: Path, shelf: Shelf) -> Path:
    """Blend what a record's model made into the picture that it was to change."""
    original = await _original(record, shelf)
    area = _area_of(record)
    mask = await _kept(area["mask"], record, shelf) if area.get("mask") else None
    try:
        shape = AreaShape(
            region=tuple(area["region"]) if area.get("region") else None,
            mask=mask,
            feather=int(area.get("feather", 0)),
        )
    except (TypeError, ValueError) as error:
        raise _unusable(record, "its area is none") from error
    target = _target(record, shelf)
    async with _making("protected picture", shelf) as folder:
        try:
            made = await shelf.imager.blend(parent, original, shape, folder)
        except InvalidRequest as error:
            raise FinishError(
                "The protected picture could not be made.",
                why=error.why,
                remedy=f"The original is safe: {original}.",
            ) from error
        await asyncio.to_thread(_place, made, target)
    return target


async def _original(record: Record, shelf: Shelf) -> Path:
    if record.result is None:
        raise _unusable(record, "it has no picture")
    folder = _folder(record, shelf)
    if is_protected(record):
        with _refusals("protected picture", shelf):
            await asyncio.to_thread(_make_folder, folder)
    return await shelf.blobs.local(record.result.key, folder)


async def _kept(facts: object, record: Record, shelf: Shelf) -> Path:
    told = facts if isinstance(facts, Mapping) else {}
    key = told.get("key")
    if not isinstance(key, str):
        raise StorageError(
            "The picture that was changed is not in the library.",
            why=f"{told.get('name')} was not kept, so nothing can be put back from it.",
            remedy="What the model made is safe; go on from it without protect.",
        )
    folder = _folder(record, shelf)
    with _refusals("protected picture", shelf):
        await asyncio.to_thread(_make_folder, folder)
    return await shelf.blobs.local(key, folder)


def _unusable(record: Record, why: str) -> StorageError:
    return StorageError(
        "The picture cannot be put together.",
        why=f"Of version {record.id[:8]} {why}.",
        remedy="What the model made is safe; go on from another version.",
    )


async def protected(record: Record, shelf: Shelf) -> Export:
    """The repainted picture of a record as a finished file.

    Raises:
        StorageError: nothing was put back in it, so it must not pass for one that was; or as
            `picture_of` says.
        FinishError: it cannot be made.
    """
    if not is_protected(record):
        raise StorageError(
            "Nothing was put back in this picture, so it is not given out as a protected one.",
            why=f"Version {record.id[:8]} was made without protect.",
            remedy="The original is safe. Ask for the change again with protect.",
        )
    path = await picture_of(record, shelf)
    with _refusals("protected picture", shelf):
        return await asyncio.to_thread(_described, path)


def _described(path: Path) -> Export:
    header = read_header(path)
    return Export(
        name="protected",
        path=path,
        sha256=_digest(path),
        size=path.stat().st_size,
        format=header.format,
        pixels=header.pixels,
    )


async def kept_picture(record: Record, shelf: Shelf) -> Reference:
    """The picture of a record as its user sees it, as something to be changed.

    Raises:
        RecordNotFound, StorageError, FinishError: as in `picture_of`.
    """
    path = await picture_of(record, shelf)

    def described() -> Reference:
        # made here, or checked when it came: only its header is wanted
        header = read_header(path)
        return Reference(
            source=path,
            media_type=header.media_type,
            pixels=header.pixels,
            size=path.stat().st_size,
            sha256=_digest(path),
            name=path.name,
        )

    with _refusals("picture to change", shelf):
        return await asyncio.to_thread(described)


async def upright(picture: Reference) -> Reference:
    """The same picture with its pixels as it is seen, turned as EXIF says.

    Raises:
        InvalidRequest: it is not what it was when it was checked.
    """
    try:
        pixels = await asyncio.to_thread(upright_pixels, picture.source)
    except (OSError, NotAnImage) as error:
        raise _changed(picture) from error
    return replace(picture, pixels=pixels)


# ---------------------------------------------------------------- marks


async def marked(area: Area, shelf: Shelf, *, strict: bool = False) -> Reference:
    """The picture once more, with the area to change painted in magenta.

    Args:
        strict: see `AreaShape`.

    Raises:
        InvalidRequest: the area does not go with the picture, or the rest of the picture could
            not be put back.
        FinishError, StorageError: it cannot be made or written.
    """
    picture = area.picture
    known = f"{picture.sha256} {area.region} {area.mask and area.mask.sha256} {area.protect}"
    known += " strict" if strict else ""  # one that was refused is not found under another's name
    name = hashlib.sha256(known.encode()).hexdigest()[:32]
    target = shelf.home / DERIVED / "marks" / f"{name}.jpg"
    if not await asyncio.to_thread(_is_whole, target):
        async with _making("marked copy", shelf) as folder:
            shape = AreaShape(
                region=area.region,
                mask=await asyncio.to_thread(_file, area.mask, folder) if area.mask else None,
                feather=area.feather,
                protect=area.protect,
                strict=strict,
            )
            given = await asyncio.to_thread(_file, picture, folder)
            try:
                made = await shelf.imager.mark(given, shape, folder)
            except InvalidRequest as error:
                names = {"base": picture.name, "mask": area.mask.name if area.mask else ""}
                raise InvalidRequest(
                    [_called(p, names) for p in error.problems], remedy=error.remedy
                ) from error
            # it is kept under what the picture held when it was checked
            await asyncio.to_thread(_refuse_changed, picture, given)
            await asyncio.to_thread(_place, made, target)
    (reference,) = await asyncio.to_thread(check_references, [target])
    return reference


def _called(problem: Problem, names: Mapping[str, str]) -> Problem:
    """The problem under the name by which the caller knows the file."""
    return replace(problem, value=names.get(problem.field) or problem.value)


def _file(reference: Reference, folder: Path) -> Path:
    if isinstance(reference.source, Path):
        return reference.source
    path = folder / f"given-{reference.sha256}"
    path.write_bytes(reference.source)
    return path


def _refuse_changed(picture: Reference, path: Path) -> None:
    try:
        found = _digest(path)
    except OSError as error:
        raise _changed(picture) from error
    if found != picture.sha256:
        raise _changed(picture)


def _changed(picture: Reference) -> InvalidRequest:
    message = "changed while it was read; try again."
    return InvalidRequest([Problem(field="base", value=picture.name, message=message)])


# ---------------------------------------------------------------- files


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_whole(path: Path) -> bool:
    """Whether a picture is there from its beginning to its end; a damaged one is made again."""
    try:
        return ending(path).complete
    except OSError:
        return False  # what stands in the way is told when the new one is put in its place


@asynccontextmanager
async def _making(what: str, shelf: Shelf) -> AsyncIterator[Path]:
    """A folder of one's own, where nobody moves away what is being made; gone afterwards."""
    scratch = shelf.home / DERIVED / "making"
    with _refusals(what, shelf):
        folder = await asyncio.to_thread(_own_folder, scratch)
        try:
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _own_folder(scratch: Path) -> Path:
    _make_folder(scratch)
    oldest = time.time() - FORGOTTEN
    for path in scratch.iterdir():
        with suppress(FileNotFoundError):  # another process sweeps as well
            if path.stat().st_mtime < oldest:  # of a process that was killed
                shutil.rmtree(path, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=scratch))


def _place(made: Path, target: Path) -> None:
    """Put a file in place in one step; where another was quicker, theirs does as well."""
    _make_folder(target.parent)
    try:
        made.replace(target)
    except OSError:
        if not _is_whole(target):
            raise


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


@contextmanager
def _refusals(what: str, shelf: Shelf) -> Iterator[None]:
    """What the disk refuses in here is told as an error of the tree."""
    try:
        yield
    except (OSError, NotAnImage) as error:
        raise StorageError(
            f"The {what} could not be written or read.",
            why=f"{error.strerror or error}." if isinstance(error, OSError) else f"{error}.",
            remedy=f"The original is safe. Check {shelf.home / DERIVED}, which may be deleted, "
            "and the disk; then try again.",
        ) from error

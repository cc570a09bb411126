"""The paths below /pictures: who asks, which record, which variant.

    GET /pictures/RECORD/VARIANT[.FORMAT]
    GET /pictures/RECORD/tiles.dzi
    GET /pictures/RECORD/tiles_files/LEVEL/COLUMN_ROW.webp

Invariant: a signature is checked before anything is looked up, and a record before its variant is
looked at; what may not be seen is not there, whatever is asked of it.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from heliograph.accounts import Scope
from heliograph.errors import InvalidRequest, Problem, RecordNotFound
from heliograph.imaging import NotAnImage, upright_pixels
from heliograph.imaging.deepzoom import FORMAT, Pyramid
from heliograph.repaint import is_protected
from heliograph.server.pictures.links import RECORD, SIGNATURE, Target, check_link, host_of
from heliograph.server.pictures.serve import Shown, serve
from heliograph.server.pictures.shelf import Shelf
from heliograph.server.pictures.variant import Kind, Variant, parse, unknown
from heliograph.server.routes import check, guarded
from heliograph.types import KeptImage, Pixels, Record, Role

if TYPE_CHECKING:
    from heliograph.server.caller import Caller
    from heliograph.server.gateway import Gateway

FOLDER = "served"  # below the home folder; may be deleted at any time
DOWNLOAD = "download"  # the parameter that asks to save the file under a name
_LEVEL = re.compile(r"0|[1-9][0-9]?", re.ASCII)
_TILE = re.compile(r"(0|[1-9][0-9]{0,4})_(0|[1-9][0-9]{0,4})\.webp", re.ASCII)
_REMEMBERED = 1000  # pictures whose size, or hash, is not looked up each time


def routes(gateway: "Gateway") -> list[BaseRoute]:
    """The routes of pictures; each takes GET and HEAD."""
    pictures = Pictures(gateway)
    below = "/pictures/{record}"
    return [
        # open, because a signed link needs no key; each checks for itself
        guarded(path, endpoint, methods=["GET"], scope=None)
        for path, endpoint in (
            (f"{below}/tiles.dzi", pictures.description),
            (f"{below}/tiles_files/{{level}}/{{tile}}", pictures.tile),
            (f"{below}/{{variant}}", pictures.variant),
        )
    ]


class Pictures:
    """Answers for pictures of one gateway."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        settings = gateway.settings
        # where there are several workers, one is always left for pictures that are paid for
        self._shelf = Shelf(settings.home / FOLDER, at_once=max(1, settings.workers - 1))
        self._hashes: dict[Path, str] = {}
        self._sizes: dict[str, Pixels] = {}

    async def variant(self, request: Request) -> Response:
        """One variant of a picture."""
        text = request.path_params["variant"]
        record = await self._record(request, text)
        variant = parse(text)
        shown = await self._shown(record, variant)
        wanted = request.query_params.get(DOWNLOAD)
        if wanted is not None:
            shown = replace(shown, name=wanted or shown.name, attachment=True)
        return serve(shown)

    async def description(self, request: Request) -> Response:
        """The description of a picture's deep zoom."""
        record = await self._record(request, "tiles.dzi")
        pyramid = Pyramid(pixels=await self._pixels(record))
        return serve(
            Shown(
                source=pyramid.description.encode(),
                name=f"heliograph-{record.id[:8]}-tiles",
                media_type="application/xml",
                suffix=".dzi",
            )
        )

    async def tile(self, request: Request) -> Response:
        """One tile of a deep zoom; the first of a level makes all of that level."""
        level_text, tile = request.path_params["level"], request.path_params["tile"]
        record = await self._record(request, f"tiles_files/{level_text}/{tile}")
        found = _TILE.fullmatch(tile)
        if found is None or not _LEVEL.fullmatch(level_text):
            raise _no_tile()
        pyramid = Pyramid(pixels=await self._pixels(record))
        level, column, row = int(level_text), int(found[1]), int(found[2])
        if not pyramid.has(level, column, row):
            raise _no_tile()
        source = await self._seen(record)
        name = f"{column}_{row}.{FORMAT}"

        async def make(folder: Path) -> None:
            made = await self._gateway.store.imager.tiles(
                source, pyramid.size(level), folder, side=pyramid.side, overlap=pyramid.overlap
            )
            await asyncio.to_thread(_raise_up, made, folder)

        entry = await self._shelf.entry(record.id, f"level-{level}", make)
        return serve(Shown(source=entry / name, name=f"{record.id[:8]}-{level}-{column}-{row}"))

    # ------------------------------------------------------------ who may see what

    async def _record(self, request: Request, variant: str) -> Record:
        record_id = request.path_params["record"]
        if SIGNATURE in request.query_params:
            return await self._linked(request, record_id, variant)
        check(request.scope, Scope.READ)
        caller: Caller = request.state.caller
        if not RECORD.fullmatch(record_id):
            raise _no_image()
        try:
            record = await self._gateway.record(caller, record_id)
        except RecordNotFound:
            raise _no_image() from None  # the same words, whether it is absent or another's
        others = set(request.query_params) - {DOWNLOAD}
        if others:
            raise InvalidRequest(
                [
                    Problem(field=n[:80], value="", message="is unknown here.")
                    for n in sorted(others)
                ]
            )
        return record

    async def _linked(self, request: Request, record_id: str, variant: str) -> Record:
        base = self._gateway.settings.server_url
        host = host_of(base or f"{request.url.scheme}://{request.headers.get('host', '')}")
        target = Target(record=record_id, variant=variant, method=request.method, host=host)
        check_link(self._gateway, target, request.scope["query_string"].decode("latin-1"))
        books = self._gateway.store.books
        try:
            record = await books.find(record_id)
        except RecordNotFound:
            raise _no_image() from None
        if record.id != record_id or await books.trashed([record_id]):
            raise _no_image()
        return record

    # ------------------------------------------------------------ what is sent

    async def _shown(self, record: Record, variant: Variant) -> Shown:
        name = f"heliograph-{record.id[:8]}"
        if variant.kind is not Kind.ORIGINAL:
            name += f"-{variant.name}"
        if variant.is_kept:
            kept = _kept(record, variant)
            if variant.format is not None and variant.format != kept.format:
                nearest = (f"{variant.name}{_suffix(kept)}", "picture", "preview")
                raise unknown(f"{variant.name}", f"is {kept.format}, as it came", nearest)
            source = await self._gateway.store.blobs.local(kept.key, self._scratch(record))
            return Shown(source=source, name=name, sha256=kept.sha256, size=kept.size)
        source = await self._seen(record)
        if variant.is_untouched:
            sha256 = await self._hash(record, source)
            return Shown(source=source, name=name, sha256=sha256)
        spec = variant.spec(await self._pixels(record))

        async def make(folder: Path) -> None:
            export = await self._gateway.store.imager.finish(source, spec, folder)
            # its name is its hash, so that it need not be computed again
            await asyncio.to_thread(export.path.rename, folder / export.sha256)

        entry = await self._shelf.entry(record.id, f"{variant.name}.{spec.format}", make)
        file = await asyncio.to_thread(_only, entry)
        return Shown(source=file, name=name, sha256=file.name)

    async def _seen(self, record: Record) -> Path:
        """The file of the picture as its user sees it."""
        if record.result is None:
            raise _no_image()
        return await self._gateway.client.picture(record)

    async def _pixels(self, record: Record) -> Pixels:
        """Of the picture as it is seen."""
        if record.id not in self._sizes:
            source = await self._seen(record)
            try:
                pixels = await asyncio.to_thread(upright_pixels, source)
            except (NotAnImage, OSError) as error:
                raise _no_image() from error
            _remember(self._sizes, record.id, pixels)
        return self._sizes[record.id]

    async def _hash(self, record: Record, source: Path) -> str:
        if record.result is not None and not is_protected(record):
            return record.result.sha256
        if source not in self._hashes:
            _remember(self._hashes, source, await asyncio.to_thread(_digest, source))
        return self._hashes[source]

    def _scratch(self, record: Record) -> Path:
        # as `Library.original`: where blobs lie elsewhere, copies come to lie here
        return self._gateway.settings.home / "exports" / record.id


def _kept(record: Record, variant: Variant) -> KeptImage:
    if variant.kind is Kind.ORIGINAL:
        if record.result is None:
            raise _no_image()
        return record.result
    role = Role.EXTRA if variant.kind is Kind.EXTRA else Role.DRAFT
    images: Sequence[KeptImage] = [image for image in record.images if image.role is role]
    if variant.number > len(images):
        raise _no_image()
    return images[variant.number - 1]


def _suffix(kept: KeptImage) -> str:
    return Path(kept.key).suffix


def _only(entry: Path) -> Path:
    """The one file of an entry."""
    try:
        return next(iter(entry.iterdir()))
    except (OSError, StopIteration) as error:
        raise _no_image() from error


def _raise_up(made: Path, folder: Path) -> None:
    for file in made.iterdir():
        file.rename(folder / file.name)
    made.rmdir()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _remember(known: dict[Any, Any], key: object, value: object) -> None:
    while len(known) >= _REMEMBERED:
        del known[next(iter(known))]
    known[key] = value


def _no_image() -> RecordNotFound:
    return RecordNotFound("There is no such image.")


def _no_tile() -> RecordNotFound:
    return RecordNotFound("There is no such tile.")

"""Images: find, show, put into the trash, finish again.

Invariant: nothing is ever removed; what lies in the trash is there for its owner alone, to be
taken out again.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from heliograph.accounts import Scope
from heliograph.errors import FinishError
from heliograph.planning import plan as make_plan
from heliograph.ports import Search
from heliograph.server.native import telling
from heliograph.server.native.asking import finish_of
from heliograph.server.native.conflicts import Conflict, with_what_is_kept
from heliograph.server.native.desk import At, absent, needs
from heliograph.server.native.documents import fails
from heliograph.server.native.paging import cursor_after, place_of
from heliograph.server.native.reading import StrictRoute
from heliograph.server.native.shapes import image as shape
from heliograph.server.native.shapes.plain import Asked, Cursor, Flag, Id, Limit, Looked, Moment
from heliograph.server.native.shapes.wanted import Finish as FinishWanted
from heliograph.server.native.shapes.wanted import ModelId, Pixels, Tag, Use
from heliograph.server.pictures.serve import Shown, serve
from heliograph.types import Export, Request

router = APIRouter(route_class=StrictRoute, tags=["images"])
READ, MANAGE = [needs(Scope.READ)], [needs(Scope.MANAGE)]
ExportId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$", examples=["0a1b2c3d4e5f"])]


class ImageQuery(Looked):
    """Which images; everything that is given must hold."""

    q: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=200,
                pattern=r"^\s*[^\s\x00]+(?:\s+[^\s\x00]+){0,49}\s*$",
                description="Words that all stand in the prompt, whatever their case.",
            ),
        ]
        | None
    ) = None
    model: list[ModelId] = Field(default=[], max_length=20, description="One of these models.")
    size: list[Annotated[str, Field(pattern=r"^(512|[124]K)$")]] = Field(
        default=[], max_length=10, description="One of these size tiers."
    )
    verdict: list[shape.Verdict] = Field(default=[], description="One of these verdicts.")
    outcome: list[str] = Field(
        default=[],
        json_schema_extra={
            "items": {"type": "string", "enum": ["kept", "refused", "quarantined", "unknown"]}
        },
    )
    tag: list[Tag] = Field(default=[], max_length=20, description="All of these tags.")
    session: Id | None = None
    owner: Id | None = Field(default=None, description="A user's; for admins.")
    since: Moment | None = Field(default=None, description="Made then or later.")
    until: Moment | None = Field(default=None, description="Made before.")
    simulated: Flag | None = None
    trashed: Flag = Field(default=False, description="What lies in the trash instead.")
    facets: Flag = Field(default=False, description="Count what there is, too.")
    cursor: Cursor | None = None
    limit: Limit = 20


class ExportWanted(Asked):
    """Files to make of an image again; exactly the original's pixels without anything."""

    pixels: Pixels | None = None
    use: Use | None = None
    finish: FinishWanted | None = None


@router.get("/images", dependencies=READ)
async def list_images(query: Annotated[ImageQuery, Query()], desk: At) -> shape.Images:
    """Your images, newest first; an admin's list has everybody's."""
    words: Mapping[str, Any] = query.model_dump(exclude={"cursor", "limit", "facets"})
    which = f"images {sorted((name, str(value)) for name, value in words.items())}"
    search = Search(
        owner=desk.caller.sees or query.owner,
        words=query.q,
        models=tuple(query.model),
        sizes=tuple(query.size),
        verdicts=tuple(query.verdict),
        outcomes=tuple(query.outcome),
        tags=tuple(query.tag),
        session=query.session,
        since=query.since,
        until=query.until,
        simulated=query.simulated,
        trashed=query.trashed,
        before=place_of(desk.caller, which, query.cursor),
    )
    if query.owner is not None and not desk.sees(query.owner):
        return shape.Images(items=[], next=None, facets=None)
    books = desk.gateway.store.books
    found = await books.search(search, limit=query.limit + 1)
    page = found[: query.limit]
    following = None
    if len(found) > query.limit:
        following = cursor_after(desk.caller, which, (page[-1].created, page[-1].id))
    counts = await books.facets(search) if query.facets else None
    return shape.Images(
        items=[telling.image(desk, each, trashed=query.trashed) for each in page],
        next=following,
        facets=None if counts is None else shape.Facets(**_facets(counts)),
    )


def _facets(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    names = ("model", "size", "verdict", "outcome")
    return {name: {str(k): n for k, n in counts.get(name, {}).items()} for name in names}


@router.get("/images/{image_id}", dependencies=READ)
async def get_image(image_id: Id, desk: At) -> shape.FullImage:
    """One image with its warnings, cost and provenance, and links to its bytes."""
    record = await desk.gateway.record(desk.caller, image_id)
    return telling.full_image(desk, record, await desk.gateway.store.books.lines(record.id))


@router.delete("/images/{image_id}", status_code=204, dependencies=MANAGE)
async def trash_image(image_id: Id, desk: At) -> Response:
    """Put an image into the trash. Nothing is removed; it can be restored."""
    record = await desk.record(image_id)
    await desk.gateway.store.books.trash(record.id, datetime.now(UTC))
    return Response(status_code=204)


@router.post("/images/{image_id}/restore", dependencies=MANAGE)
async def restore_image(image_id: Id, desk: At) -> shape.Image:
    """Take an image out of the trash."""
    record = await desk.record(image_id)
    await desk.gateway.store.books.untrash(record.id)
    return telling.image(desk, record)


@router.post("/images/{image_id}/exports", dependencies=READ, responses=fails(404, 409, 422))
async def export_image(image_id: Id, wanted: ExportWanted, desk: At) -> shape.Exports:
    """Make finished files of an image again, at no cost."""
    record = await desk.gateway.record(desk.caller, image_id)
    options: dict[str, Any] = wanted.model_dump(exclude={"finish"}, exclude_none=True)
    finish, default = finish_of(wanted.finish), desk.gateway.settings.model
    # what no picture can be made into is wrong by itself
    make_plan(Request(prompt="export", **options, finish=finish), default_model=default)
    # what is left to refuse is more than this picture has
    with with_what_is_kept(), _small_enough():
        made = await desk.gateway.client.export(record.id, **options, finish=finish)
    below = f"{telling.PREFIX}/images/{record.id}"
    return shape.Exports(image=record.id, items=[_exported(each, below) for each in made])


@contextmanager
def _small_enough() -> Iterator[None]:
    """How few bytes a picture can have depends on what it shows."""
    try:
        yield
    except FinishError as error:
        if "reached" not in error.facts:
            raise
        raise Conflict(error.what, why=error.why, remedy=error.remedy) from error


def _exported(made: Export, below: str) -> shape.ExportedFile:
    # each way of finishing has a folder of its own, which names it
    return shape.ExportedFile(
        name=made.name,
        format=made.format,
        pixels=shape.Size(width=made.pixels.width, height=made.pixels.height),
        bytes=made.size,
        sha256=made.sha256,
        quality=made.quality,
        link=f"{below}/exports/{made.path.parent.name}",
    )


@router.get(
    "/images/{image_id}/exports/{export_id}",
    response_class=Response,
    dependencies=READ,
    responses={
        200: {
            "description": "The file.",
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def get_export(image_id: Id, export_id: ExportId, desk: At) -> Response:
    """The bytes of a finished file."""
    record = await desk.gateway.record(desk.caller, image_id)
    folder = desk.gateway.store.home / "exports" / record.id / export_id
    files = await asyncio.to_thread(_files, folder)
    if len(files) != 1:
        raise absent("export")
    return serve(Shown(source=files[0], name=f"heliograph-{record.id[:8]}-{export_id}"))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and path.name[:1] != "."]

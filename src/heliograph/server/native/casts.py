"""Casts: kept sets of references, each user's own.

Invariant: a cast that is replaced or removed takes no image with it.
"""

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from heliograph.accounts import Scope
from heliograph.casts import Casts, KeptCast
from heliograph.errors import RecordNotFound
from heliograph.server.native import telling
from heliograph.server.native.asking import references_of
from heliograph.server.native.desk import At, Desk, absent, needs
from heliograph.server.native.documents import fails
from heliograph.server.native.reading import StrictRoute
from heliograph.server.native.shapes import session as shape
from heliograph.server.native.shapes.image import Size
from heliograph.server.native.shapes.plain import Links
from heliograph.server.native.shapes.wanted import Label

router = APIRouter(route_class=StrictRoute, tags=["casts"])
# there is room for -1, -2 …, by which prompts call its images
CastName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,36}$", examples=["hero"])]
READ, MANAGE = [needs(Scope.READ)], [needs(Scope.MANAGE)]


@router.get("/casts", dependencies=READ)
async def list_casts(desk: At) -> shape.Casts:
    """Your casts, by name."""
    return shape.Casts(items=[_told(each) for each in await _casts(desk).list()])


@router.get("/casts/{name}", dependencies=READ)
async def get_cast(name: Label, desk: At) -> shape.Cast:
    """One cast."""
    return _told(await _find(desk, name))


@router.put("/casts/{name}", dependencies=MANAGE, responses=fails(409))
async def put_cast(name: CastName, wanted: shape.CastWanted, desk: At) -> shape.Cast:
    """Keep a set of references under a name, instead of what had it before."""
    references = await references_of(wanted.references, desk)
    kept = await _casts(desk).add(name, references, description=wanted.description, force=True)
    return _told(kept)


@router.delete("/casts/{name}", status_code=204, dependencies=MANAGE)
async def delete_cast(name: Label, desk: At) -> Response:
    """Forget a cast; its images stay."""
    await _find(desk, name)
    await _casts(desk).remove(name)
    return Response(status_code=204)


def _casts(desk: Desk) -> Casts:
    return Casts(desk.gateway.client.store, desk.caller.user.id)


async def _find(desk: Desk, name: str) -> KeptCast:
    try:
        return await _casts(desk).find(name)
    except RecordNotFound:
        raise absent("cast") from None


def _told(kept: KeptCast) -> shape.Cast:
    return shape.Cast(
        name=kept.name,
        description=kept.description,
        references=[
            shape.CastImage(
                role=each.role,
                name=each.label,
                sha256=each.sha256,
                media_type=each.media_type,
                pixels=Size(width=each.pixels.width, height=each.pixels.height),
                bytes=each.size,
            )
            for each in kept.references
        ],
        links=Links(self=f"{telling.PREFIX}/casts/{kept.name}"),
    )

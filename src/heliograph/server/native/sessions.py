"""Sessions: pictures made by conversation, as trees of versions.

Invariant: turns go into the caller's own sessions only, also an admin's.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from heliograph.accounts import Scope, new_id
from heliograph.errors import InvalidRequest, Problem, RecordNotFound
from heliograph.server.native import telling
from heliograph.server.native.asking import options_of, picture_of
from heliograph.server.native.conflicts import decided, inherited, with_what_is_kept
from heliograph.server.native.desk import At, Desk, IdempotencyKey, Prefer, absent, needs
from heliograph.server.native.documents import fails
from heliograph.server.native.jobs import ACCEPTED, REFUSALS, take_on
from heliograph.server.native.reading import StrictRoute
from heliograph.server.native.shapes import image as images
from heliograph.server.native.shapes import session as shape
from heliograph.server.native.shapes.plain import Flag, Id, Limit, Links, Looked, money
from heliograph.server.native.shapes.wanted import KeptPicture, SessionWanted, TurnWanted
from heliograph.sessions import Session
from heliograph.sessions.marks import wrong_name
from heliograph.sessions.tree import SHOWN

router = APIRouter(route_class=StrictRoute, tags=["sessions"])
READ, MANAGE = [needs(Scope.READ)], [needs(Scope.MANAGE)]


class SessionQuery(Looked):
    """Which sessions."""

    q: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")] | None = Field(
        default=None, description="Stands in the name or the first prompt."
    )
    deleted: Flag = Field(default=False, description="Those that were put out of sight instead.")
    limit: Limit = 50


@router.get("/sessions", dependencies=READ)
async def list_sessions(query: Annotated[SessionQuery, Query()], desk: At) -> shape.SessionList:
    """Your sessions, those worked on last first; an admin's list has everybody's."""
    found = await desk.sessions().list(search=query.q, deleted=query.deleted)
    return shape.SessionList(
        items=[
            shape.SessionBrief(
                id=each.id,
                name=each.name,
                turns=each.turns,
                begun=each.begun,
                changed=each.changed,
                cost=money(each.micro),
                last=each.last,
                starred=each.starred,
                deleted=each.deleted,
                links=_links(each.id),
            )
            for each in found[: query.limit]
        ]
    )


@router.post(
    "/sessions",
    status_code=202,
    response_model=images.Job,
    dependencies=[needs(Scope.GENERATE)],
    responses={**ACCEPTED, **fails(*REFUSALS)},
)
async def begin_session(
    wanted: SessionWanted,
    response: Response,
    desk: At,
    *,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> images.Job:
    """Change a picture by words, which begins a session; the image of the job names it."""
    del idempotency_key, prefer
    options = _in_dollars(await options_of(wanted, desk))
    of: Any
    if isinstance(wanted.of, KeptPicture):
        of = (await desk.gateway.record(desk.caller, wanted.of.image)).id
    else:
        of = await picture_of(wanted.of, "of", desk)
    asked = await _before(desk, "POST /sessions")
    goes_on = isinstance(wanted.of, KeptPicture)
    with with_what_is_kept(inherited(wanted) if goes_on else decided(wanted)):
        request = await desk.sessions(own=True).request(
            wanted.prompt, of=of, drop=wanted.drop, options=options
        )
        session = asked.get("session")
        session = session if isinstance(session, str) else await _new_session(desk)
        request = replace(request, session=session)
        return await take_on(desk, request, response, route="POST /sessions")


@router.get("/sessions/{session_id}", dependencies=READ)
async def get_session(session_id: Id, desk: At) -> shape.Session:
    """One session with all its versions."""
    return _told(desk, await desk.sessions().find(session_id))


@router.post(
    "/sessions/{session_id}/turns",
    status_code=202,
    response_model=images.Job,
    dependencies=[needs(Scope.GENERATE)],
    responses={**ACCEPTED, **fails(*REFUSALS)},
)
async def take_turn(
    session_id: Id,
    wanted: TurnWanted,
    response: Response,
    desk: At,
    *,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> images.Job:
    """Change a version by words; what is not said stays as it is in that version."""
    del idempotency_key, prefer
    route = "POST /sessions/{id}/turns"
    options = _in_dollars(await options_of(wanted, desk))
    of = wanted.of
    if of is None:
        # where the session stands has moved on; the same key still means the same turn
        asked = await _before(desk, route)
        follows = asked.get("follows")
        of = follows if asked.get("session") == session_id and isinstance(follows, str) else None
    with with_what_is_kept(inherited(wanted)):
        request = await desk.sessions(own=True).request(
            wanted.prompt, of=of, session=session_id, drop=wanted.drop, options=options
        )
        return await take_on(desk, request, response, route=route)


def _in_dollars(options: dict[str, Any]) -> dict[str, Any]:
    """The options as a session takes them: its limit is dollars, as people write them."""
    micro = options.get("max_cost")
    if micro is None:
        return options
    return {**options, "max_cost": f"{micro // 10**6}.{micro % 10**6:06d}"}


async def _before(desk: Desk, route: str) -> Mapping[str, Any]:
    """The request that an idempotency key stands for already."""
    key = desk.manner.key
    if key is None:
        return {}
    job = await desk.gateway.jobs.holder(desk.caller.user.id, key)
    return job.request or {} if job is not None and job.route == route else {}


async def _new_session(desk: Desk) -> str:
    """The id of a new session: the same for all who ask with one idempotency key at once."""
    key = desk.manner.key
    if key is not None:
        words = f"session\n{desk.caller.user.id}\n{key}"
        same = hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()[:32]
        # a key that has expired begins another one
        if not await desk.gateway.store.books.session(same):
            return same
    return new_id()


@router.patch("/sessions/{session_id}", dependencies=MANAGE, responses=fails(409))
async def mark_session(session_id: Id, marks: shape.Marks, desk: At) -> shape.Session:
    """Name, star or put out of sight a session."""
    return _told(desk, await _marked(desk, session_id, None, marks))


@router.patch(
    "/sessions/{session_id}/versions/{image_id}", dependencies=MANAGE, responses=fails(409)
)
async def mark_version(session_id: Id, image_id: Id, marks: shape.Marks, desk: At) -> shape.Session:
    """Name, star or put out of sight a version."""
    tree = await desk.sessions().find(session_id)
    if image_id not in tree.nodes:
        raise absent("version")
    return _told(desk, await _marked(desk, session_id, image_id, marks))


async def _marked(desk: Desk, session_id: str, version: str | None, marks: shape.Marks) -> Session:
    why = wrong_name((marks.name or "").strip())
    if why is not None:
        problem = Problem(field="name", value=(marks.name or "")[:SHOWN], message=why)
        raise InvalidRequest([problem])
    # what is left to refuse is a name that something else has
    with with_what_is_kept():
        return await desk.sessions().mark(
            session_id, version, name=marks.name, starred=marks.starred, deleted=marks.deleted
        )


@router.post("/sessions/{session_id}/undo", dependencies=MANAGE)
async def undo(session_id: Id, desk: At) -> shape.Session:
    """Go back to the version before; the next turn changes that one."""
    return _told(desk, await desk.sessions().undo(session_id))


@router.post("/sessions/{session_id}/redo", dependencies=MANAGE)
async def redo(session_id: Id, desk: At) -> shape.Session:
    """Go forward again to the version that undo had left."""
    return _told(desk, await desk.sessions().redo(session_id))


@router.post("/sessions/{session_id}/branch", dependencies=MANAGE, responses=fails(409))
async def branch(session_id: Id, to: shape.Branch, desk: At) -> shape.Session:
    """Go to any version; the next turn changes that one."""
    with with_what_is_kept():
        return _told(desk, await desk.sessions().branch(to.version, session=session_id))


def _links(session_id: str) -> Links:
    return Links(self=f"{telling.PREFIX}/sessions/{session_id}")


def _told(desk: Desk, tree: Session) -> shape.Session:
    if not tree.nodes:
        raise RecordNotFound("There is no such session.")
    return shape.Session(
        id=tree.id,
        name=tree.name,
        head=tree.head,
        ahead=list(tree.ahead),
        starred=tree.starred,
        deleted=tree.deleted,
        cost=money(tree.cost),
        versions=[
            shape.Version(
                number=node.number,
                parent=node.parent,
                children=list(node.children),
                name=node.name,
                starred=node.starred,
                deleted=node.deleted,
                image=telling.image(desk, node.record),
            )
            for node in tree.nodes.values()
        ],
        links=_links(tree.id),
    )

"""Prompts by name: each user's own, those of the operator's library, and the starters.

Invariant: a name is never a path; own prompts are cards of their user, no files.
"""

import asyncio
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from heliograph.accounts import Scope
from heliograph.errors import RecordNotFound
from heliograph.prompts import (
    Collection,
    Steps,
    Template,
    count,
    expand,
    parse,
    read_template,
)
from heliograph.server.native import telling
from heliograph.server.native.conflicts import with_what_is_kept
from heliograph.server.native.desk import At, Desk, absent, needs
from heliograph.server.native.documents import fails
from heliograph.server.native.reading import StrictRoute
from heliograph.server.native.shapes import session as shape
from heliograph.server.native.shapes.plain import MOST, Links

router = APIRouter(route_class=StrictRoute, tags=["prompts"])
READ, MANAGE = [needs(Scope.READ)], [needs(Scope.MANAGE)]
YOURS = "yours"
MOST_STEPS = 100_000  # parts and options of all texts of one request: a fraction of a second


@router.get("/prompts", dependencies=READ)
async def list_prompts(desk: At) -> shape.Prompts:
    """Every prompt that you can use, your own first."""
    cards = await desk.gateway.store.cabinet.cards(_kind(desk))
    own = [_read(card.name, dict(card.body)) for card in cards]
    taken = {template.name for template in own}
    shared, _ = Collection(desk.gateway.store.home).all()
    return shape.Prompts(
        items=[
            _told(each) for each in (*own, *(_library(t) for t in shared if t.name not in taken))
        ]
    )


@router.get("/prompts/{name}", dependencies=READ)
async def get_prompt(name: shape.PromptName, desk: At) -> shape.Prompt:
    """One prompt with its text and variables."""
    return _told(await _find(desk, name))


@router.put("/prompts/{name}", dependencies=MANAGE)
async def put_prompt(name: shape.PromptName, wanted: shape.PromptWanted, desk: At) -> shape.Prompt:
    """Keep a prompt under a name, instead of what had it before."""
    body = wanted.model_dump(exclude_none=True, exclude_defaults=True)
    # exclude_defaults leaves out what says nothing; the text is always there
    body["prompt"] = wanted.prompt
    template = _read(name, body)
    cabinet = desk.gateway.store.cabinet
    card = await cabinet.card(_kind(desk), name)
    await cabinet.put(_kind(desk), name, body, version=card.version if card else 0)
    return _told(template)


@router.delete("/prompts/{name}", status_code=204, dependencies=MANAGE)
async def delete_prompt(name: shape.PromptName, desk: At) -> Response:
    """Forget a prompt of yours; one of the same name that came along is seen again."""
    cabinet = desk.gateway.store.cabinet
    if await cabinet.card(_kind(desk), name) is None:
        raise absent("prompt of yours")
    await cabinet.drop(_kind(desk), name)
    return Response(status_code=204)


@router.post("/prompts/{name}/render", dependencies=READ, responses=fails(409))
async def render_prompt(name: shape.PromptName, filling: shape.Filling, desk: At) -> shape.Rendered:
    """Fill in the places of a prompt, and let its wildcards come out. Free."""
    template = await _find(desk, name)
    lists = Collection(desk.gateway.store.home).lists
    seeds = range(filling.seed, filling.seed + filling.number)

    def rendered() -> shape.Rendered:
        tree, steps = parse(template.filled(filling.values)), Steps(MOST_STEPS)
        return shape.Rendered(
            name=name,
            texts=[expand(tree, seed, lists, steps=steps) for seed in seeds],
            ways=min(count(tree, lists, steps=steps), MOST),
        )

    # which values it takes, and which word lists it needs, the prompt says as it is kept now;
    # one at a time and beside the event loop: it is free, and others wait for paid pictures
    with with_what_is_kept():
        async with desk.gateway.free_work:
            return await asyncio.to_thread(rendered)


def _kind(desk: Desk) -> str:
    return f"prompt/{desk.caller.user.id}"


def _read(name: str, body: dict[str, Any]) -> Template:
    return read_template(body, name=name, origin=YOURS)


async def _find(desk: Desk, name: str) -> Template:
    card = await desk.gateway.store.cabinet.card(_kind(desk), name)
    if card is not None:
        return _read(name, dict(card.body))
    collection = Collection(desk.gateway.store.home)
    if name not in collection.names():
        raise absent("prompt")
    try:
        found = collection.find(name)
    except RecordNotFound:
        raise absent("prompt") from None
    return _library(found)


def _library(template: Template) -> Template:
    return replace(template, origin="library") if template.origin == YOURS else template


def _told(template: Template) -> shape.Prompt:
    origin: Any = template.origin
    return shape.Prompt(
        name=template.name,
        origin=origin,
        title=template.title,
        about=template.about,
        tags=list(template.tags),
        aspect=template.aspect,
        text=template.text,
        variables=[
            shape.Variable(
                name=each.name,
                type=each.kind,
                help=each.help,
                default=each.default,
                choices=list(each.choices),
            )
            for each in template.variables
        ],
        links=Links(self=f"{telling.PREFIX}/prompts/{template.name}"),
    )

"""What the library adds to a request before it is planned: earlier turns, casts, kept inputs.

Invariant: nothing is sent. Input images of a session, and pictures of which a part is changed,
are kept by content before their call is made, so that the session can go on from them later.
"""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heliograph.calls import Shelf
from heliograph.errors import InvalidRequest, Problem
from heliograph.imaging import check_references
from heliograph.lineage import chain_of, kept_reference, result_of, turns_of
from heliograph.planning.check import kinds
from heliograph.planning.findings import Findings
from heliograph.repaint import (
    DERIVED,
    is_protected,
    kept_picture,
    marked,
    picture_of,
    upright,
)
from heliograph.storage import blob_key
from heliograph.types import Area, Cast, Given, Material, Plan, Reference, Request

CAST = "cast"  # kind of card
DEFAULT_FEATHER = 32  # px
SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
# a picture made here that is sent once more; larger ones are sent as a smaller copy
SENT_BYTES, SENT_SIDE, SENT_AREA = 12_000_000, 8192, 40_000_000


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """The checked images of a turn in the order in which they are sent, and all the rest."""

    references: tuple[Reference, ...]
    material: Material


def needs_library(request: Request) -> bool:
    """Whether anything of a request has to be looked up or kept."""
    return bool(
        request.casts
        or request.session
        or request.follows
        or request.region is not None
        or request.mask is not None
    )


def checked(request: Request) -> tuple[Reference, ...]:
    """The caller's own images: what is to be changed first, then the references.

    Raises:
        InvalidRequest: lists every unusable one, and every field that is of a wrong kind.
    """
    wrong = Findings(request)
    kinds(request, wrong)
    wrong.raise_problems()
    problems: list[Problem] = []
    found: list[Reference] = []
    if request.base is not None:
        try:
            (base,) = check_references([request.base])
            found.append(replace(base, role="base"))
        except InvalidRequest as error:
            problems += [replace(problem, field="base") for problem in error.problems]
    try:
        sources = [r.source if isinstance(r, Given) else r for r in request.references]
        plain = check_references(sources)
        found += map(_as_given, request.references, plain)
    except InvalidRequest as error:
        problems += error.problems
    if problems:
        raise InvalidRequest(problems)
    return tuple(found)


def _as_given(spelled: Path | bytes | Given, reference: Reference) -> Reference:
    if not isinstance(spelled, Given):
        return reference
    return replace(reference, role=spelled.role, label=spelled.name)


async def gather(request: Request, shelf: Shelf, *, simulated: bool) -> Gathered:
    """Everything a request needs from the library.

    Args:
        simulated: whether the upstream that will be asked is an emulator.

    Raises:
        InvalidRequest: an image, a cast or an area is not usable.
        RecordNotFound: the record to go on from is not there.
    """
    own = await asyncio.to_thread(checked, request)
    if request.session or request.region is not None or request.mask is not None:
        own = tuple(replace(each, key=kept_key(each)) for each in own)
    material = Material()
    before: tuple[Reference, ...] = ()
    if request.follows is not None:
        record = await shelf.books.find(request.follows)
        if record.id != request.follows:
            message = "must be the whole id of a record."
            problem = Problem(field="follows", value=request.follows, message=message)
            raise InvalidRequest([replace(problem, nearest=(record.id,))])
        result_of(record, "follows")
        chain = await chain_of(record, shelf)
        history, notes = await turns_of(chain, request.context, shelf, simulated=simulated)
        before = await _repainted(request.follows, shelf)
        material = Material(history=history, notes=notes)
    casts, images = await _casts(request.casts, cast_kind(request.owner), shelf)
    area = await _area(request, own, shelf)
    marks = () if area is None else (await _mark(area, request, shelf),)
    bases = tuple(r for r in own if r.role == "base")
    others = tuple(r for r in own if r.role != "base")
    return Gathered(
        references=(*before, *bases, *images, *others, *marks),
        material=replace(material, casts=casts, area=area),
    )


async def keep_input(reference: Reference, shelf: Shelf) -> Reference:
    """The same image, kept by the library under its content.

    Raises:
        InvalidRequest: the file changed while it was read.
    """
    key = kept_key(reference)
    if not await shelf.blobs.keys(key):
        scratch = shelf.home / DERIVED / "inputs"
        copy = await asyncio.to_thread(_copy, reference, scratch)
        await shelf.blobs.put(copy, key)
        await asyncio.to_thread(copy.unlink, missing_ok=True)
    source = await shelf.blobs.local(key, shelf.home / DERIVED / "inputs")
    return replace(reference, source=source, key=key)


def kept_key(reference: Reference) -> str:
    """The blob key under which the library keeps an input image."""
    return blob_key(reference.sha256, SUFFIXES[reference.media_type])


async def kept_inputs(plan: Plan, shelf: Shelf) -> Plan:
    """The plan with those of its own images kept that its session, or its area, needs later.

    Raises:
        InvalidRequest: a file changed since it was checked.
    """
    if not any(each.key for each in plan.references) and plan.area is None:
        return plan

    async def kept(reference: Reference) -> Reference:
        return await keep_input(reference, shelf) if reference.key else reference

    area = plan.area
    if area is not None:
        mask = area.mask and await kept(area.mask)
        area = replace(area, picture=await kept(area.picture), mask=mask)
    return replace(plan, references=tuple([await kept(r) for r in plan.references]), area=area)


def _copy(reference: Reference, scratch: Path) -> Path:
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as file:
        if isinstance(reference.source, bytes):
            file.write(reference.source)
        else:
            with reference.source.open("rb") as given:
                shutil.copyfileobj(given, file)
    copy = Path(file.name)
    with copy.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    if digest != reference.sha256:
        copy.unlink()
        message = "changed while it was read; try again."
        raise InvalidRequest([Problem(field="references", value=reference.name, message=message)])
    return copy


async def _repainted(record_id: str, shelf: Shelf) -> tuple[Reference, ...]:
    """The picture as its user sees it, where that is not what the model had made."""
    record = await shelf.books.find(record_id)
    if not is_protected(record):
        return ()
    path = await picture_of(record, shelf)
    folder = path.parent
    fitting = await shelf.imager.fit(
        path, max_bytes=SENT_BYTES, max_side=SENT_SIDE, max_area=SENT_AREA, folder=folder
    )
    (reference,) = await asyncio.to_thread(check_references, [fitting])
    return (replace(reference, role="base"),)


async def _area(request: Request, own: Sequence[Reference], shelf: Shelf) -> Area | None:
    if request.region is None and request.mask is None:
        return None
    if request.follows is not None:
        picture = await kept_picture(await shelf.books.find(request.follows), shelf)
    else:
        picture = next((r for r in own if r.role == "base"), None) or _nothing_to_change(request)
    # planned by what is seen; what is sent of it stays as its header says
    picture = await upright(picture)
    mask = None
    if request.mask is not None:
        try:
            (mask,) = await asyncio.to_thread(check_references, [request.mask])
        except InvalidRequest as error:
            raise InvalidRequest([replace(p, field="mask") for p in error.problems]) from error
        if isinstance(request.mask, bytes):
            mask = replace(mask, name="the mask")
        if mask.media_type != "image/png":
            message = f"is {mask.media_type}; a mask is a PNG, white where the picture may change."
            raise InvalidRequest([Problem(field="mask", value=mask.name, message=message)])
        mask = await keep_input(mask, shelf)
    feather = request.feather
    if feather is None:
        feather = DEFAULT_FEATHER if request.protect else 0
    return Area(
        picture=picture,
        region=request.region,
        mask=mask,
        feather=feather,
        protect=request.protect,
    )


async def _mark(area: Area, request: Request, shelf: Shelf) -> Reference:
    # over the gateway masks come as OpenAI has them, where transparency alone counts
    strict = request.owner is None
    return replace(await marked(area, shelf, strict=strict), role="mark")


def _nothing_to_change(request: Request) -> Reference:
    field = "region" if request.region is not None else "mask"
    message = "needs a picture that is to be changed."
    raise InvalidRequest([Problem(field=field, value="an area", message=message)])


# ---------------------------------------------------------------- casts


def cast_kind(owner: str | None) -> str:
    """Under which kind of card the casts of a gateway's user lie; those of nobody are the
    library's own."""
    return CAST if owner is None else f"{CAST}/{owner}"


async def _casts(
    names: Sequence[str], kind: str, shelf: Shelf
) -> tuple[tuple[Cast, ...], tuple[Reference, ...]]:
    casts, images, problems = [], [], []
    for name in names:
        card = await shelf.cabinet.card(kind, name)
        if card is None:
            known = tuple(c.name for c in await shelf.cabinet.cards(kind))
            problems.append(
                Problem(field="casts", value=name, message="is no kept cast.", nearest=known[:5])
            )
            continue
        casts.append(Cast(name=name, description=str(card.body.get("description", ""))))
        found = await cast_images(card.body, shelf)
        images += found
        if len(found) < len(card.body.get("references", ())):
            message = "has an image that is not in the library any more; add the cast again."
            problems.append(Problem(field="casts", value=name, message=message))
    if problems:
        raise InvalidRequest(problems)
    return tuple(casts), tuple(images)


async def cast_images(body: Any, shelf: Shelf) -> list[Reference]:
    """The images of a cast, as the library keeps them."""
    scratch = shelf.home / DERIVED / "inputs"
    found = [await kept_reference(facts, shelf, scratch) for facts in body.get("references", ())]
    return [reference for reference in found if reference is not None]

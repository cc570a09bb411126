"""From what is asked to a `Request` of the library.

Invariant: every picture that a request names is the caller's own, or comes with it; ids of others
are not there.
"""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliograph.casts import Casts
from heliograph.errors import InvalidRequest, Problem, RecordNotFound
from heliograph.server.faults import UnsupportedMedia
from heliograph.server.native.conflicts import with_what_is_kept
from heliograph.server.native.desk import Desk, absent
from heliograph.server.native.shapes.wanted import Finish as FinishWanted
from heliograph.server.native.shapes.wanted import (
    KeptPicture,
    KeptReference,
    SentPicture,
    SentReference,
    TurnSettings,
    Wanted,
)
from heliograph.types import Anchor, Finish, Given, Request

_PLAIN = (
    *("model", "size", "aspect", "pixels", "use", "system", "temperature", "top_p", "seed"),
    *("safety", "thinking", "include_thoughts", "tier", "ground", "strict", "max_cost"),
    *("allow_downgrade", "fresh", "context", "protect", "feather"),
)
_LISTS = ("tags", "fallback", "casts")


async def options_of(wanted: TurnSettings, desk: Desk) -> dict[str, Any]:
    """What was set, as fields of `Request`.

    Raises:
        RecordNotFound: an image or a cast is not the caller's.
        UnsupportedMedia: a picture that came along is none.
    """
    given = wanted.model_fields_set
    found = {name: getattr(wanted, name) for name in _PLAIN if name in given}
    found |= {name: tuple(getattr(wanted, name)) for name in _LISTS if name in given}
    found = {name: value for name, value in found.items() if value is not None}
    await _casts(wanted.casts, desk)
    if wanted.references:
        found["references"] = await _references(wanted.references, desk)
    if wanted.region is not None:
        found["region"] = tuple(wanted.region)
    if wanted.mask is not None:
        found["mask"] = await _bytes(wanted.mask, "mask")
    if wanted.finish is not None:
        found["finish"] = finish_of(wanted.finish)
    return found


async def request_of(wanted: Wanted, desk: Desk) -> Request:
    """The request.

    Raises:
        RecordNotFound: an image or a session is not the caller's.
        UnsupportedMedia: a picture that came along is none.
    """
    options = await options_of(wanted, desk)
    if wanted.base is not None:
        options["base"] = await picture_of(wanted.base, "base", desk)
    if wanted.follows is not None:
        options["follows"] = (await desk.gateway.record(desk.caller, wanted.follows)).id
    if wanted.session is not None:
        tree = await desk.sessions(own=True).find(wanted.session)
        options["session"] = tree.id
    return Request(prompt=wanted.prompt, **options)


async def picture_of(spelled: KeptPicture | SentPicture, field: str, desk: Desk) -> Path | bytes:
    """An input picture: a file of the library, or the bytes that came."""
    if isinstance(spelled, SentPicture):
        return await _bytes(spelled, field)
    record = await desk.gateway.record(desk.caller, spelled.image)
    with with_what_is_kept():
        return await desk.gateway.client.picture(record)


async def _casts(names: Sequence[str], desk: Desk) -> None:
    kept = Casts(desk.gateway.client.store, desk.caller.user.id)
    for name in dict.fromkeys(names):
        try:
            await kept.find(name)
        except RecordNotFound:
            raise absent("cast") from None


async def _references(
    spelled: Sequence[KeptReference | SentReference], desk: Desk
) -> tuple[Given, ...]:
    return tuple(
        [
            Given(
                source=await picture_of(each, f"references.{n}", desk),
                role=each.role,
                name=each.name,
            )
            for n, each in enumerate(spelled)
        ]
    )


async def references_of(
    spelled: Sequence[KeptReference | SentReference], desk: Desk
) -> tuple[Given, ...]:
    """References, such as those of a cast."""
    return await _references(spelled, desk)


async def _bytes(spelled: SentPicture, field: str) -> bytes:
    try:
        data = await asyncio.to_thread(base64.b64decode, spelled.data, validate=True)
    except binascii.Error as error:
        problem = Problem(field=f"{field}.data", value=spelled.data[:40], message="is no base64.")
        raise InvalidRequest([problem]) from error
    if not data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) and (
        data[:4] != b"RIFF" or data[8:12] != b"WEBP"
    ):
        raise UnsupportedMedia(
            "A picture that came along is none that is taken.",
            why=f"{field} is no PNG, JPEG or WebP by its first bytes.",
            facts={"field": field},
        )
    return data


def finish_of(wanted: FinishWanted | None) -> Finish:
    """How files are to be made."""
    if wanted is None:
        return Finish()
    return Finish(**{**wanted.model_dump(), "anchor": Anchor(wanted.anchor)})

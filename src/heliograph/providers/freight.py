"""How the pictures of one call travel: named by the address of an upload, or inside the request.

The rule is pure, and uploads are free, so no trouble with one can cost money. Invariant: an upload
that fails upstream means inline, and so does a file that the upstream has no more. What does not
fit into one request either way, and a picture that is not what it was on our own disk, are errors,
and they are so before anything that costs money is sent.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from heliograph.errors import (
    Charged,
    CredentialRejected,
    HeliographError,
    InvalidRequest,
    Problem,
    RequestRejected,
    StorageError,
    UpstreamError,
)
from heliograph.providers.files import Files
from heliograph.providers.http import Tell
from heliograph.providers.pool import Place
from heliograph.providers.talk import NO_LINKS
from heliograph.providers.wire import WireReply, WireRequest, weight
from heliograph.types import Plan, Reference

T = TypeVar("T")
MODES = ("auto", "always", "never")
LARGE = 1 << 20  # bytes of a picture whose upload is worth two requests of its own
LIMIT = 100_000_000  # bytes of one request; 100 MB since 2026-01-12 (gemini-api.md 2.2)
ROOM = 90_000_000  # bytes to stay below: what a proxy adds, and the rounding of "MB"
AT_ONCE = 3  # uploads of one call; each holds one chunk in memory

Encode = Callable[[Mapping[str, str]], WireRequest]  # links → request


def to_upload(
    pictures: Sequence[Reference], length: int, *, mode: str, lasts: bool
) -> tuple[Reference, ...]:
    """Which pictures to upload.

    Args:
        pictures: the user's pictures that have no address yet.
        length: bytes of the request with all of these inline.
        mode: one of `MODES`.
        lasts: whether the pictures are likely to be sent again.
    """
    once = {picture.sha256: picture for picture in pictures}
    if mode == "never":
        return ()
    if mode == "always":
        return tuple(once.values())
    times = Counter(picture.sha256 for picture in pictures)
    chosen = [picture for picture in once.values() if lasts and picture.size >= LARGE]
    length -= sum(weight(picture) * times[picture.sha256] for picture in chosen)
    # the largest first: the fewest uploads that make it fit
    for picture in sorted(once.values(), key=lambda p: -weight(p) * times[p.sha256]):
        if length <= ROOM:
            break
        if picture not in chosen:
            chosen.append(picture)
            length -= weight(picture) * times[picture.sha256]
    return tuple(chosen)


class Freight:
    """The pictures of one call, attempt by attempt.

    Args:
        files: the uploads of the upstream; without it everything is inline.
        mode: one of `MODES`.
    """

    def __init__(self, plan: Plan, files: Files | None, mode: str) -> None:
        self._files = files
        self._mode = mode if files is not None else "never"
        self._lasts = bool(plan.request.session or plan.request.casts)
        self._links: Mapping[str, str] = NO_LINKS  # of the attempt on its way
        self._is_gone = False  # the upstream did not have a file that it was said to have

    async def load(
        self, place: Place, tell: Tell, pictures: Sequence[Reference], encode: Encode
    ) -> WireRequest:
        """The request for an attempt at a place, its pictures uploaded there where that pays.

        Raises:
            InvalidRequest: it is too large, and may not be made smaller by uploads.
            UpstreamError, CredentialRejected: it is too large, and an upload failed.
            StorageError: a picture cannot be read, or is not what it was.
        """
        files = self._files
        self._links = NO_LINKS
        trouble: list[HeliographError] = []
        if files is not None and self._mode != "never":
            known = {} if self._is_gone else await files.known(place, pictures)
            unknown = [picture for picture in pictures if picture.sha256 not in known]
            mode = "auto" if self._is_gone else self._mode
            lasts = self._lasts and not self._is_gone
            chosen = to_upload(unknown, encode(known).length, mode=mode, lasts=lasts)
            self._links = {**known, **await _uploaded(files, place, chosen, (tell, trouble))}
        request = encode(self._links)
        if request.length > LIMIT:
            raise trouble[0] if trouble else _too_large(request.length, self._mode)
        return request

    def read(self, wire: WireReply, read: Callable[[WireReply], T]) -> T:
        """What an answer says.

        Raises:
            HeliographError: what `read` raises; a `RequestRejected` whose facts say `gone` when
                the upstream does not have a file any more, which it calls a lack of permission.
        """
        try:
            return read(wire)
        except HeliographError as error:
            if not self._is_about_a_file(error):
                raise
            raise RequestRejected(
                "The upstream does not have a picture any more that was uploaded to it.",
                why=error.why,
                remedy="Ask again: it is sent anew.",
                facts={**error.facts, "gone": True},
            ) from error

    async def mend(self, place: Place, error: HeliographError) -> bool:
        """Whether a file was gone; the next request names none that was uploaded before."""
        if self._files is None or not error.facts.get("gone") or self._is_gone:
            return False
        self._is_gone = True
        await self._files.forget(place, tuple(self._links))
        return True

    def _is_about_a_file(self, error: HeliographError) -> bool:
        """Whether an error names a file of ours: no words are understood, an id is recognised."""
        if error.charged is not Charged.NO or error.facts.get("reasons"):
            return False
        names = {uri.rpartition("/")[2] for uri in self._links.values()}
        return error.facts.get("http_status") in (400, 403, 404) and any(
            name in (error.why or "") for name in names
        )


async def _uploaded(
    files: Files,
    place: Place,
    pictures: Sequence[Reference],
    outlets: tuple[Tell, list[HeliographError]],
) -> dict[str, str]:
    """Addresses of the pictures that could be uploaded; what happened to the others is told.

    Raises:
        StorageError: a picture cannot be read, or is not what it was; inline it would be no better.
    """
    tell, trouble = outlets
    free = asyncio.Semaphore(AT_ONCE)
    found: dict[str, str] = {}
    own: list[StorageError] = []  # collected: out of a task group it would come in a wrapping

    async def upload(picture: Reference) -> None:
        async with free:
            if own:
                return
            try:
                found[picture.sha256] = await files.upload(place, picture, tell)
            except StorageError as error:
                own.append(error)
            except (UpstreamError, CredentialRejected) as error:
                trouble.append(error)
                facts = {"error": error.code, "what": error.what, "why": error.why}
                project = {"picture": picture.sha256, "project": place.project}
                tell("upload failed", {**facts, **project})

    async with asyncio.TaskGroup() as group:
        for picture in pictures:
            group.create_task(upload(picture))
    if own:
        raise own[0]
    return found


def _too_large(length: int, mode: str) -> InvalidRequest:
    problem = Problem(
        field="references",
        value=f"{length} bytes",
        message=f"is more than the {LIMIT} bytes that one request may have.",
    )
    remedy = "Let large pictures be uploaded (files=auto), or send fewer or smaller ones."
    return InvalidRequest([problem], remedy=remedy if mode == "never" else None)

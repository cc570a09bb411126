"""Reply → Looked: what the images of an answer turned out to be.

Invariant: an image counts as one only after its header was read and its bytes were decoded or
walked to the end; what is broken is kept aside with its defect, never dropped.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heliograph.errors import StorageError
from heliograph.imaging import NotAnImage, ending, judge, read_header
from heliograph.ports import Imager, Inspection
from heliograph.types import Header, Image, Plan, Reply, ReplyImage, Role, Verdict


@dataclass(frozen=True, kw_only=True)
class Broken:
    """An image of an answer whose bytes are no intact image."""

    part: ReplyImage
    defect: str


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What the images of an answer turned out to be."""

    images: tuple[Image, ...]
    broken: tuple[Broken, ...]
    tailed: tuple[ReplyImage, ...] = ()  # as they came, with bytes behind the picture

    @property
    def result(self) -> Image | None:
        return next((i for i in self.images if i.role is Role.RESULT), None)


async def look(reply: Reply, plan: Plan, imager: Imager) -> Looked:
    """Check every image: type and size from its header, wholeness by decoding it."""
    finals = [part for part in reply.images if not part.thought]
    if reply.salvaged:
        # a picture that was cut is not the result when a whole one came before it
        finals = [part for part in finals if part.defect is None]
    images: list[Image] = []
    broken: list[Broken] = []
    for part in reply.images:
        role = Role.DRAFT if part.thought else Role.EXTRA
        if finals and part is finals[-1]:
            role = Role.RESULT
        checked = await _look_at(part, role, plan, imager)
        if isinstance(checked, Image):
            images.append(checked)
        else:
            broken.append(checked)
    came = {image.received for image in images}
    tailed = tuple(part for part in reply.images if part.sha256 in came)
    return Looked(images=tuple(images), broken=tuple(broken), tailed=tailed)


async def _look_at(part: ReplyImage, role: Role, plan: Plan, imager: Imager) -> Image | Broken:
    if part.defect is not None:
        return Broken(part=part, defect=part.defect)
    try:
        header = await asyncio.to_thread(read_header, part.path)
    except NotAnImage as error:
        return Broken(part=part, defect=str(error))
    if role is Role.DRAFT:
        # drafts are kept for the curious; nobody pays for them or relies on them
        return _image(part, header, role, Verdict.UNASKED, [])
    try:
        found = await imager.inspect(part.path)
    except StorageError as error:
        # no word on the picture itself: fall back on what its structure tells
        found = await asyncio.to_thread(_walked, part.path)
        warnings = [f"It could not be decoded for checking: {error}"]
    else:
        warnings = []
    if not found.intact:
        return Broken(part=part, defect=found.defect or "it does not decode")
    received = None
    if found.trailing:
        warnings.append(
            f"{found.trailing} bytes stood after the end of the image; they were cut off, and the "
            "file as it came lies in quarantine."
        )
        received = part.sha256
        part = await asyncio.to_thread(_without_tail, part, found.trailing)
    judgement = judge(header.pixels, plan)
    image = _image(part, header, role, judgement.verdict, [*judgement.warnings, *warnings])
    return replace(image, returned_size=judgement.returned_size, received=received)


def _without_tail(part: ReplyImage, trailing: int) -> ReplyImage:
    """The picture alone: what stands behind it may be anything, and must not be passed on."""
    data = part.path.read_bytes()[: part.size - trailing]
    path = part.path.with_name(f"{part.path.name}.cut")
    path.write_bytes(data)
    return replace(part, path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def _walked(path: Path) -> Inspection:
    end = ending(path)
    return Inspection(intact=end.complete, defect=end.defect, pixels=None, trailing=end.trailing)


def _image(
    part: ReplyImage, header: Header, role: Role, verdict: Verdict, warnings: Sequence[str]
) -> Image:
    return Image(
        path=part.path,
        sha256=part.sha256,
        size=part.size,
        header=header,
        role=role,
        verdict=verdict,
        warnings=tuple(warnings),
        signature=part.signature,
    )

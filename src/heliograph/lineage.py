"""The turns that led to a picture, and as much of them as goes back upstream.

Invariant: a turn goes back from what the library keeps, byte for byte, or not at all; thoughts
never do. Nothing here is sent or written.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from heliograph.calls import Shelf
from heliograph.errors import InvalidRequest, Problem, StorageError
from heliograph.journal import Stage
from heliograph.planning.inputs import CONTEXT
from heliograph.planning.wording import NAME
from heliograph.types import (
    ROLES,
    Cast,
    KeptImage,
    Part,
    Pixels,
    Record,
    Reference,
    Said,
    Signature,
    Turn,
)

DEFAULT_CONTEXT = "lineage"
_PIXELS = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")
_KEY = re.compile(r"sha256/[0-9a-f]{2}/([0-9a-f]{64})\.[a-z0-9]{1,8}")
_MEDIA_TYPE = re.compile(r"image/[a-z0-9.+-]{1,60}")


async def chain_of(record: Record, shelf: Shelf) -> tuple[Record, ...]:
    """The records from the first turn to this one, along the pictures that were changed.

    Raises:
        RecordNotFound: one of them is not in the library.
        StorageError: they lead in a circle.
    """
    inside: dict[str, Record] = {}
    if record.session is not None and record.follows is not None:
        # all at once: a session may have thousands of turns
        inside = {each.id: each for each in await shelf.books.session(record.session)}
    chain = [record]
    seen = {record.id}
    while chain[-1].follows is not None:
        follows = chain[-1].follows
        before = inside.get(follows) or await shelf.books.find(follows)
        if before.id in seen:
            raise StorageError(
                f"The turns before {record.id[:8]} lead in a circle.",
                why=f"{before.id[:8]} comes up twice.",
                remedy="Begin a new session from the picture: heliograph edit PICTURE …",
            )
        seen.add(before.id)
        chain.append(before)
    return tuple(reversed(chain))


async def turns_of(
    chain: Sequence[Record], context: str | None, shelf: Shelf, *, simulated: bool
) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """What of a chain of records goes back, and what could not be had.

    Args:
        context: "all" gives every turn as it came; "lineage" every input image and the last
            picture; "last-N" the last N pictures, with the input images of their turns. Words
            of the user always go back.
        simulated: whether the upstream that is asked now is an emulator.
    """
    # one that is no policy is refused with all other problems of the request
    policy = DEFAULT_CONTEXT
    if isinstance(context, str) and CONTEXT.fullmatch(context):
        policy = context
    whole = policy == "all"
    answers = len(chain) if whole else 1
    if policy.startswith("last-"):
        answers = min(int(policy.removeprefix("last-")), len(chain))
    inputs = answers if policy.startswith("last-") else len(chain)
    scratch = shelf.home / "derived" / "inputs"
    turns, lost = [], 0
    for place, record in enumerate(chain):
        back = len(chain) - place  # 1 is the turn before the one to come
        references: list[Reference] = []
        if back <= inputs:
            for facts in _described(record.request.get("references")):
                found = await _reference(facts, shelf, scratch)
                if found is not None:
                    references.append(found)
                elif facts.get("role") not in ("mark", "base"):
                    lost += 1
        parts = await _answer(record, shelf, scratch, whole=whole) if back <= answers else ()
        is_told = whole and back == 1 and lost == 0 and all(map(_was_told_whole, chain))
        remote, project = await _remote(record, shelf) if is_told else (None, None)
        turns.append(
            Turn(
                record=record.id,
                words=_sendable(record.prompt),
                prompt=_sendable(record.prompt),
                casts=_told(record),
                references=tuple(references),
                layout=_layout(record),
                answer=parts,
                model=record.model,
                signed=record.simulated is simulated and _is_signed(parts),
                remote=remote,
                project=project,
            )
        )
    some = "1 input image" if lost == 1 else f"{lost} input images"
    notes = (f"Without {some} of earlier turns: what is not given in a session is not kept.",)
    return tuple(turns), notes if lost else ()


def _described(references: object) -> tuple[Mapping[str, Any], ...]:
    """What a record says of its input images; whatever else may stand there is left out."""
    listed = references if isinstance(references, list | tuple) else ()
    return tuple(facts for facts in listed if isinstance(facts, Mapping))


def _sendable(text: object) -> str:
    """A text as far as it can be sent."""
    said = text if isinstance(text, str) else ""
    return said if _is_sendable(said) else said.encode("utf-8", "replace").decode()


def _is_sendable(text: object) -> bool:
    """Whether it is text that has a UTF-8 form; half a surrogate pair has none."""
    return isinstance(text, str) and not any("\ud800" <= letter <= "\udfff" for letter in text)


async def kept_reference(facts: object, shelf: Shelf, scratch: Path) -> Reference | None:
    """An image that the library keeps, from what a record says of it.

    Returns:
        None when it is not kept, or what is said of it makes no sense.
    """
    if not isinstance(facts, Mapping):
        return None
    key, media_type, name = facts.get("key"), facts.get("media_type"), facts.get("name")
    size = _PIXELS.fullmatch(str(facts.get("pixels")))
    named = _KEY.fullmatch(key) if isinstance(key, str) else None
    if named is None or size is None or named[1] != facts.get("sha256"):
        return None
    if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):
        return None
    if not await shelf.blobs.keys(named[0]):
        return None
    path = await shelf.blobs.local(named[0], scratch)
    role, label = facts.get("role"), facts.get("label")
    return Reference(
        source=path,
        media_type=media_type,
        pixels=Pixels(int(size[1]), int(size[2])),
        size=path.stat().st_size,
        sha256=named[1],
        name=name if isinstance(name, str) else path.name,
        role=role if role in (*ROLES, "base", "mark") else None,
        label=label if isinstance(label, str) and NAME.fullmatch(label) else None,
        key=named[0],
    )


async def _reference(facts: Mapping[str, Any], shelf: Shelf, scratch: Path) -> Reference | None:
    """An input image as it goes back; where to change what was told once, and is over."""
    if facts.get("role") == "mark":
        return None
    return await kept_reference(facts, shelf, scratch)


async def _answer(record: Record, shelf: Shelf, scratch: Path, *, whole: bool) -> tuple[Part, ...]:
    """The model's turn, or of it the picture alone with its signature."""
    images = {image.sha256: image for image in record.images}
    result = record.result
    parts = []
    # text that cannot be sent breaks the turn; then the picture goes back alone
    whole = whole and all(_is_sendable(kept["text"]) for kept in record.turn if "text" in kept)
    for kept in record.turn:
        image = images.get(str(kept.get("image")))
        if not whole and (image is None or image is not result):
            continue
        signature = await _signature(kept.get("signature"), shelf, scratch)
        if image is not None:
            reference = await _picture(image, record, shelf, scratch)
            parts.append(Part(image=reference, signature=signature))
        elif "text" in kept:
            parts.append(Part(text=kept["text"], signature=signature))
    if result is not None and not any(part.image for part in parts):
        # records of answers that broke off have no turn; the picture itself goes back
        parts.append(Part(image=await _picture(result, record, shelf, scratch)))
    return tuple(parts)


async def _picture(image: KeptImage, record: Record, shelf: Shelf, scratch: Path) -> Reference:
    path = await shelf.blobs.local(image.key, scratch)
    return Reference(
        source=path,
        media_type=image.media_type,
        pixels=image.pixels,
        size=path.stat().st_size,
        sha256=image.sha256,
        name=f"{record.id[:8]}{Path(image.key).suffix}",
        key=image.key,
    )


async def _signature(key: object, shelf: Shelf, scratch: Path) -> Signature | None:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        return None
    path = await shelf.blobs.local(key, scratch)
    return Signature(path=path, size=path.stat().st_size, sha256=Path(key).stem)


def _is_signed(parts: Sequence[Part]) -> bool:
    """Every image carries a signature, and so does the first text (gemini-api.md section 4)."""
    images = [part for part in parts if part.image is not None]
    texts = [part for part in parts if part.text is not None][:1]
    return bool(images) and all(part.signature is not None for part in (*images, *texts))


def _told(record: Record) -> tuple[Cast, ...]:
    """What the model was told of the casts of a turn."""
    told = record.request.get("told")
    return tuple(
        Cast(name=_sendable(each.get("name")), description=_sendable(each.get("description")))
        for each in (told if isinstance(told, list | tuple) else ())
        if isinstance(each, Mapping)
    )


def _layout(record: Record) -> tuple[Said, ...]:
    """The order of what was said in a turn; nothing where its record does not say it well."""
    listed = record.request.get("layout")
    said = []
    for each in listed if isinstance(listed, list | tuple) else ():
        facts = each if isinstance(each, Mapping) else {}
        text, sha256 = facts.get("text"), facts.get("sha256")
        if isinstance(text, str) and sha256 is None:
            said.append(Said(text=_sendable(text)))
        elif isinstance(sha256, str) and text is None:
            said.append(Said(sha256=sha256))
        else:
            return ()
    return tuple(said)


def _was_told_whole(record: Record) -> bool:
    """Whether the upstream knows of a turn just what goes back of it: then its memory will do."""
    begins = record.follows is None or record.request.get("context") == "all"
    return begins and record.request.get("area") is None


async def _remote(record: Record, shelf: Shelf) -> tuple[str | None, str | None]:
    """Where the upstream itself keeps the talk up to here."""
    calls = await shelf.journal.calls(stages=(Stage.SETTLED,), job=record.id, limit=1)
    for call in calls:
        if call.transport == "interactions" and call.remote:
            return call.remote, call.project
    return None, None


def result_of(record: Record, field: str) -> KeptImage:
    """The picture of a record.

    Raises:
        InvalidRequest: it has none.
    """
    if record.result is not None:
        return record.result
    problem = Problem(
        field=field,
        value=record.id[:8],
        message=f"has no picture: the call ended as {record.outcome.value}.",
    )
    raise InvalidRequest([problem])

"""Answers as the turns of a talk, the way a library keeps them."""

import hashlib
from pathlib import Path

from heliograph.types import Part, Pixels, Plan, Reference, Reply, Signature, Turn


def picture(source: Path | bytes, name: str = "picture.jpg", kind: str = "image/jpeg") -> Reference:
    data = source if isinstance(source, bytes) else source.read_bytes()
    return Reference(
        source=source,
        media_type=kind,
        pixels=Pixels(8, 8),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        name=name,
    )


def signature(path: Path, text: bytes) -> Signature:
    path.write_bytes(text)
    return Signature(path=path, size=len(text), sha256=hashlib.sha256(text).hexdigest())


def turn_of(
    plan: Plan,
    reply: Reply,
    *,
    pictures_only: bool = False,
    remote: str | None = None,
    project: str | None = None,
) -> Turn:
    """A turn that goes back as it came, thoughts left out."""
    parts = {
        image.position: Part(image=picture(image.path), signature=image.signature)
        for image in reply.images
        if not image.thought
    }
    parts |= {
        text.position: Part(text=text.text, signature=text.signature)
        for text in reply.texts
        if not text.thought and not pictures_only
    }
    return Turn(
        record=reply.response_id or "r",
        words=plan.text,
        references=plan.references,
        answer=tuple(parts[position] for position in sorted(parts)),
        model=plan.model,
        signed=True,
        remote=remote,
        project=project,
    )

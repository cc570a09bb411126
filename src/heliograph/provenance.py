"""What is written down about a call: Plan, Reply, images and settlement in, Record out. Pure.

Invariant: a record holds everything needed to explain the picture and its price years later,
and never a key or the bytes of a reference (those are named by SHA-256).
"""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from heliograph.journal import CallEntry
from heliograph.storage import blob_key
from heliograph.types import (
    Image,
    KeptImage,
    Outcome,
    Plan,
    Record,
    Reference,
    Reply,
    ReplyImage,
    ReplyText,
    Role,
    Signature,
    Verdict,
)


def record_of(
    call: CallEntry,
    plan: Plan,
    reply: Reply | None,
    images: Sequence[Image],
    *,
    outcome: Outcome,
    cost: int,
    warnings: Sequence[str],
) -> Record:
    """The record of a call; without a reply nothing is known but what was sent."""
    result = next((i for i in images if i.role is Role.RESULT), None)
    verdict: Verdict | None = result.verdict if result else None
    return Record(
        id=call.job,
        # when it began, so that whoever finishes it writes the same record
        created=call.begun,
        outcome=outcome,
        prompt=plan.request.prompt,
        model=plan.model,
        size=plan.size,
        aspect=plan.aspect,
        tier=plan.tier,
        verdict=verdict,
        images=tuple(_kept(i) for i in images),
        cost=cost,
        estimate=plan.estimate,
        simulated=call.simulated,
        upstream=call.upstream,
        request=request_facts(plan),
        usage=plain(reply.usage) if reply and reply.usage else {},
        grounding=plain(reply.grounding) if reply and reply.grounding else {},
        timing=plain(reply.timing) if reply else {},
        texts=tuple(t.text for t in reply.texts if not t.thought) if reply else (),
        turn=_turn(reply, images) if reply else (),
        warnings=tuple(warnings),
        finish_reason=(reply.block_reason or reply.finish_reason) if reply else None,
        model_version=reply.model_version if reply else None,
        response_id=reply.response_id if reply else None,
        attempts=reply.attempts if reply else 1,
        parents=tuple(r.sha256 for r in plan.references if r.role != "mark"),
        session=plan.request.session,
        follows=plan.request.follows,
        owner=plan.request.owner,
    )


def request_facts(plan: Plan) -> Mapping[str, Any]:
    """The normalised request as JSON-ready values, references by SHA-256.

    "words" is the text that was sent, where it is not the prompt itself; "history" names the
    records of the turns that went back, with the SHA-256 of their images.
    """
    facts = {k: v for k, v in plain(plan.request).items() if not _is_nothing(v)}
    for name in ("base", "mask", "region", "verbatim"):
        facts.pop(name, None)  # told by references and area
    facts["finish"] = {k: v for k, v in facts["finish"].items() if not _is_nothing(v)}
    facts["references"] = [_reference_facts(r) for r in plan.references]
    if plan.text != plan.request.prompt:
        facts["words"] = plan.text
    if plan.casts:
        facts["told"] = [{"name": c.name, "description": c.description} for c in plan.casts]
    if plan.history:
        facts["history"] = [
            {
                "record": turn.record,
                "images": [
                    *(r.sha256 for r in turn.references),
                    *(p.image.sha256 for p in turn.answer if p.image),
                ],
            }
            for turn in plan.history
        ]
    if plan.area is not None:
        area = {
            "picture": _reference_facts(plan.area.picture),
            "region": plan.area.region and list(plan.area.region),
            "mask": plan.area.mask and _reference_facts(plan.area.mask),
            "feather": plan.area.feather,
            "protect": plan.area.protect,
        }
        facts["area"] = {k: v for k, v in area.items() if not _is_nothing(v)}
    return facts


def _is_nothing(value: Any) -> bool:
    """Whether nothing was said; a seed or a temperature of 0 is something."""
    return value is None or value is False or value in ({}, [])


def _reference_facts(reference: Reference) -> dict[str, Any]:
    facts = {
        "sha256": reference.sha256,
        "name": reference.name,
        "media_type": reference.media_type,
        "pixels": str(reference.pixels),
        "size": reference.size,
    }
    more = {"role": reference.role, "label": reference.label, "key": reference.key}
    return facts | {k: v for k, v in more.items() if v is not None}


def files_of(images: Sequence[Image], reply: Reply) -> dict[str, Path]:
    """Every file to keep of an answer, by blob key."""
    files = {blob_key(i.sha256, i.header.suffix): i.path for i in images}
    for part in _parts(reply):
        if part.signature:
            files[_signature_key(part.signature)] = part.signature.path
    return files


def answer_key(record_id: str) -> str:
    """Blob key of a record's answer as it came, where it is kept."""
    return f"answers/{record_id}.json"


def answer_document(images: Sequence[Image], reply: Reply) -> Mapping[str, Any] | None:
    """The answer as it came: its text, and the blob keys of the strings that were taken out.

    None when one of them is not kept, as of an image that arrived damaged.
    """
    if reply.answered is None:
        return None
    keys = {i.received or i.sha256: blob_key(i.sha256, i.header.suffix) for i in images}
    for part in _parts(reply):
        if part.signature:
            keys[part.signature.sha256] = _signature_key(part.signature)
    strings = {name: keys.get(digest) for name, digest in reply.answered.strings.items()}
    if not all(strings.values()):
        return None
    return {"skeleton": reply.answered.skeleton, "strings": strings}


def _turn(reply: Reply, images: Sequence[Image]) -> tuple[Mapping[str, Any], ...]:
    kept = {image.received: image.sha256 for image in images if image.received}
    spoken = (part for part in _parts(reply) if not part.thought)
    in_order = sorted(spoken, key=lambda part: part.position)
    return tuple(_part_facts(part, kept) for part in in_order)


def _part_facts(part: ReplyImage | ReplyText, kept: Mapping[str, str]) -> Mapping[str, Any]:
    if isinstance(part, ReplyText):
        facts = {"text": part.text}
    else:
        facts = {"image": kept.get(part.sha256, part.sha256)}
    if part.signature:
        facts["signature"] = _signature_key(part.signature)
    return facts


def _parts(reply: Reply) -> tuple[ReplyImage | ReplyText, ...]:
    return (*reply.images, *reply.texts)


def _signature_key(signature: Signature) -> str:
    return blob_key(signature.sha256, ".sig")


def plain(value: Any) -> Any:
    """A dataclass as JSON-ready values."""
    if is_dataclass(value):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return str(value) if isinstance(value, Path) else value


def _kept(image: Image) -> KeptImage:
    return KeptImage(
        sha256=image.sha256,
        key=blob_key(image.sha256, image.header.suffix),
        role=image.role,
        format=image.header.format,
        media_type=image.header.media_type,
        pixels=image.header.pixels,
        size=image.size,
        verdict=image.verdict,
        signature_key=_signature_key(image.signature) if image.signature else None,
    )

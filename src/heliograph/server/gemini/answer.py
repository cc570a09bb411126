"""What Google answered, whole: the text as it came, and the files that stood in it.

Invariant: parts, their order and their signatures are Google's own; only a record without a kept
answer is told from its own fields, and then nothing is made up.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from heliograph.errors import HeliographError, RecordNotFound, StorageError
from heliograph.ports import Blobs
from heliograph.provenance import answer_key
from heliograph.types import KeptImage, Record, Role

SIGNATURE = ".sig"  # how the blob keys of signatures end


@dataclass(frozen=True, kw_only=True)
class AnswerPart:
    """A long string of an answer."""

    key: str  # blob key
    kind: str  # "image", sent as base64, or "signature", sent as it lies there


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer of generateContent or streamGenerateContent."""

    events: tuple[Mapping[str, Any], ...]  # one, or those of a stream
    parts: Mapping[str, AnswerPart]  # by the placeholder that stands for it in the events


class Shelf(Protocol):
    """Where answers are kept."""

    @property
    def blobs(self) -> Blobs: ...


async def answer_of(record: Record, shelf: Shelf, error: HeliographError | None = None) -> Answer:
    """The answer that a record is of.

    Args:
        error: the refusal, where the answer had no picture.

    Raises:
        StorageError: what is kept of it is damaged.
    """
    try:
        kept = await shelf.blobs.read(answer_key(record.id))
    except RecordNotFound:
        return told(record, error)
    try:
        document = json.loads(kept)
        events = tuple(_events(document["skeleton"]))
        keys: Mapping[str, str] = document["strings"]
        parts = {name: AnswerPart(key=key, kind=_kind(key)) for name, key in keys.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise StorageError("The kept answer is damaged.", record_id=record.id) from cause
    return Answer(events=events, parts=parts)


def told(record: Record, error: HeliographError | None = None) -> Answer:
    """An answer made of a record alone."""
    parts: dict[str, AnswerPart] = {}

    def name(key: str, kind: str) -> str:
        placeholder = f"{record.id}:{len(parts)}:"
        parts[placeholder] = AnswerPart(key=key, kind=kind)
        return placeholder

    said = [*_drafts(record, name), *_turn(record, name)]
    block = error.facts.get("block_reason") if error else None
    event: dict[str, Any] = {}
    if block:
        event["promptFeedback"] = {"blockReason": block}
    else:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": said}, "index": 0}
        if record.finish_reason:
            candidate["finishReason"] = record.finish_reason
        if record.grounding:
            candidate["groundingMetadata"] = _grounding(record.grounding)
        event["candidates"] = [candidate]
    if record.usage:
        event["usageMetadata"] = _usage(record.usage)
    event["modelVersion"] = record.model_version or record.model
    event["responseId"] = record.response_id or record.id
    return Answer(events=(event,), parts=parts)


def _kind(key: str) -> str:
    return "signature" if key.endswith(SIGNATURE) else "image"


def _events(skeleton: str) -> Iterator[Mapping[str, Any]]:
    """The objects of an answer: one, an array of them, or server-sent events."""
    text = skeleton.strip()
    if text[:1] in ("{", "["):
        value = json.loads(text)
        yield from value if isinstance(value, list) else [value]
        return
    # not splitlines(): JSON may hold U+2028 and its like unescaped, and they end no line here
    for line in text.replace("\r", "\n").split("\n"):
        if line.startswith("data:"):
            data = line[5:].strip()
            if data and data != "[DONE]":
                yield json.loads(data)


# ---------------------------------------------------------------- from a record alone


def _drafts(record: Record, name: Any) -> Iterator[Mapping[str, Any]]:
    if not record.request.get("include_thoughts"):
        return
    for image in record.images:
        if image.role is Role.DRAFT:
            yield {"inlineData": _inline(image, name), "thought": True}


def _turn(record: Record, name: Any) -> Iterator[Mapping[str, Any]]:
    kept = {image.sha256: image for image in record.images}
    for part in record.turn:
        found: dict[str, Any] = {}
        if "image" in part:
            image = kept.get(part["image"])
            if image is None:
                continue  # a damaged one lies in quarantine
            found["inlineData"] = _inline(image, name)
        else:
            found["text"] = part.get("text") or ""
        if part.get("signature"):
            found["thoughtSignature"] = name(part["signature"], "signature")
        yield found


def _inline(image: KeptImage, name: Any) -> Mapping[str, str]:
    return {"mimeType": image.media_type, "data": name(image.key, "image")}


def _usage(usage: Mapping[str, Any]) -> Mapping[str, Any]:
    prompt, made = usage.get("prompt_tokens") or 0, usage.get("candidate_tokens") or 0
    thought, tool = usage.get("thought_tokens") or 0, usage.get("tool_tokens") or 0
    found: dict[str, Any] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": made,
        "totalTokenCount": prompt + made + thought + tool,
    }
    if thought:
        found["thoughtsTokenCount"] = thought
    if tool:
        found["toolUsePromptTokenCount"] = tool
    if usage.get("image_tokens"):
        images = {"modality": "IMAGE", "tokenCount": usage["image_tokens"]}
        found["candidatesTokensDetails"] = [images]
    return found


def _grounding(grounding: Mapping[str, Any]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for ours, theirs in (("queries", "webSearchQueries"), ("image_queries", "imageSearchQueries")):
        if grounding.get(ours):
            found[theirs] = list(grounding[ours])
    if grounding.get("entry_point"):
        found["searchEntryPoint"] = {"renderedContent": grounding["entry_point"]}
    sources: Sequence[Mapping[str, str]] = grounding.get("sources") or ()
    if sources:
        found["groundingChunks"] = [_chunk(source) for source in sources]
    return found


def _chunk(source: Mapping[str, str]) -> Mapping[str, Any]:
    if "image_uri" not in source:
        return {"web": dict(source)}
    names = {"uri": "sourceUri", "image_uri": "imageUri"}
    return {"image": {names.get(key, key): value for key, value in source.items()}}

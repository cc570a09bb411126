"""Scene and pictures to the JSON of an answer; invariant: camelCase, long strings as Blobs.

A Blob stands for base64 text that is already bytes, so that tens of megabytes pass from the
encoder to the socket without becoming a Python string on the way.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from heliograph.emulator.scene import Scene, Shot, Words

Tree = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Image bytes as they will be sent, with what they claim to be."""

    data: bytes
    mime: str
    width: int
    height: int
    role: str


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A base64 string of the answer."""

    text: bytes
    kind: Literal["final", "image", "signature"]


@dataclass(frozen=True, kw_only=True)
class Painted:
    """What the slow half of an answer produced, in part order."""

    images: tuple[tuple[Picture, Blob], ...]
    signatures: tuple[Blob, ...]
    """One for each part that is not a thought, in part order."""


def signed_parts(scene: Scene) -> int:
    """How many signatures an answer needs: thoughts have none.

    Of the texts only the first is signed, and no answer here has a second.
    """
    return sum(not part.thought for part in scene.parts)


def assemble(scene: Scene, painted: Painted, usage: Tree, response_id: str) -> Tree:
    """The whole answer as one GenerateContentResponse."""
    tree: Tree = {}
    if scene.block_reason:
        tree["promptFeedback"] = {"blockReason": scene.block_reason}
    elif scene.has_candidate:
        tree["candidates"] = [_candidate(scene, painted)]
    else:
        tree["candidates"] = []
    tree["usageMetadata"] = usage
    tree["modelVersion"] = scene.ask.model.id
    tree["responseId"] = response_id
    return tree


def split(tree: Tree) -> list[Tree]:
    """The same answer as stream events: one per part, finish and usage in a last one (2.7)."""
    identity = {key: tree[key] for key in ("modelVersion", "responseId")}
    candidate = (tree.get("candidates") or [{}])[0]
    parts = (candidate.get("content") or {}).get("parts") or []
    if not parts:
        return [tree]
    events = [
        {
            "candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}],
            **identity,
        }
        for part in parts
    ]
    closing = {**candidate, "content": {"role": "model", "parts": [{"text": ""}]}}
    return [*events, {**tree, "candidates": [closing]}]


def _candidate(scene: Scene, painted: Painted) -> Tree:
    candidate: Tree = {}
    content = _content(scene, painted)
    if content is not None:
        candidate["content"] = content
    candidate["finishReason"] = scene.finish_reason
    candidate["index"] = 0
    if scene.finish_message:
        candidate["finishMessage"] = scene.finish_message
    if scene.web_queries or scene.image_queries:
        candidate["groundingMetadata"] = _grounding(scene)
    return candidate


def _content(scene: Scene, painted: Painted) -> Tree | None:
    shapes: dict[str, Tree | None] = {
        "empty": {},
        "role": {"role": "model"},
        "null": {"role": "model", "parts": None},
        "absent": None,
    }
    if scene.content in shapes:
        return shapes[scene.content]
    return {"role": "model", "parts": _parts(scene, painted)}


def _parts(scene: Scene, painted: Painted) -> list[Tree]:
    images, signatures = iter(painted.images), iter(painted.signatures)
    parts: list[Tree] = []
    for slot in scene.parts:
        if isinstance(slot, Shot):
            picture, data = next(images)
            part: Tree = {"inlineData": {"mimeType": picture.mime, "data": data}}
        else:
            part = {"text": slot.text}
        if slot.thought:
            part["thought"] = True
        else:
            part["thoughtSignature"] = next(signatures)
        parts.append(part)
    return parts


def _grounding(scene: Scene) -> Tree:
    grounding: Tree = {}
    chunks: list[Tree] = []
    if scene.web_queries:
        grounding["webSearchQueries"] = list(scene.web_queries)
        chunks += [_web_chunk(number) for number in range(len(scene.web_queries))]
    if scene.image_queries:
        grounding["imageSearchQueries"] = list(scene.image_queries)
        chunks += [_image_chunk(number) for number in range(len(scene.image_queries))]
    grounding["searchEntryPoint"] = {
        "renderedContent": _entry_point((*scene.web_queries, *scene.image_queries))
    }
    grounding["groundingChunks"] = chunks
    texts = [p.text for p in scene.parts if isinstance(p, Words) and not p.thought]
    if texts and scene.web_queries:
        segment = {"startIndex": 0, "endIndex": len(texts[0].encode()), "text": texts[0]}
        grounding["groundingSupports"] = [{"segment": segment, "groundingChunkIndices": [0]}]
    return grounding


def _web_chunk(number: int) -> Tree:
    uri = f"https://vertexaisearch.cloud.google.com/grounding-api-redirect/simulated-{number}"
    return {"web": {"uri": uri, "title": "example.org"}}


def _image_chunk(number: int) -> Tree:
    return {
        "image": {
            "sourceUri": f"https://example.org/page-{number}",
            "imageUri": f"https://example.org/picture-{number}.jpg",
            "title": "Simulated picture",
            "domain": "example.org",
        }
    }


def _entry_point(queries: Sequence[str]) -> str:
    chips = "".join(f'<a class="chip">{html.escape(query)}</a>' for query in queries)
    return f'<style>.chip{{color:#1967d2}}</style><div class="container">{chips}</div>'

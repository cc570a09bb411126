"""Scene and pictures to the JSON of an interaction; invariant: snake_case, long strings as Blobs.

Step order as seen: thought, search call and result, model output. An interaction's one signature
sits on the thought; Google's own number of them is not known.
"""

import dataclasses
import html
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from heliograph.emulator.encoding import Body, TextEdit, encode
from heliograph.emulator.reply import Blob, Painted, Picture, Tree
from heliograph.emulator.scene import Scene, Shot

_USAGE_NAMES = {
    "promptTokenCount": "total_input_tokens",
    "candidatesTokenCount": "total_output_tokens",
    "thoughtsTokenCount": "total_thought_tokens",
    "totalTokenCount": "total_tokens",
}
_DETAIL_NAMES = {
    "promptTokensDetails": "input_tokens_by_modality",
    "candidatesTokensDetails": "output_tokens_by_modality",
}
_DONE = b"event: done\ndata: [DONE]\n\n"


def steps(scene: Scene, painted: Painted, uris: tuple[str, ...]) -> list[Tree]:
    """The output steps of an answer; pictures by URI where there are URIs."""
    if not scene.has_candidate:
        return []
    found = [_thought(scene, painted)] if scene.thought_tokens else []
    for kind, queries in (("web_search", scene.web_queries), ("image_search", scene.image_queries)):
        if queries:
            found += _search(kind, queries)
    if scene.content == "full" and all(part.thought for part in scene.parts) and scene.parts:
        return found
    return [*found, {"type": "model_output", "content": list(_contents(scene, painted, uris))}]


def usage(tree: Tree, searches: int) -> Tree:
    """The usage of an answer tree in this API's names; an absent one stays absent."""
    given = tree.get("usageMetadata")
    if given is None:
        return {}
    counts: Tree = {"total_cached_tokens": 0, "total_tool_use_tokens": 0}
    counts |= {new: given.get(old, 0) for old, new in _USAGE_NAMES.items()}
    for old, new in _DETAIL_NAMES.items():
        if old in given:
            counts[new] = [
                {"modality": row["modality"].lower(), "tokens": row["tokenCount"]}
                for row in given[old]
            ]
    if searches:
        counts["grounding_tool_count"] = [{"type": "google_search", "count": searches}]
    return {"usage": counts}


def stamp(moment: float) -> str:
    """A time as interactions print it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode_whole(sheet: Tree, mark: str, edit: TextEdit | None = None) -> Body:
    """An interaction as one JSON document."""
    return encode([sheet], "single", mark=mark, edit=edit)


def encode_stream(events: list[Tree], mark: str, edit: TextEdit | None = None) -> Body:
    """Named server-sent events and the closing word (seen)."""
    pieces: list[bytes] = []
    start = end = position = 0
    for event in events:
        body = encode([event], "sse", mark=mark, edit=edit)
        name = f"event: {event['event_type']}\n".encode()
        if body.image_end:
            start = position + len(name) + body.image_start
            end = position + len(name) + body.image_end
        # A bare line feed ends these events, where those of generateContent have two CRLF.
        pieces += [name, *body.pieces[:-1], b"\n\n"]
        position = sum(map(len, pieces))
    return Body(pieces=(*pieces, _DONE), image_start=start, image_end=end)


def stream_events(sheet: Tree) -> list[Tree]:
    """A finished interaction as the events that would have told of it."""
    known = {name: sheet[name] for name in ("id", "object", "model")}
    opening = {**known, "status": "in_progress"}
    closing = {name: value for name, value in sheet.items() if name != "steps"}
    return [
        {"interaction": opening, "event_type": "interaction.created"},
        *(event for i, step in enumerate(sheet["steps"]) for event in _step_events(i, step)),
        {"interaction": closing, "event_type": "interaction.completed"},
    ]


def _step_events(index: int, step: Tree) -> Iterator[Tree]:
    deltas: list[Tree] = []
    opening = {"type": step["type"]}
    if step["type"] == "model_output":
        deltas = step["content"]
    elif step["type"] == "thought":
        summary = step.get("summary", [])
        deltas = [{"type": "thought_summary", "content": content} for content in summary]
        if "signature" in step:
            deltas.append({"type": "thought_signature", "signature": step["signature"]})
    else:
        opening = step
    yield {"index": index, "step": opening, "event_type": "step.start"}
    for delta in deltas:
        yield {"index": index, "delta": delta, "event_type": "step.delta"}
    yield {"index": index, "event_type": "step.stop"}


def _thought(scene: Scene, painted: Painted) -> Tree:
    step: Tree = {"type": "thought"}
    if painted.signatures:
        step["signature"] = painted.signatures[0]
    images = iter(painted.images)
    summary = []
    for part in scene.parts:
        picture = next(images) if isinstance(part, Shot) else None
        if part.thought:
            summary.append(_content(part, picture))
    return {**step, "summary": summary} if summary else step


def _contents(scene: Scene, painted: Painted, uris: tuple[str, ...]) -> Iterator[Tree]:
    images, places = iter(painted.images), iter(uris)
    for part in scene.parts:
        picture = next(images) if isinstance(part, Shot) else None
        if part.thought:
            continue
        content = _content(part, picture)
        if picture is not None and uris:
            content = {
                "type": "image",
                "mime_type": picture[0].mime,
                "uri": next(places),
            }
        yield content


def _content(part: Any, picture: tuple[Picture, Blob] | None) -> Tree:
    if picture is None:
        return {"type": "text", "text": part.text}
    shown, data = picture
    return {"type": "image", "mime_type": shown.mime, "data": data}


def _search(kind: str, queries: tuple[str, ...]) -> list[Tree]:
    call_id = f"{kind}_1"
    chips = "".join(f'<a class="chip">{html.escape(query)}</a>' for query in queries)
    suggestions = f'<style>.chip{{color:#1967d2}}</style><div class="container">{chips}</div>'
    return [
        {
            "type": "google_search_call",
            "id": call_id,
            "search_type": kind,
            "arguments": {"queries": list(queries)},
        },
        {
            "type": "google_search_result",
            "call_id": call_id,
            "result": [{"search_suggestions": suggestions}],
            "is_error": False,
        },
    ]


def without_thoughts(scene: Scene, painted: Painted) -> list[Tree]:
    """An answer as parts of a model turn, for the turns that follow it."""
    images = iter(painted.images)
    parts: list[Tree] = []
    for part in scene.parts:
        if isinstance(part, Shot):
            picture, _ = next(images)
            if not part.thought:
                parts.append({"inline_data": {"data": picture.data, "mime_type": picture.mime}})
        elif not part.thought:
            parts.append({"text": part.text})
    return parts


def delivered(painted: Painted) -> tuple[Picture, ...]:
    """The pictures that an answer is about: all but the thoughts."""
    return tuple(picture for picture, _ in painted.images if picture.role != "thought")


def weight(painted: Painted) -> int:
    """Bytes that keeping an answer costs."""
    pictures = sum(len(picture.data) + len(blob.text) for picture, blob in painted.images)
    return pictures + sum(len(blob.text) for blob in painted.signatures)


def relabelled(tree: Tree) -> Tree:
    """What a fault of the ordinary answer tree means here: a strange end, strange fields."""
    found: Tree = {}
    candidate = (tree.get("candidates") or [{}])[0]
    reason = candidate.get("finishReason", "STOP")
    if reason not in ("STOP", "MAX_TOKENS"):
        found["status"] = str(reason).lower()
    found |= {name: value for name, value in tree.items() if name.startswith("something")}
    return found


def outline(scene: Scene, counts: Tree) -> Tree:
    """The least tree on which the faults of ordinary answers can work."""
    candidates = [{"finishReason": "STOP", "index": 0}] if scene.has_candidate else []
    return {"candidates": candidates, "usageMetadata": dict(counts)}


def status_of(scene: Scene) -> str:
    """Completed, or incomplete when the tokens ran out."""
    return "incomplete" if scene.finish_reason == "MAX_TOKENS" else "completed"


def lighter(painted: Painted) -> Painted:
    """Without the signatures that no step carries."""
    return dataclasses.replace(painted, signatures=painted.signatures[:1])

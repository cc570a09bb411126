"""Results as OpenAI's documents: images, chat completions, and the chunks of both.

Which file is given: the finished one where one was ordered, else the picture as it came; and that
one also where it has the ordered pixels by itself, because encoding it again would only take away
its provenance, and where it is smaller than ordered: nothing is enlarged in silence. What a
document says of pixels and format is what the file has.

Invariant: the same job gives the same document, so that a replay equals its first answer (links
alone are new, because they expire).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.jobs import Job
from heliograph.planning.load import catalogue
from heliograph.server.caller import Done
from heliograph.server.headers import usd
from heliograph.server.openai.body import Body, Inline, Marks
from heliograph.server.openai.images import link_variant
from heliograph.server.openai.shape import NAMED
from heliograph.server.openai.wanted import Wanted
from heliograph.server.pictures.links import Signer, signed_url
from heliograph.types import ExportSpec, Pixels, Result

# areas between the tiers: 512 is a quarter of a megapixel, 1K one, 2K four, 4K sixteen
_TIERS = ((512 * 1024, "512"), (2 << 20, "1K"), (8 << 20, "2K"))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The file that answers a request."""

    path: Path
    size: int  # bytes
    format: str
    pixels: Pixels

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"

    @property
    def inline(self) -> Inline:
        return Inline(path=self.path, size=self.size)


def seen(result: Result) -> Seen:
    """The finished file, or the picture as it came."""
    kept = result.record.result
    if kept is None:  # a Result is only built around a kept image
        raise AssertionError("a Result without an image")
    whole = Seen(path=result.path, size=kept.size, format=kept.format, pixels=kept.pixels)
    if not result.exports:
        return whole
    specs = [spec for spec in result.plan.exports if spec.name == "export"]
    asked = ExportSpec(name="export", pixels=kept.pixels)
    if specs == [asked] and not result.plan.request.protect:
        return whole
    made = result.exports[0]
    if made.pixels.width > kept.pixels.width or made.pixels.height > kept.pixels.height:
        return whole  # a smaller picture than ordered came; pixels that nobody drew help nobody
    return Seen(path=made.path, size=made.size, format=made.format, pixels=made.pixels)


def linked(signer: Signer, base: str) -> "Link":
    """Makes signed addresses for answers below `base`."""
    return Link(signer=signer, base=base)


@dataclass(frozen=True, kw_only=True)
class Link:
    """How pictures are linked to."""

    signer: Signer
    base: str  # how clients reach the gateway

    def to(self, result: Result) -> str:
        """The signed address of the file that answers a request."""
        picture = seen(result)
        variant = link_variant(result.plan.request, str(picture.pixels), picture.format)
        return signed_url(self.signer, result.record.id, variant, base=self.base)


# ---------------------------------------------------------------- images


def images_body(done: Done, wanted: Wanted, link: Link) -> Body:
    """The answer of images/generations and images/edits."""
    marks = Marks()
    first = seen(done.results[0])
    data: list[dict[str, Any]] = []
    for result in done.results:
        if wanted.as_url:
            data.append({"url": link.to(result)})
        else:
            data.append({"b64_json": marks.picture(seen(result).inline)})
    document = {
        "created": _seconds(done.job),
        "background": "opaque",
        "output_format": first.format,
        "quality": quality_of(done.results[0]),
        "size": str(first.pixels),
        "data": data,
        "usage": usage_of(done),
        **({"safety_identifier": wanted.user} if wanted.user else {}),
        "heliograph": extras(done, wanted),
    }
    return marks.body(document)


def draft_event(kind: str, draft: Seen, done: Done, *, place: int, number: int) -> Body:
    """The event of one draft; arguments as for `picture_event`, and the draft's number, from 0."""
    marks = Marks()
    document = _event(f"{kind}.partial_image", draft, done, place, marks)
    document["partial_image_index"] = number
    return _told(document, marks)


def picture_event(kind: str, done: Done, wanted: Wanted, *, place: int) -> Body:
    """The event of one whole picture; the last one tells the rest: costs, and what is missing.

    Args:
        kind: "image_generation" or "image_edit".
        place: of the picture among those of the request, from 0.
    """
    marks = Marks()
    result = done.results[place]
    document = _event(f"{kind}.completed", seen(result), done, place, marks)
    document["usage"] = usage_of(done, place)
    ours = {"job": done.job.id, **_facts(result)}
    if result is done.results[-1]:
        whole = extras(done, wanted)
        del whole["pictures"]  # each has told its own
        ours |= whole
    document["heliograph"] = ours
    return _told(document, marks)


def _event(name: str, picture: Seen, done: Done, place: int, marks: Marks) -> dict[str, Any]:
    return {
        "type": name,
        "b64_json": marks.picture(picture.inline),
        "background": "opaque",
        "created_at": _seconds(done.job),
        "output_format": picture.format,
        "quality": quality_of(done.results[place]),
        "size": str(picture.pixels),
    }


def _told(document: Mapping[str, Any], marks: Marks) -> Body:
    return marks.body(document, before=f"event: {document['type']}\ndata: ", after="\n\n")


def quality_of(result: Result) -> str:
    """The quality that a picture's tier is called by."""
    area = result.pixels.area
    tier = next((name for most, name in _TIERS if area < most), "4K")
    return NAMED[tier]


def usage_of(done: Done, place: int | None = None) -> dict[str, Any]:
    """Tokens of a request, or of one of its pictures."""
    results = done.results if place is None else (done.results[place],)
    counted = [_tokens(result) for result in results]
    total = {name: sum(each[name] for each in counted) for name in counted[0]}
    return {
        "input_tokens": total["prompt"],
        "input_tokens_details": {
            "text_tokens": total["prompt"] - total["seen"],
            "image_tokens": total["seen"],
        },
        "output_tokens": total["drawn"] + total["said"],
        "output_tokens_details": {"image_tokens": total["drawn"], "text_tokens": total["said"]},
        "total_tokens": total["prompt"] + total["drawn"] + total["said"],
    }


def _tokens(result: Result) -> dict[str, int]:
    """What the upstream counted; thinking counts as text."""
    usage: Mapping[str, Any] = result.record.usage
    prompt = int(usage.get("prompt_tokens") or 0) + int(usage.get("tool_tokens") or 0)
    drawn = int(usage.get("image_tokens") or 0)
    thought = int(usage.get("thought_tokens") or 0)
    said = max(0, int(usage.get("candidate_tokens") or 0) - drawn)
    row = catalogue().models.get(result.record.model)
    each = (row.tokens.input_image if row else None) or 0
    shown = min(prompt, each * len(result.record.parents))
    return {
        "prompt": prompt,
        "seen": shown,
        "drawn": drawn,
        "said": said + thought,
        "thought": thought,
    }


def extras(done: Done, wanted: Wanted) -> dict[str, Any]:
    """What is ours in an answer: the job, its cost, and how each picture was verified."""
    found: dict[str, Any] = {
        "job": done.job.id,
        "cost_usd": usd(done.job.cost),
        "simulated": done.results[0].simulated,
        "pictures": [_facts(result) for result in done.results],
    }
    notes = [*wanted.notes, *done.results[0].plan.notes]
    if notes:
        found["notes"] = notes
    if len(done.results) < wanted.count:
        found["missing"] = wanted.count - len(done.results)
        error = done.job.error or {}
        found["missing_because"] = error.get("code")
        found["missing_charged"] = error.get("charged")
        if may_cost := (error.get("facts") or {}).get("may_have_cost_micro"):
            found["missing_may_cost_usd"] = usd(int(may_cost))
    return found


def _facts(result: Result) -> dict[str, Any]:
    record = result.record
    found: dict[str, Any] = {
        "record": record.id,
        "model": record.model,
        "verified": result.verdict.value,
        "original": str(result.pixels),
        "source": result.source if result.source == "twin" else "call",
    }
    if record.warnings:
        found["warnings"] = list(record.warnings)
    if record.texts:
        found["texts"] = list(record.texts)
    if record.grounding:
        found["grounding"] = dict(record.grounding)
    return found


def _seconds(job: Job) -> int:
    return int(job.created.timestamp())


# ---------------------------------------------------------------- chat


def chat_body(done: Done, wanted: Wanted) -> Body:
    """The answer of chat/completions."""
    marks = Marks()
    message: dict[str, Any] = {"role": "assistant", "content": _words(done), "refusal": None}
    if wanted.as_markdown:
        message["content"] = _joined(_words(done), _markdown(done, marks))
    else:
        message["images"] = _parts(done, marks)
    document = {
        **_head(done, "chat.completion"),
        "choices": [
            {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"},
        ],
        "usage": _chat_usage(done, marks),
        "heliograph": extras(done, wanted),
    }
    return marks.body(document)


def chat_chunks(done: Done, wanted: Wanted) -> Iterator[Body]:
    """The answer as a stream: who, words, pictures, end, usage."""
    marks = Marks()
    words = _words(done)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": words}]
    if wanted.as_markdown:
        deltas.append({"content": ("\n\n" if words else "") + _markdown(done, marks)})
    else:
        deltas.append({"images": _parts(done, marks)})
    for delta in deltas:
        yield _chunk(done, marks, delta, None)
    yield _chunk(done, marks, {}, "stop", heliograph=extras(done, wanted))
    if wanted.counts_usage:
        document = {**_head(done, "chat.completion.chunk"), "choices": []}
        document["usage"] = _chat_usage(done, marks)
        yield marks.body(document, before="data: ", after="\n\n")


def _chunk(
    done: Done, marks: Marks, delta: Mapping[str, Any], end: str | None, **more: Any
) -> Body:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}
    document = {**_head(done, "chat.completion.chunk"), "choices": [choice], **more}
    return marks.body(document, before="data: ", after="\n\n")


def _head(done: Done, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{done.job.id}",
        "object": kind,
        "created": _seconds(done.job),
        "model": done.results[0].record.model,
    }


def _words(done: Done) -> str:
    return "\n\n".join(done.results[0].record.texts)


def _joined(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)


def _parts(done: Done, marks: Marks) -> list[dict[str, Any]]:
    return [
        {
            "type": "image_url",
            "image_url": {"url": _data_url(seen(result), marks)},
            "index": place,
        }
        for place, result in enumerate(done.results)
    ]


def _markdown(done: Done, marks: Marks) -> str:
    return "\n\n".join(f"![image]({_data_url(seen(r), marks)})" for r in done.results)


def _data_url(picture: Seen, marks: Marks) -> str:
    return f"data:{picture.media_type};base64,{marks.picture(picture.inline)}"


def _chat_usage(done: Done, marks: Marks) -> dict[str, Any]:
    counted = _tokens(done.results[0])
    whole = counted["drawn"] + counted["said"]
    return {
        "prompt_tokens": counted["prompt"],
        "completion_tokens": whole,
        "total_tokens": counted["prompt"] + whole,
        "prompt_tokens_details": {"cached_tokens": 0, "image_tokens": counted["seen"]},
        "completion_tokens_details": {
            "image_tokens": counted["drawn"],
            "reasoning_tokens": counted["thought"],
        },
        "cost": marks.number(usd(done.job.cost)),
    }

"""A job and its record as an interaction.

Shapes: `interaction.py`, `step.py` and `usage.py` of google-genai 3.4.0. Invariant: an interaction
is completed exactly when there is an answer to show; what is told of it is what the library keeps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from heliograph.errors import PolicyBlocked, revived
from heliograph.jobs import Job, JobState
from heliograph.server.gemini.answer import Answer, AnswerPart
from heliograph.server.gemini.asking import WORDLESS
from heliograph.server.gemini.interactions.envelope import PREFIX, sentence
from heliograph.types import KeptImage, Record, Role

Link = Callable[[str, str], str]  # address of a variant of a record's picture
_COUNTS = {
    "total_input_tokens": "prompt_tokens",
    "total_output_tokens": "candidate_tokens",
    "total_thought_tokens": "thought_tokens",
    "total_tool_use_tokens": "tool_tokens",
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What an interaction is made of."""

    job: Job
    record: Record | None  # of its call, with or without a picture
    link: Link | None = None  # pictures are named by address; None puts them inside
    is_stored: bool = True  # it has an id to ask for
    with_input: bool = False  # what the user said comes first, as a get shows it


def status_of(job: Job, record: Record | None) -> str:
    """How far an interaction has come, in the words of the API."""
    if job.state.is_open:
        return "in_progress"
    if record is not None and record.result is not None:
        return "completed"  # a picture that came late, too
    if job.state is JobState.CANCELLED:
        return "cancelled"
    if _has_only_words(job):
        return "incomplete" if record and record.finish_reason == "MAX_TOKENS" else "completed"
    return "failed"


def told(what: Told) -> Answer:
    """The interaction as an answer, its pictures and signatures still in their files."""
    job, record = what.job, what.record
    status = status_of(job, record)
    sheet: dict[str, Any] = {
        "id": PREFIX + job.id if what.is_stored else None,
        "object": "interaction",
        "status": status,
        "model": record.model if record else (job.request or {}).get("model"),
        "created": _moment(job.created),
        "updated": _moment(job.changed),
    }
    if record is not None and record.follows is not None:
        sheet["previous_interaction_id"] = PREFIX + record.follows
    steps = _Steps(what)
    if status in ("completed", "incomplete") and record is not None:
        sheet["usage"] = _usage(record)
        if record.usage.get("tier"):
            sheet["service_tier"] = str(record.usage["tier"]).lower()
        steps.take(record)
    elif status == "failed" and job.error is not None:
        error = revived(job.error)
        error.facts.setdefault("job", job.id)
        sheet["errors"] = [sentence(error)]
    sheet["steps"] = steps.found
    event = {name: value for name, value in sheet.items() if value is not None}
    return Answer(events=(event,), parts=steps.files)


def _has_only_words(job: Job) -> bool:
    """Whether the model answered whole, and drew nothing: no error of this API."""
    if job.error is None:
        return False
    error = revived(job.error)
    return error.code in ("no_image", "refused") and not isinstance(error, PolicyBlocked)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---------------------------------------------------------------- steps


@dataclass(eq=False)
class _Steps:
    """The steps of one interaction, and the files that stand in them."""

    what: Told
    found: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, AnswerPart] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.what.with_input:
            self.found.append({"type": "user_input", "content": list(self._input())})

    def take(self, record: Record) -> None:
        """What the model made."""
        drafts = [image for image in record.images if image.role is Role.DRAFT]
        if drafts and record.request.get("include_thoughts"):
            summary = [self._picture(record, image) for image in drafts]
            self.found.append({"type": "thought", "summary": summary})
        for signature, contents in self._turn(record):
            if signature is not None:
                step = {"type": "thought", "signature": self._file(signature, "signature")}
                self.found.append(step)
            if contents:
                self.found += _searches(record, self.found)
                self.found.append({"type": "model_output", "content": contents})

    def _turn(self, record: Record) -> Iterator[tuple[str | None, list[dict[str, Any]]]]:
        """The model's turn, cut before each signature: here a thought carries it."""
        images = {image.sha256: image for image in record.images}
        turn: Sequence[Mapping[str, Any]] = record.turn
        result = record.result
        if result is not None and not any(part.get("image") in images for part in turn):
            turn = [*turn, {"image": result.sha256}]  # the answer broke off behind its picture
        signature: str | None = None
        contents: list[dict[str, Any]] = []
        for part in turn:
            if part.get("signature"):
                if signature is not None or contents:
                    yield signature, contents
                signature, contents = part["signature"], []
            image = images.get(str(part.get("image")))
            if image is not None:
                contents.append(self._picture(record, image))
            elif part.get("text"):
                contents.append({"type": "text", "text": part["text"]})
        if signature is not None or contents:
            yield signature, contents

    def _input(self) -> Iterator[dict[str, Any]]:
        """What the user said, in the order in which it was sent; pictures from its record alone."""
        record, job = self.what.record, self.what.job
        facts: Mapping[str, Any] = record.request if record else job.request or {}
        listed = facts.get("references") if record else None
        pictures = [p for p in listed or () if p.get("key") and p.get("role") is None]
        words = [{"text": record.prompt if record else job.prompt}]
        if record is None and job.prompt == WORDLESS:
            words = []
        for said in facts.get("layout") or (*words, *pictures):
            if said.get("text"):
                yield {"type": "text", "text": said["text"]}
                continue
            picture = next((p for p in pictures if p["sha256"] == said["sha256"]), None)
            if picture is not None:
                data = self._file(picture["key"], "image")
                yield {"type": "image", "mime_type": picture.get("media_type"), "data": data}

    def _picture(self, record: Record, image: KeptImage) -> dict[str, Any]:
        content: dict[str, Any] = {"type": "image", "mime_type": image.media_type}
        if self.what.link is None:
            return content | {"data": self._file(image.key, "image")}
        return content | {"uri": self.what.link(record.id, _variant(record, image))}

    def _file(self, key: str, kind: str) -> str:
        placeholder = f"{self.what.job.id}:{len(self.files)}:"
        self.files[placeholder] = AnswerPart(key=key, kind=kind)
        return placeholder


def _variant(record: Record, image: KeptImage) -> str:
    """How one picture of a record is called in addresses."""
    if image.role is Role.RESULT:
        return "original"
    same = [each.sha256 for each in record.images if each.role is image.role]
    return f"{image.role.value}-{same.index(image.sha256) + 1}"


def _searches(record: Record, before: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The searches that an answer rests on, told once."""
    if not record.grounding or any(step["type"] == "google_search_call" for step in before):
        return []
    found: list[dict[str, Any]] = []
    shown = record.grounding.get("entry_point")
    for kind, name in (("web_search", "queries"), ("image_search", "image_queries")):
        queries = record.grounding.get(name)
        if not queries:
            continue
        call = f"{kind}_1"
        arguments = {"queries": list(queries)}
        searched = {"type": "google_search_call", "id": call, "search_type": kind}
        result = [{"search_suggestions": shown}] if shown else []
        found.append({**searched, "arguments": arguments})
        found.append({"type": "google_search_result", "call_id": call, "result": result})
    return found


def _usage(record: Record) -> dict[str, Any]:
    counts = {name: int(record.usage.get(ours) or 0) for name, ours in _COUNTS.items()}
    found: dict[str, Any] = {
        **counts,
        "total_cached_tokens": 0,
        "total_tokens": sum(counts.values()),
    }
    images = record.usage.get("image_tokens")
    if images:
        found["output_tokens_by_modality"] = [{"modality": "image", "tokens": images}]
    searches = sum(len(record.grounding.get(n) or ()) for n in ("queries", "image_queries"))
    if searches:
        found["grounding_tool_count"] = [{"type": "google_search", "count": searches}]
    return found

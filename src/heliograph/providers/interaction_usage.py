"""Token counts and searches out of an interaction, made safe for the ledger.

Field names are those of google-genai 3.4.0. Invariant: what is told is counted, also when it is
told in another place than usual; what cannot be believed says so in `Usage.anomaly`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from heliograph.providers.usage import read_usage
from heliograph.types import Grounding, Usage

MOST_QUERIES = 1000  # in one answer; more is an upstream fault


def usage_in(value: Mapping[str, Any]) -> Usage | None:
    """The token counts of an interaction; see `read_usage` for what is not believed.

    `total_output_tokens` leaves the thoughts out as a rule (recorded: 37 + 42 + 177 of thoughts
    = 256 in all). One recording has them inside; then the total gives it away.
    """
    raw = value.get("usage")
    if not isinstance(raw, Mapping):
        return None
    rows = [
        {"modality": str(row.get("modality")).upper(), "tokenCount": row.get("tokens")}
        for row in objects(raw.get("output_tokens_by_modality"))
    ]
    output = raw.get("total_output_tokens")
    outer = [output, raw.get("total_input_tokens"), raw.get("total_tool_use_tokens") or 0]
    known = [n for n in (*outer, raw.get("total_thought_tokens")) if _is_count(n)]
    if len(known) == 4 and raw.get("total_tokens") == sum(known[:3]):
        images = sum(r["tokenCount"] for r in rows if _is_count(r["tokenCount"]))
        output = max(images, known[0] - known[3])
    return read_usage(
        {
            "promptTokenCount": raw.get("total_input_tokens"),
            "candidatesTokenCount": output,
            "candidatesTokensDetails": rows,
            "thoughtsTokenCount": raw.get("total_thought_tokens"),
            "toolUsePromptTokenCount": raw.get("total_tool_use_tokens"),
            "serviceTier": value.get("service_tier"),
        }
    )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def grounding_in(value: Mapping[str, Any]) -> Grounding | None:
    """What an interaction was grounded on; every search that was counted is in it."""
    web: list[str] = []
    pictures: list[str] = []
    entries: list[str] = []
    for step in objects(value.get("steps")):
        if step.get("type") == "google_search_call":
            arguments = step.get("arguments")  # null was seen
            asked = arguments.get("queries") if isinstance(arguments, Mapping) else None
            found = [q for q in asked if isinstance(q, str)] if isinstance(asked, list) else []
            (pictures if step.get("search_type") == "image_search" else web).extend(found)
        elif step.get("type") == "google_search_result":
            for result in objects(step.get("result")):
                entry = text_in(result.get("search_suggestions"))
                if entry and entry not in entries:
                    entries.append(entry)
    # every query costs, also one whose words are not told
    web += ["(not told)"] * (_searches(value) - len(web) - len(pictures))
    sources = _sources(value)
    if not (web or pictures or entries or sources):
        return None
    return Grounding(
        queries=tuple(web),
        image_queries=tuple(pictures),
        sources=sources,
        entry_point="\n".join(entries) or None,
    )


def _searches(value: Mapping[str, Any]) -> int:
    usage = value.get("usage")
    rows = objects(usage.get("grounding_tool_count")) if isinstance(usage, Mapping) else []
    counts = [row.get("count") for row in rows if row.get("type") == "google_search"]
    return sum(c for c in counts if isinstance(c, int) and 0 <= c <= MOST_QUERIES)


def _sources(value: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    found: list[Mapping[str, str]] = []
    for annotation in _annotations(objects(value.get("steps"))):
        fields = {"uri": annotation.get("url"), "title": annotation.get("title")}
        source = {name: text for name, text in fields.items() if isinstance(text, str)}
        if annotation.get("type") == "url_citation" and source and source not in found:
            found.append(source)
    return tuple(found)


def _annotations(steps: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for step in steps:
        if step.get("type") == "model_output":
            for content in objects(step.get("content")):
                yield from objects(content.get("annotations"))


def objects(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; whatever else is there, or is no list, is left out."""
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


def text_in(value: object) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value else None

"""A result in words and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.cli.screen import size_text
from heliograph.client import AsyncHeliograph
from heliograph.ledger import SETTLE
from heliograph.money import PICO_PER_MICRO, dollars
from heliograph.providers.gemini import HOST
from heliograph.sheets import grounding_of, one_line
from heliograph.types import Estimate, Export, Plan, Record, Result, Verdict
from heliograph.upstream import Access

VERDICT_WORDS = {
    Verdict.VERIFIED: "verified",
    Verdict.DOWNGRADED: "DOWNGRADED",
    Verdict.RATIO_MISMATCH: "OTHER RATIO",
    Verdict.UNASKED: "no exact size asked",
}

MOST_SHOWN = 10  # sources, and queries; `--json` has all
SHORT_TITLE = 120  # characters of a source's title or of a query

# where a picture came from when it needed no call of its own, and so was not charged
SOURCES = {
    "twin": "from the library (an identical earlier request), no call, no charge",
    "replay": "from the library (this idempotency key), no call, no charge",
    "joined": "from a call that was under way already, no further charge",
}


@dataclass(frozen=True, kw_only=True)
class Searches:
    """What the searches of a grounded call came to; a part of the call's cost."""

    queries: int
    paid: int  # those beyond the free ones of the month
    micro: int

    def __str__(self) -> str:
        if not self.micro:
            return f"nothing ({self.queries}, within the free ones of the month)"
        return (
            f"{dollars(self.micro)}, which is in the cost ({self.paid} of {self.queries} beyond "
            "the free ones of the month)"
        )


async def searches_of(client: AsyncHeliograph, record: Record) -> Searches | None:
    """What the searches of a record cost, from its ledger lines; None without any."""
    if grounding_of(record) is None:
        return None
    details = [line.detail for line in await client.lines(record.id) if line.kind == SETTLE]
    queries = sum(detail.get("queries", 0) for detail in details)
    pico = sum(detail.get("pico", {}).get("query_pico", 0) for detail in details)
    return Searches(
        queries=queries,
        paid=sum(detail.get("quantities", {}).get("paid_queries", 0) for detail in details),
        micro=(pico + PICO_PER_MICRO // 2) // PICO_PER_MICRO,
    )


def result_lines(
    result: Result, files: Sequence[Export], searches: Searches | None = None
) -> list[str]:
    """The result for a person: what was made, its truth, its time, its cost."""
    record = result.record
    lines = [f"wrote {e.path}  {e.pixels}  {size_text(e.size)}" for e in files]
    lines.append(
        f"original {result.pixels} {VERDICT_WORDS[result.verdict]}, {record.model}, "
        f"{_origin(result)}, kept as {record.id[:8]}"
    )
    lines += [f"warning: {warning}" for warning in record.warnings]
    lines += [f"the model says: {text}" for text in record.texts if text.strip()]
    # what is not charged again is not told as a cost
    paid = searches if result.source == "call" else None
    return [*lines, *(f"{name}: {value}" for name, value in grounding_words(record, paid))]


def grounding_words(record: Record, searches: Searches | None) -> Iterator[tuple[str, str]]:
    """What a picture rests on, name and value a line; nothing when it rests on no search."""
    found = grounding_of(record)
    if found is None:
        return
    for source in found.sources[:MOST_SHOWN]:
        uri = source.get("uri", "")
        title = _short(source.get("title", "") or source.get("domain", ""))
        yield "source", f"{title} {uri}".strip() or "without title and address"
    if len(found.sources) > MOST_SHOWN:
        more = len(found.sources) - MOST_SHOWN
        yield "sources", f"and {more} more: heliograph images show {record.id[:8]} --json"
    queries = (*found.queries, *found.image_queries)
    for query in queries[:MOST_SHOWN]:
        yield "searched for", _short(query)
    if len(queries) > MOST_SHOWN:
        yield "searched for", f"{len(queries) - MOST_SHOWN} more"
    if searches is not None:
        yield "searches cost", str(searches)
    if found.entry_point is not None:
        rule = "Google requires its search suggestions wherever the picture is shown"
        yield "to be shown", f"{rule}: heliograph sheet {record.id[:8]}"


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= SHORT_TITLE else line[: SHORT_TITLE - 1] + "…"


def _origin(result: Result) -> str:
    """How long it took and what it cost, or why it cost nothing."""
    if result.source in SOURCES:
        return SOURCES[result.source]
    done = result.record.timing.get("done")
    took = f"{done:.1f} s" if isinstance(done, int | float) else "unknown time"
    return f"{took}, {dollars(result.cost)}"


def result_facts(
    result: Result, files: Sequence[Export], access: Access, searches: Searches | None = None
) -> dict[str, Any]:
    """The result for a program."""
    return {
        **record_facts(result.record),
        "searches": searches_facts(searches),
        "expected": str(result.plan.expected) if result.plan.expected else None,
        "original": str(result.path),
        "files": [export_facts(e) for e in files],
        "key": access.key_origin,
        "source": result.source,
        "charged_micro": result.cost,
        "notes": list(result.plan.notes),
    }


def searches_facts(searches: Searches | None) -> dict[str, Any] | None:
    """What searches cost, for a program; None for a picture that rests on none."""
    if searches is None:
        return None
    return {
        "queries": searches.queries,
        "paid_queries": searches.paid,
        "cost_micro": searches.micro,
        "cost": dollars(searches.micro),
    }


def record_facts(record: Record) -> dict[str, Any]:
    """A record for a program; money in micro-dollars, and as text for people."""
    kept = record.result
    return {
        "id": record.id,
        "created": record.created.isoformat(),
        "outcome": record.outcome.value,
        "simulated": record.simulated,
        "prompt": record.prompt,
        "model": record.model,
        "model_version": record.model_version,
        "size": record.size,
        "aspect": record.aspect,
        "tier": record.tier,
        "pixels": str(kept.pixels) if kept else None,
        "width": kept.pixels.width if kept else None,
        "height": kept.pixels.height if kept else None,
        "verdict": record.verdict.value if record.verdict else None,
        "format": kept.format if kept else None,
        "bytes": kept.size if kept else None,
        "sha256": kept.sha256 if kept else None,
        "cost_micro": record.cost,
        "cost": dollars(record.cost),
        "estimate": estimate_facts(record.estimate),
        "usage": dict(record.usage),
        "timing": dict(record.timing),
        "attempts": record.attempts,
        "warnings": list(record.warnings),
        "texts": list(record.texts),
        "grounding": dict(record.grounding),
        "finish_reason": record.finish_reason,
        "response_id": record.response_id,
        "upstream": record.upstream,
        "parents": list(record.parents),
        "images": [
            {
                "role": i.role.value,
                "sha256": i.sha256,
                "pixels": str(i.pixels),
                "bytes": i.size,
                "format": i.format,
                "key": i.key,
            }
            for i in record.images
        ],
    }


def wire_facts(client: AsyncHeliograph, plan: Plan, variations: int) -> dict[str, Any]:
    """The exact request that would be sent, references by their digest, and its estimate."""
    request = client.wire(plan)
    pieces = [
        part.decode() if isinstance(part, bytes) else f"sha256:{part.sha256} {part.size} bytes"
        for part in request.body
    ]
    query = f"?{request.query}" if request.query else ""
    base = client.settings.base_url or ("(emulator)" if client.settings.simulate else HOST)
    return {
        "calls": variations,
        "method": "POST",
        "url": f"{base}/{client.settings.api_version}{request.path}{query}",
        "headers": {**request.headers, "x-goog-api-key": "(your key)"},
        "body": json.loads("".join(pieces)),
        "bytes": request.length,
        "plan": plan_facts(plan),
    }


def plan_facts(plan: Plan) -> dict[str, Any]:
    """A plan for a program."""
    return {
        "model": plan.model,
        "size": plan.size,
        "aspect": plan.aspect,
        "tier": plan.tier,
        "expected": str(plan.expected) if plan.expected else None,
        "estimate": estimate_facts(plan.estimate),
        "exports": [
            {"name": e.name, "pixels": str(e.pixels) if e.pixels else None, "format": e.format}
            for e in plan.exports
        ],
        "alternatives": [
            {
                "model": a.model,
                "size": a.size,
                "tier": a.tier,
                "expected_micro": a.expected,
                "saves_micro": a.saves,
                "loses": list(a.loses),
            }
            for a in plan.alternatives
        ],
        "notes": list(plan.notes),
    }


def estimate_facts(estimate: Estimate) -> Mapping[str, Any]:
    """An estimate for a program, in micro-dollars."""
    return {
        "low_micro": estimate.low,
        "expected_micro": estimate.expected,
        "high_micro": estimate.high,
        "priced_on": estimate.priced_on,
        "price_version": estimate.price_version,
    }


def export_facts(export: Export) -> Mapping[str, Any]:
    """A written file for a program."""
    return {
        "name": export.name,
        "path": str(export.path),
        "pixels": str(export.pixels),
        "format": export.format,
        "bytes": export.size,
        "sha256": export.sha256,
        "quality": export.quality,
    }

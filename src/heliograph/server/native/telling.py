"""From the library's nouns to this face's answers.

Invariant: nothing is looked up here but links, and nothing is told that its owner may not know.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from heliograph.errors import revived
from heliograph.jobs import Job
from heliograph.server.faults import verdict
from heliograph.server.native.desk import Desk
from heliograph.server.native.shapes import image as shape
from heliograph.server.native.shapes.plain import money
from heliograph.types import LedgerLine, Outcome, Pixels, Plan, Record

PREFIX = "/api/v1"


def size(pixels: Pixels | None) -> shape.Size | None:
    """Pixels as they are told."""
    return None if pixels is None else shape.Size(width=pixels.width, height=pixels.height)


def image_links(desk: Desk, record: Record, trashed: bool) -> shape.ImageLinks:  # noqa: FBT001
    """Signed links to the bytes; none of what lies in the trash."""

    def link(variant: str) -> str | None:
        return None if record.result is None or trashed else desk.link(record.id, variant)

    return shape.ImageLinks(
        self=f"{PREFIX}/images/{record.id}",
        original=link("original"),
        preview=link("preview"),
        thumbnail=link("thumbnail"),
    )


def image(desk: Desk, record: Record, *, trashed: bool = False) -> shape.Image:
    """A record in brief."""
    return shape.Image(**_image(desk, record, trashed))


def full_image(desk: Desk, record: Record, lines: Sequence[LedgerLine]) -> shape.FullImage:
    """A record with everything."""
    return shape.FullImage(
        **_image(desk, record, False),
        texts=list(record.texts),
        parts=[
            shape.Part(
                role=kept.role.value,
                sha256=kept.sha256,
                media_type=kept.media_type,
                pixels=shape.Size(width=kept.pixels.width, height=kept.pixels.height),
                bytes=kept.size,
                verdict=kept.verdict.value,
            )
            for kept in record.images
        ],
        ledger=[
            shape.Line(
                kind=line.kind,
                amount=money(line.micro),
                at=line.at,
                price_version=line.price_version,
                call=line.call_id,
            )
            for line in lines
        ],
        provenance=shape.Provenance(
            upstream=record.upstream,
            model_version=record.model_version,
            response_id=record.response_id,
            finish_reason=record.finish_reason,
            attempts=record.attempts,
            parents=list(record.parents),
            request=_plain(record.request),
            usage=_plain(record.usage),
            timing=_plain(record.timing),
            grounding=_plain(record.grounding),
        ),
    )


def _image(desk: Desk, record: Record, trashed: bool) -> dict[str, Any]:  # noqa: FBT001
    kept = record.result
    tags = record.request.get("tags")
    return {
        "id": record.id,
        "created": record.created,
        "outcome": record.outcome.value,
        "prompt": record.prompt,
        "model": record.model,
        "size": record.size,
        "aspect": record.aspect,
        "tier": record.tier,
        "verdict": record.verdict.value if record.verdict else None,
        "pixels": size(kept.pixels) if kept else None,
        "media_type": kept.media_type if kept else None,
        "bytes": kept.size if kept else None,
        "sha256": kept.sha256 if kept else None,
        "cost": money(record.cost),
        "simulated": record.simulated,
        "tags": [str(tag) for tag in tags] if isinstance(tags, list | tuple) else [],
        "session": record.session,
        "follows": record.follows,
        "owner": record.owner,
        "trashed": trashed,
        "warnings": list(record.warnings),
        "links": image_links(desk, record, trashed),
    }


def _plain(value: Any) -> Any:
    """Frozen JSON values as such that can be written."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def plan(found: Plan, *, simulated: bool) -> shape.Plan:
    """A plan with its price."""
    estimate = found.estimate
    return shape.Plan(
        model=found.model,
        size=found.size,
        aspect=found.aspect,
        tier=found.tier,
        expected=size(found.expected),
        estimate=shape.Estimate(
            low=money(estimate.low),
            expected=money(estimate.expected),
            high=money(estimate.high),
            priced_on=estimate.priced_on,
            price_version=estimate.price_version,
            notes=list(estimate.notes),
        ),
        alternatives=[
            shape.Alternative(
                model=each.model,
                size=each.size,
                tier=each.tier,
                expected=money(each.expected),
                saves=money(each.saves),
                loses=list(each.loses),
            )
            for each in found.alternatives
        ],
        notes=list(found.notes),
        simulated=simulated,
    )


def job_brief(found: Job) -> shape.JobBrief:
    """A job without its pictures."""
    return shape.JobBrief(**_job(found))


def job(desk: Desk, found: Job, records: Mapping[str, Record]) -> shape.Job:
    """A job.

    Args:
        records: those that it brought, and those that came late, by id.
    """
    sources = dict(zip(found.records, found.sources, strict=False))
    results = [r for each in found.records if (r := records.get(each)) is not None]
    return shape.Job(
        **_job(found),
        results=[
            shape.Outcome(source=sources.get(each.id, "call"), image=image(desk, each))
            for each in results
        ],
        late=[image(desk, each) for each in _late(found, records.values())],
    )


def _job(found: Job) -> dict[str, Any]:
    return {
        "id": found.id,
        "state": found.state.value,
        "prompt": found.prompt,
        "count": len(found.pictures),
        "face": found.face,
        "route": found.route,
        "created": found.created,
        "changed": found.changed,
        "cost": money(found.cost),
        "idempotency_key": found.key,
        "records": list(found.records),
        "error": failure(found.error),
        "links": shape.JobLinks(
            self=f"{PREFIX}/jobs/{found.id}",
            events=f"{PREFIX}/jobs/{found.id}/events",
            cancel=f"{PREFIX}/jobs/{found.id}/cancel",
        ),
    }


def _late(found: Job, records: Iterable[Record]) -> list[Record]:
    if found.state.is_open:
        return []
    return [
        each
        for each in records
        if each.id in found.pictures
        and each.id not in found.records
        and each.outcome is Outcome.KEPT
    ]


def failure(document: Mapping[str, Any] | None) -> shape.Failure | None:
    """Why a job failed."""
    if document is None:
        return None
    error = revived(document)
    return shape.Failure(
        code=verdict(error).code,
        detail=str(error),
        charged=error.charged.value,
        retry_after=error.retry_after,
        record=error.record_id,
    )

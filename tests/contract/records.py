"""Records and ledger lines for the contract suites."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from heliograph.ledger import default_scopes
from heliograph.types import (
    Estimate,
    KeptImage,
    LedgerLine,
    Outcome,
    Pixels,
    Record,
    Role,
    Verdict,
)

NOON = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)


def an_image(digit: str, role: Role = Role.RESULT) -> KeptImage:
    sha = digit * 64
    return KeptImage(
        sha256=sha,
        key=f"sha256/{sha[:2]}/{sha}.jpg",
        role=role,
        format="jpeg",
        media_type="image/jpeg",
        pixels=Pixels(5504, 3072),
        size=8_700_000,
        verdict=Verdict.VERIFIED,
        signature_key=f"sha256/{sha[:2]}/{sha}.sig",
    )


def a_record(record_id: str = "rec-0001", **changes: Any) -> Record:
    record = Record(
        id=record_id,
        created=NOON,
        outcome=Outcome.KEPT,
        prompt="A lighthouse at golden hour",
        model="gemini-3-pro-image",
        size="4K",
        aspect="16:9",
        tier="standard",
        verdict=Verdict.VERIFIED,
        images=(an_image("b", Role.DRAFT), an_image("a")),
        cost=240_000,
        estimate=Estimate(
            low=239_000, expected=240_000, high=260_000, priced_on="2026-11-01", price_version="p1"
        ),
        simulated=False,
        upstream="generativelanguage.googleapis.com",
        request={"model": "gemini-3-pro-image", "parts": [{"text": "A lighthouse"}], "seed": None},
        usage={"prompt_tokens": 12, "image_tokens": 2000},
        grounding={"queries": ["lighthouse"]},
        timing={"done": 31.25},
        texts=("Here it is.",),
        warnings=("One draft.",),
        finish_reason="STOP",
        attempts=2,
        parents=("c" * 64,),
    )
    return replace(record, **changes)


def a_line(record: Record, entry_id: str | None = None, **changes: Any) -> LedgerLine:
    line = LedgerLine(
        entry_id=entry_id or f"{record.id}-settle",
        record_id=record.id,
        kind="settle",
        micro=record.cost,
        at=record.created,
        model=record.model,
        size=record.size,
        price_version="p1",
        simulated=record.simulated,
        detail={"image_tokens": 2000, "queries": 1},
    )
    line = replace(line, **changes)
    return line if line.scopes else replace(line, scopes=default_scopes(line.at))

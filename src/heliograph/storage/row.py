"""Records, ledger lines, calls and claims as table rows, and back.

Invariant: a row holds what the document of `document.py` holds, nothing more precise or less.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from heliograph.journal import CallEntry, Claim
from heliograph.storage.document import from_document, to_document
from heliograph.storage.entry import queries
from heliograph.types import LedgerLine, Record

Row = Mapping[Any, Any]  # by column name
CALL = tuple(field.name for field in fields(CallEntry))


def record_row(record: Record) -> dict[str, Any]:
    """The row of `records`."""
    row: dict[str, Any] = to_document(record)
    del row["images"]
    return row | {"created": record.created}


def image_rows(record: Record) -> list[dict[str, Any]]:
    """The rows of `record_images`, in the record's order."""
    rows = []
    for ordinal, image in enumerate(record.images):
        row: dict[str, Any] = to_document(image)
        pixels = row.pop("pixels")
        rows.append(row | pixels | {"record_id": record.id, "ordinal": ordinal})
    return rows


def record_from_rows(row: Row, images: Iterable[Row]) -> Record:
    """The record of one row of `records` and its rows of `record_images`, in order."""
    kept = []
    for image in images:
        fields = {k: v for k, v in image.items() if k not in {"record_id", "ordinal"}}
        pixels = {"width": fields.pop("width"), "height": fields.pop("height")}
        kept.append(fields | {"pixels": pixels})
    created = row["created"].isoformat()
    return from_document(Record, {**row, "created": created, "images": kept})


def line_row(line: LedgerLine) -> dict[str, Any]:
    """The row of `ledger`."""
    row: dict[str, Any] = to_document(line)
    day = line.at.date().isoformat()
    return row | {"at": line.at, "day": day, "queries": queries(line)}


def line_from_row(row: Row) -> LedgerLine:
    """The ledger line of one row."""
    fields = {k: v for k, v in row.items() if k not in {"day", "queries"}}
    return from_document(LedgerLine, fields | {"at": row["at"].isoformat()})


def call_row(call: CallEntry) -> dict[str, Any]:
    """The row of `calls`; the plan is plain JSON, as `canonical_call` leaves it."""
    row = {name: getattr(call, name) for name in CALL}
    return row | step_row(call) | {"scopes": list(call.scopes)}


def step_row(call: CallEntry) -> dict[str, Any]:
    """The part of the row that a step changes."""
    return {
        "stage": call.stage.value,
        "owner": call.owner,
        "project": call.project,
        "changed": call.changed,
        "attempts": call.attempts,
        "remote": call.remote,
        "note": call.note,
        "trail": to_document(call.trail),
    }


def call_from_row(row: Row) -> CallEntry:
    """The call of one row."""
    times = {"begun": row["begun"].isoformat(), "changed": row["changed"].isoformat()}
    return from_document(CallEntry, {**row, **times})


def claim_row(claim: Claim) -> dict[str, Any]:
    """The row of `claims`."""
    row: dict[str, Any] = to_document(claim)
    return row | {"expires": claim.expires}


def claim_from_row(row: Row) -> Claim:
    """The claim of one row."""
    return from_document(Claim, {**row, "expires": row["expires"].isoformat()})

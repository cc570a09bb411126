"""Records, ledger lines, calls, claims, users, keys and jobs as table rows, and back.

Invariant: a row holds what the document of `document.py` holds, nothing more precise or less.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from heliograph.accounts import ApiKey, User
from heliograph.jobs import Job
from heliograph.journal import CallEntry, Claim
from heliograph.storage.account import name_key
from heliograph.storage.document import from_document, to_document
from heliograph.storage.entry import queries
from heliograph.storage.listing import fold, tag_text, tags_of
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


def listing_row(record: Record) -> dict[str, Any]:
    """The row of `listing`."""
    return {
        "created": record.created,
        "record_id": record.id,
        "owner": record.owner,
        "outcome": record.outcome.value,
        "model": record.model,
        "size": record.size,
        "verdict": record.verdict and record.verdict.value,
        "simulated": record.simulated,
        "session": record.session,
        "tags": tag_text(tags_of(record)),
        "words": fold(record.prompt),
    }


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


def user_row(user: User) -> dict[str, Any]:
    """The row of `users`."""
    row: dict[str, Any] = to_document(user)
    limits = row.pop("limits")
    times = {"created": user.created, "changed": user.changed}
    return {**row, **limits, **times, "name_key": name_key(user.name)}


def user_from_row(row: Row) -> User:
    """The user of one row."""
    fields = {name: value for name, value in row.items() if name != "name_key"}
    return from_document(User, _with_limits(_with_times(fields)))


def key_row(key: ApiKey) -> dict[str, Any]:
    """The row of `api_keys`."""
    row: dict[str, Any] = to_document(key)
    limits, owner = row.pop("limits"), row.pop("user")
    moments = ("created", "expires", "revoked", "last_used")
    times = {name: getattr(key, name) for name in moments}
    return {**row, **limits, **times, "user_id": owner}


def key_from_row(row: Row) -> ApiKey:
    """The key of one row."""
    fields = _with_limits(_with_times(row))
    fields["user"] = fields.pop("user_id")
    return from_document(ApiKey, fields)


def job_row(job: Job) -> dict[str, Any]:
    """The row of `jobs`."""
    row: dict[str, Any] = to_document(job)
    owner = row.pop("user")
    times = {name: getattr(job, name) for name in ("created", "changed", "key_expires")}
    return row | times | {"user_id": owner}


def job_from_row(row: Row) -> Job:
    """The job of one row."""
    fields = _with_times(row)
    fields["user"] = fields.pop("user_id")
    return from_document(Job, fields)


def _with_times(row: Row) -> dict[str, Any]:
    """The row with its times as documents have them."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _with_limits(fields: dict[str, Any]) -> dict[str, Any]:
    limits = {name: fields.pop(name) for name in ("per_minute", "at_once")}
    return fields | {"limits": limits}

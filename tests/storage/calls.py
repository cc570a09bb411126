"""Calls of the journal and their ledger lines, for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from heliograph.journal import CallEntry, Claim, ClaimState, Stage, moved, opened
from heliograph.ledger import default_scopes
from heliograph.ports import Journal
from heliograph.types import LedgerLine

NOON = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
SCOPES = default_scopes(NOON)
ASK = 240_000
# how a call gets from its beginning to each stage
WAYS: Mapping[Stage, tuple[Stage, ...]] = {
    Stage.RESERVED: (),
    Stage.INTENT: (Stage.INTENT,),
    Stage.SENT: (Stage.INTENT, Stage.SENT),
    Stage.RECEIVED: (Stage.INTENT, Stage.SENT, Stage.RECEIVED),
    Stage.STORED: (Stage.INTENT, Stage.SENT, Stage.RECEIVED, Stage.STORED),
    Stage.RELEASED: (Stage.RELEASED,),
    Stage.UNKNOWN: (Stage.INTENT, Stage.SENT, Stage.UNKNOWN),
    Stage.HELD: (Stage.INTENT, Stage.SENT, Stage.UNKNOWN, Stage.HELD),
    **{
        end: (Stage.INTENT, Stage.SENT, Stage.RECEIVED, Stage.STORED, end)
        for end in (Stage.SETTLED, Stage.REFUSED, Stage.QUARANTINED)
    },
}


def a_call(call_id: str = "job-0001-1", **changes: Any) -> CallEntry:
    """A new call; its job is its id without the number."""
    call = CallEntry(
        id=call_id,
        job=call_id.rpartition("-")[0],
        stage=Stage.RESERVED,
        owner="process-1",
        library="library-1",
        model="gemini-3-pro-image",
        upstream="generativelanguage.googleapis.com",
        project="main",
        simulated=False,
        transport="generate_content",
        reserved=ASK,
        scopes=SCOPES,
        twin="t" * 64,
        plan={
            "model": "gemini-3-pro-image",
            "sizes": {"4K": [5504, 3072]},
            "prompt": "金 \ud800\0",
        },
        begun=NOON,
        changed=NOON,
    )
    changes = {"changed": changes.get("begun", NOON), **changes}
    return opened(replace(call, **changes))


def a_line(call: CallEntry, kind: str = "reserve", **changes: Any) -> LedgerLine:
    """A line of a call, of the amount that it set aside."""
    line = LedgerLine(
        entry_id=f"{call.id}-{kind}",
        record_id=call.job,
        call_id=call.id,
        kind=kind,
        micro=-call.reserved if kind in {"release", "hold_release"} else call.reserved,
        at=call.changed,
        model=call.model,
        size="4K",
        price_version="p1",
        simulated=call.simulated,
        scopes=call.scopes,
    )
    return replace(line, **changes)


def a_claim(call: CallEntry, key: str = "key-1", **changes: Any) -> Claim:
    """An idempotency key of a call, for three days."""
    claim = Claim(
        key=key,
        fingerprint="f" * 64,
        job=call.job,
        state=ClaimState.RUNNING,
        expires=NOON + timedelta(days=3),
    )
    return replace(claim, **changes)


def closing(call: CallEntry, stage: Stage, micro: int = ASK - 1000) -> Sequence[LedgerLine]:
    """The lines that a call brings when it comes to `stage`."""
    release = a_line(call, "release")
    lines: dict[Stage, list[LedgerLine]] = {
        Stage.RELEASED: [release],
        Stage.UNKNOWN: [release, a_line(call, "hold")],
        Stage.SETTLED: [release, a_line(call, "settle", micro=micro)],
        Stage.REFUSED: [release],
        Stage.QUARANTINED: [release, a_line(call, "settle", micro=micro)],
    }
    return lines.get(stage, [])


async def brought(journal: Journal, stage: Stage, call: CallEntry) -> CallEntry:
    """Open a call and take it to `stage`, a second for each step."""
    await journal.open(call, a_line(call))
    for step in WAYS[stage]:
        after = moved(call, step, call.changed + timedelta(seconds=1))
        await journal.change(call, after, lines=closing(after, step))
        call = after
    return call

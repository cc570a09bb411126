"""Made-up books and bills that hold, to be broken one thing at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from heliograph.chaos.bill import BillLine, Emitted, label
from heliograph.chaos.evidence import Ended, Evidence, Ours
from heliograph.chaos.row import KEPT
from heliograph.journal import CallEntry, Stage, Step
from heliograph.ledger import Balance
from heliograph.storage import blob_key, sidecar_key
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

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RESERVED, COST = 150_000, 139_288
SHA = "ab" * 32


def prompt(number: int) -> str:
    return f"A fox [[fault:{label(number, 0.1)}]]"


def call(number: int = 1, stage: Stage = Stage.SETTLED, **more: Any) -> CallEntry:
    job = f"job{number}"
    steps = (Stage.RESERVED, Stage.INTENT, Stage.SENT, stage)
    entry = CallEntry(
        id=f"{job}-1",
        job=job,
        stage=stage,
        owner="us",
        library="home",
        model="m",
        upstream="localhost",
        project="a",
        simulated=True,
        transport="generate_content",
        reserved=RESERVED,
        scopes=("total",),
        twin="t",
        plan={"request": {"prompt": prompt(number)}},
        begun=NOON,
        changed=NOON + timedelta(seconds=3),
        trail=tuple(
            Step(stage=each, at=NOON + timedelta(seconds=n)) for n, each in enumerate(steps)
        ),
    )
    return replace(entry, **more)


def line(entry: CallEntry, kind: str = "settle", micro: int = COST, **detail: Any) -> LedgerLine:
    return LedgerLine(
        entry_id=f"{entry.id}-{kind}",
        record_id=entry.job,
        call_id=entry.id,
        kind=kind,
        micro=micro,
        at=NOON,
        model="m",
        size="1K",
        price_version="v",
        simulated=True,
        scopes=entry.scopes,
        detail=detail,
    )


def record(number: int = 1, outcome: Outcome = Outcome.KEPT, **more: Any) -> Record:
    image = KeptImage(
        sha256=SHA,
        key=blob_key(SHA, ".jpg"),
        role=Role.RESULT,
        format="jpeg",
        media_type="image/jpeg",
        pixels=Pixels(64, 64),
        size=9,
        verdict=Verdict.VERIFIED,
    )
    made = Record(
        id=f"job{number}",
        created=NOON,
        outcome=outcome,
        prompt=prompt(number),
        model="m",
        size="1K",
        aspect=None,
        tier="standard",
        verdict=Verdict.VERIFIED,
        images=(image,) if outcome is Outcome.KEPT else (),
        cost=COST,
        estimate=Estimate(low=1, expected=2, high=3, priced_on="2026-11-22", price_version="v"),
        simulated=True,
        upstream="localhost",
        request={},
        response_id=bill(number).response,
    )
    return replace(made, **more)


def bill(number: int = 1, **more: Any) -> BillLine:
    made = BillLine(
        call=f"call{number}",
        project="p",
        arrived=NOON.timestamp() + 2,
        read=NOON.timestamp() + 2,
        last_byte=NOON.timestamp() + 3,
        closed=True,
        billed=True,
        micro=COST,
        status=200,
        fault=label(number, 0.1),
        job=number,
        remote=None,
        images=(Emitted(sha256=SHA, width=64, height=64, role="final"),),
    )
    return replace(made, **more)


def sound() -> Evidence:
    """One job, one call, one image, one line upstream."""
    entry, kept = call(), record()
    return Evidence(
        ours=Ours(
            calls=(entry,),
            lines=(
                line(entry, "reserve", RESERVED),
                line(entry, "release", -RESERVED),
                line(entry),
            ),
            records=(kept,),
            balances=(Balance(scope="total", simulated=True, settled=COST),),
            blobs={kept.images[0].key: SHA, sidecar_key(kept): "cd" * 32},
        ),
        bill=(bill(),),
        ended=(
            Ended(
                prompt=prompt(1),
                code=KEPT,
                began=0.0,
                seconds=1.0,
                key="k",
                record="job1",
                sha256=SHA,
            ),
        ),
    )


def with_ours(seen: Evidence, **more: Any) -> Evidence:
    return replace(seen, ours=replace(seen.ours, **more))

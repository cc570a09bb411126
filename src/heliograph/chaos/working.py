"""The client at work in a process of its own, and its library read afterwards.

Invariant: the client is opened as any program opens it; what is read afterwards is read through
the ports, with nobody else in the library.
"""

import asyncio
import hashlib
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliograph.chaos.evidence import Ended, Interrupted, Ours
from heliograph.chaos.matching import label_of
from heliograph.chaos.row import KEPT
from heliograph.chaos.upstream import Desk
from heliograph.client import AsyncHeliograph
from heliograph.errors import HeliographError
from heliograph.journal import CallEntry, Stage
from heliograph.ports import Blobs, Journal, Observer
from heliograph.storage import open_storage
from heliograph.types import LedgerLine, Result

MANY = 1_000_000  # more calls than any trial makes
OLD = 600.0  # seconds after which a temporary file should have been cleared away
# what a fault of the client, or of a row, can look like from here
ANY_FAULT = (
    *(HeliographError, OSError, ArithmeticError, LookupError, ValueError, TypeError),
    *(AssertionError, AttributeError, RuntimeError, TimeoutError),
)
ASIDE = ("originals/.incoming",)  # where files are written before they get their name


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where a trial takes place; may be handed to another process."""

    desk: Desk
    home: Path
    keys: str | Mapping[str, str]  # one, or several by the label of their project
    projects: tuple[str, ...]  # names of the projects upstream
    settings: Mapping[str, Any] = field(default_factory=dict)
    base_url: str | None = None  # instead of the emulator's
    face: str = "library"  # of `faces.FACES`
    key: str = field(default="", repr=False)  # of a member of the gateway
    admin_key: str = field(default="", repr=False)


def open_client(ground: Ground, observer: Observer | None = None) -> AsyncHeliograph:
    """A client in the library of a trial."""
    return AsyncHeliograph(
        home=ground.home,
        base_url=ground.base_url or ground.desk.url,
        api_key=ground.keys,
        settings={"workers": 1, **ground.settings},
        observer=observer,
    )


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a turn of a session begins; None is what was worked on last."""

    session: str | None = None  # id
    of: str | None = None  # id of a record


async def ask(
    client: AsyncHeliograph,
    prompt: str,
    options: Mapping[str, Any],
    key: str | None = None,
    place: Place | None = None,
) -> Ended:
    """Ask for one image and say how that ended.

    Args:
        place: the image is a turn of a session, and takes its size from the version before.
    """
    began, start = time.time(), time.monotonic()
    asked = dict(options)
    if key is not None:
        asked["idempotency_key"] = key
    try:
        if place is None:
            result = await client.generate(prompt, **{"size": "1K", **asked})
        else:
            turn = await client.edit(prompt, of=place.of, session=place.session, **asked)
            result = turn.result
    except HeliographError as error:
        return Ended(
            prompt=prompt,
            code=error.code,
            began=began,
            seconds=time.monotonic() - start,
            key=key,
            record=error.record_id,
            charged=error.charged.value,
            retry_after=error.retry_after,
            words=f"{error} {error.facts}",
            facts=dict(error.facts),
        )
    return _ended_well(result, prompt, key, (began, time.monotonic() - start))


def _ended_well(result: Result, prompt: str, key: str | None, timing: tuple[float, float]) -> Ended:
    kept = result.record.result
    return Ended(
        prompt=prompt,
        code=KEPT,
        began=timing[0],
        seconds=timing[1],
        key=key,
        record=result.record.id,
        sha256=kept.sha256 if kept else None,
        cost=result.record.cost,
        verdict=result.verdict.value,
        warnings=result.warnings,
        facts={"source": result.source},
    )


# ---------------------------------------------------------------- reading a library


async def read_library(home: Path) -> Ours:
    """Everything that a library's books and folders say, with nobody working in it."""
    opened = time.time()
    storage = await asyncio.to_thread(open_storage, home)
    try:
        calls = tuple(await storage.journal.calls(limit=MANY))
        records = tuple(await storage.books.recent(limit=MANY))
        lines: list[LedgerLine] = []
        for job in sorted({call.job for call in calls} | {record.id for record in records}):
            lines += await storage.books.lines(job)
        scopes = sorted({scope for call in calls for scope in call.scopes})
        balances = tuple(await storage.journal.balances(scopes)) if scopes else ()
        findings = [f"{f.subject}: {f.what}" for f in await storage.journal.audit()]
        blobs = await hashes(storage.blobs)
    finally:
        await storage.close()
    findings += await asyncio.to_thread(_database_complaints, home / "heliograph.db")
    return Ours(
        calls=calls,
        lines=tuple(lines),
        records=records,
        balances=balances,
        findings=tuple(findings),
        blobs=blobs,
        leftovers=tuple(_leftovers(home, opened)),
        spooled=tuple(sorted(p.name for p in (home / "spool").iterdir() if p.is_dir())),
    )


async def hashes(blobs: Blobs) -> Mapping[str, str]:
    """SHA-256 of what is stored, by key."""
    return {key: hashlib.sha256(await blobs.read(key)).hexdigest() for key in await blobs.keys("")}


def _database_complaints(path: Path) -> Sequence[str]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        sound = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        broken = [str(row) for row in connection.execute("PRAGMA foreign_key_check")]
    finally:
        connection.close()
    return [
        *(f"integrity_check: {what}" for what in sound),
        *(f"foreign_key_check: {what}" for what in broken),
    ]


def age(home: Path) -> None:
    """Let ten minutes pass for every spool, so that the next opening must clear it."""
    then = time.time() - 1.1 * OLD
    for path in sorted((home / "spool").rglob("*"), reverse=True):
        os.utime(path, (then, then))


def _leftovers(home: Path, opened: float) -> list[str]:
    # the opening clears away what is old by then; to read a large library takes its time
    edge = opened - OLD
    return [
        str(path.relative_to(home))
        for folder in ASIDE
        for path in (home / folder).glob("*")
        # a file that was linked there may be older than its name
        if max(path.stat().st_mtime, path.stat().st_ctime) < edge
    ]


async def read_open_calls(home: Path, killed_at: float) -> tuple[Interrupted, ...]:
    """The calls that a dead process left open, before anybody recovers them."""
    storage = await asyncio.to_thread(open_storage, home)
    try:
        found = await open_calls(storage.journal)
    finally:
        await storage.close()
    return tuple(
        Interrupted(
            call=call.id,
            job=call.job,
            number=label_of(call),
            stage=call.stage,
            spooled=_is_spooled(home, call),
            killed_at=killed_at,
        )
        for call in found
    )


async def open_calls(journal: Journal) -> Sequence[CallEntry]:
    """Calls that are not at their end."""
    stages = [stage for stage in Stage if stage.is_open]
    return await journal.calls(stages=stages, limit=MANY)


def _is_spooled(home: Path, call: CallEntry) -> bool:
    """Whether the whole answer of its last attempt lies there: JSON that ends where it should.

    Told from the bytes alone, by other means than the client's own reading of them.
    """
    if call.stage is not Stage.SENT:
        return False
    bodies = sorted((home / "spool" / call.spool).glob("attempt-*/body.raw"))
    if not bodies:
        return False
    data = bodies[-1].read_bytes().rstrip()
    return data.startswith(b"{") and data.endswith(b"}") and data.count(b"{") == data.count(b"}")

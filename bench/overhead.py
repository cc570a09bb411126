"""What certainty costs: one call with journal, money, raw spool and recovery, against the same call
without any of them.

    python -m bench.overhead [--rounds 15] [--json]

Both receive the same recorded answer of about 9 MB from a replaying server, take it apart while it
arrives, decode the picture in a worker and store picture and sidecar durably. They take turns; the
overhead is the median of the differences. CPU is this process's own, without the worker's.

    bare    aiohttp, tap, original, sidecar, a record in memory
    full    the pipeline: reserve, INTENT, SENT before the last byte, raw spool, RECEIVED, STORED,
            SETTLED with record and ledger lines, in SQLite with synchronous=FULL
"""

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
from bench.replaying import PROMPT, record, start_replay

from heliograph.cache import Flight
from heliograph.calls import Rules
from heliograph.imaging import VipsImager
from heliograph.journal import CallEntry, Stage
from heliograph.leases import Lease
from heliograph.looking import look
from heliograph.pipeline import Obtained, Order, obtain, prepare
from heliograph.ports import Blobs, Books, Cabinet, Event, Imager, Journal, Provider
from heliograph.provenance import files_of, record_of
from heliograph.providers.calling import Caller
from heliograph.providers.gemini import Gemini, decode, encode
from heliograph.providers.http import Channel, Deadlines
from heliograph.providers.pool import Place
from heliograph.providers.tap import Tap
from heliograph.providers.wire import WireReply
from heliograph.storage import LocalBlobs, MemoryBooks, keep, open_storage
from heliograph.types import Outcome, Plan, Request, Timing

WALL_BAR = 15.0  # ms
CPU_BAR = 70.0  # ms


RULES = Rules(
    zone=ZoneInfo("UTC"),
    key_life=timedelta(hours=72),
    retry_unknown=False,
    spend_limit=None,
    twins="off",
    twin_life=timedelta(days=1),
)


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Satisfies `calls.Tools`."""

    provider: Provider
    blobs: Blobs
    books: Books
    journal: Journal
    cabinet: Cabinet
    lease: Lease
    home: Path
    imager: Imager
    rules: Rules = RULES


async def bare(plan: Plan, url: str, home: Path, imager: Imager) -> None:
    """The call without journal, money and raw spool."""
    request = encode(plan)
    spool = home / "spool" / str(time.monotonic_ns())
    spool.mkdir(parents=True)
    tap = Tap(spool)
    body = b"".join(part for part in request.body if isinstance(part, bytes))
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector, read_bufsize=1 << 18) as session,
        session.post(f"{url}/v1{request.path}", data=body, headers=request.headers) as response,
    ):
        async for chunk in response.content.iter_any():
            tap.feed(chunk)
        tapped = tap.close()
    reply = decode(WireReply(status=200, headers={}, tapped=tapped, timing=Timing()))
    looked = await look(reply, plan, imager)
    now = datetime.now(UTC)
    entry = CallEntry(
        id=f"{spool.name}-1",
        job=spool.name,
        stage=Stage.SETTLED,
        owner="",
        library="",
        model=plan.model,
        upstream=url,
        project="",
        simulated=True,
        transport="generate_content",
        reserved=0,
        scopes=(),
        twin="",
        plan={},
        begun=now,
        changed=now,
    )
    kept = record_of(entry, plan, reply, looked.images, outcome=Outcome.KEPT, cost=0, warnings=[])
    blobs = LocalBlobs(home / "originals")
    await keep(kept, [], blobs=blobs, books=MemoryBooks(), files=files_of(looked.images, reply))
    shutil.rmtree(spool)


def say_nothing(event: Event) -> None:
    """Nobody watches here."""
    del event


async def full(plan: Plan, tools: Tools) -> None:
    """The call as the library makes it."""
    flight: Flight[Any] = Flight()
    made = await obtain(Order(plans=(plan,)), tools, say_nothing, flight)
    assert isinstance(made, Obtained)


def weight_of(folder: Path) -> float:
    """Megabytes of a recorded answer, in the middle."""
    return statistics.median(f.stat().st_size for f in folder.glob("answer-*")) / 1e6


async def measure(rounds: int) -> dict[str, Any]:
    """Medians of both, in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="heliograph-overhead-") as name:
        folder = Path(name)
        (folder / "bare" / "originals").mkdir(parents=True)
        await record(folder, rounds + 1, "--signatures", "short")
        weight = await asyncio.to_thread(weight_of, folder)
        server, port = start_replay(folder)
        url = f"http://127.0.0.1:{port}"
        storage = open_storage(folder / "full")
        limits = Deadlines()
        channels = {Place(project="bench"): Channel(url, "v1", "bench", limits)}
        imager = VipsImager(workers=1, inspect_timeout=60.0)
        tools = Tools(
            imager=imager,
            provider=Gemini(Caller(channels, limits), simulated=True),
            blobs=storage.blobs,
            books=storage.books,
            journal=storage.journal,
            cabinet=storage.cabinet,
            lease=Lease(folder / "full"),
            home=folder / "full",
        )
        spent: dict[str, list[tuple[float, float]]] = {"bare": [], "full": []}
        try:
            for number in range(rounds + 1):
                plan = await prepare(Request(prompt=f"{PROMPT} {number}", size="4K"), None)
                for variant, once in (
                    ("bare", bare(plan, url, folder / "bare", imager)),
                    ("full", full(plan, tools)),
                ):
                    wall, cpu = time.perf_counter(), time.process_time()
                    await once
                    took = (time.perf_counter() - wall, time.process_time() - cpu)
                    if number:  # the first round warms everything up
                        spent[variant].append(took)
        finally:
            await tools.provider.close()
            await imager.close()
            await storage.close()
            server.communicate()
    medians = {
        variant: {
            "wall_ms": statistics.median(wall for wall, _ in rows) * 1e3,
            "cpu_ms": statistics.median(cpu for _, cpu in rows) * 1e3,
        }
        for variant, rows in spent.items()
    }
    walls = [f[0] - b[0] for f, b in zip(spent["full"], spent["bare"], strict=True)]
    cpus = [f[1] - b[1] for f, b in zip(spent["full"], spent["bare"], strict=True)]
    return {
        "answer_mb": round(weight, 1),
        "rounds": rounds,
        **medians,
        "overhead_wall_ms": statistics.median(walls) * 1e3,
        "overhead_cpu_ms": statistics.median(cpus) * 1e3,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args()
    found = asyncio.run(measure(options.rounds))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"One answer of {found['answer_mb']} MB, {found['rounds']} rounds\n")
    print(f"{'':10}{'wall ms':>10}{'CPU ms':>10}")
    for variant in ("bare", "full"):
        row = found[variant]
        print(f"{variant:10}{row['wall_ms']:10.1f}{row['cpu_ms']:10.1f}")
    wall, cpu = found["overhead_wall_ms"], found["overhead_cpu_ms"]
    print(f"{'overhead':10}{wall:10.1f}{cpu:10.1f}   (bars: {WALL_BAR:.0f} and {CPU_BAR:.0f})")


if __name__ == "__main__":
    main()

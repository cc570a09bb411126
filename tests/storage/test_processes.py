"""Several processes on one data folder, and processes that are killed."""

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

from heliograph.storage import RebuildReport, open_storage, rebuild
from heliograph.types import LedgerLine, Record

KEEP_MANY = Path(__file__).with_name("keep_many.py")
KILLS = 4


def start(root: Path, name: str, count: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-W", "error", str(KEEP_MANY), str(root), name, str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def look(root: Path) -> tuple[RebuildReport, dict[str, Record], list[LedgerLine]]:
    """What a restart finds, and everything in the database after a rebuild."""

    async def read() -> tuple[RebuildReport, dict[str, Record], list[LedgerLine]]:
        storage = open_storage(root)
        before = {record.id for record in await storage.books.recent(limit=10**6)}
        report = await rebuild(storage.blobs, storage.books)
        assert before == set(report.already)  # whatever the database names has its sidecar
        records = {record.id: record for record in await storage.books.recent(limit=10**6)}
        lines = [line for key in records for line in await storage.books.lines(key)]
        await storage.close()
        return report, records, lines

    return asyncio.run(read())


def test_two_processes_keep_the_same_and_different_calls_at_once(tmp_path: Path) -> None:
    root = tmp_path / "data"
    children = [start(root, name, 25) for name in ("same", "same", "own")]
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0, 0, 0]
    report, records, lines = look(root)
    assert (len(records), len(lines)) == (50, 50)
    assert (report.damaged, report.unclaimed, report.added) == ((), (), ())


def test_killed_at_any_moment_nothing_promised_is_lost(tmp_path: Path) -> None:
    root = tmp_path / "data"
    chance = random.Random(11)
    promised: set[str] = set()
    for life in range(KILLS):
        with start(root, f"life{life}", 10**6) as child:
            assert child.stdout is not None
            promised.add(child.stdout.readline().strip())
            time.sleep(chance.uniform(0, 0.2))
            child.kill()
            promised |= {line.strip() for line in child.stdout if line.endswith("\n")}
    report, records, lines = look(root)
    assert report.damaged == ()
    assert promised <= set(records)
    assert len(report.unclaimed) <= KILLS  # a file whose sidecar was not reached
    assert sorted(line.record_id for line in lines) == sorted(records)
    assert all(len(record.images) == 1 for record in records.values())

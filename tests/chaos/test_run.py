"""The harness through its own API: quick rows hold, false claims are found, nothing stays behind.

`all` is the acceptance of the product: every row that is served, as a user would run it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from heliograph.chaos.nursery import ChildBroke, outcome
from heliograph.chaos.report import Verdict, as_json
from heliograph.chaos.row import Ask, Case, exactly
from heliograph.chaos.rows import find_rows
from heliograph.chaos.run import Progress, Wish, rows_of_all, run
from heliograph.chaos.script import Crew
from heliograph.chaos.stage import Where, try_case
from heliograph.chaos.upstream import start_upstream
from heliograph.storage import open_storage

QUICK = ("F03", "F18", "F28", "F34", "F42", "K01", "K07", "K07-session")


@pytest.fixture
async def where(tmp_path: Path) -> AsyncIterator[Where]:
    upstream = await start_upstream(tmp_path / "bill.jsonl", "--small")
    storage = await asyncio.to_thread(open_storage, tmp_path / "blank")
    await storage.close()
    yield Where(desk=upstream.desk, folder=tmp_path, blank=tmp_path / "blank")
    await upstream.close()


async def test_quick_rows(tmp_path: Path) -> None:
    seen: list[Progress] = []
    wish = Wish(rows=find_rows(QUICK), repeat=1, seed=1, keep=tmp_path / "kept")
    report = await run(wish, seen.append)
    complaints = [f"{row.row.id} {each}" for row in report.rows for each in row.complaints]
    assert complaints == []
    verdicts = {row.row.id: row.verdict for row in report.rows}
    assert verdicts.pop("F42") is Verdict.NOT_SERVED
    assert set(verdicts.values()) == {Verdict.HOLDS}
    assert {p.row.id for p in seen if p.report} == set(verdicts)
    document = json.loads(json.dumps(as_json(report)))
    # what we settle and what we show as doubtful is what upstream billed, but for what is flagged
    ledgers = document["ledgers"]
    apart = ledgers["E"]["micro"] - ledgers["G"]["micro"] - ledgers["U"]["micro"]
    assert 0 < abs(apart) <= ledgers["flagged_micro"]
    assert document["sets"]["lost"]["count"] == 0
    assert list((tmp_path / "kept").glob("*/F18-*"))


async def test_a_false_claim_is_found(where: Where) -> None:
    case = Case(
        name="wrong", asks=(Ask(fault="internal*1"),), calls=exactly(1), ends=("policy_blocked",)
    )
    told = await try_case("F07", case, where)
    assert any("C is 2" in each for each in told.complaints)
    assert any("ended as kept" in each for each in told.complaints)
    right = replace(case, calls=exactly(2), ends=("kept",))
    assert (await try_case("F07", right, where)).complaints == ()


async def test_a_broken_child_says_why(where: Where) -> None:
    crew = Crew(where=where, repeat=1, room=asyncio.Semaphore(1), say=lambda _: None)
    with pytest.raises(ChildBroke, match="AttributeError"):
        await outcome(crew.start("playing:play", None))


async def test_an_interrupted_run_reports_and_leaves_nothing_behind(tmp_path: Path) -> None:
    wish = Wish(rows=find_rows(["F03", "F01", "M03"]), repeat=1, keep=tmp_path)
    over = asyncio.Event()

    def watch(progress: Progress) -> None:
        if progress.report is not None:
            over.set()

    task = asyncio.ensure_future(run(wish, watch))
    await asyncio.wait_for(over.wait(), 120)
    task.cancel()
    report = await task
    verdicts = [row.verdict for row in report.rows]
    assert Verdict.INTERRUPTED in verdicts
    assert Verdict.HOLDS in verdicts
    assert not report.holds
    mine = str(tmp_path)
    left = [p for p in psutil.Process().children(recursive=True) if mine in " ".join(p.cmdline())]
    assert left == []


@pytest.mark.timeout(900)
async def test_all_rows_hold() -> None:
    report = await run(Wish(rows=rows_of_all(), seed=1))
    broken = [f"{row.row.id}: {each}" for row in report.rows for each in row.complaints[:3]]
    assert not broken, "\n".join(broken)
    assert report.holds
    assert report.seconds < 360

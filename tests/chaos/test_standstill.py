"""A machine that stood still is told from a product that failed, and only then is tried again."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import psutil
import pytest

from heliograph.chaos import standstill
from heliograph.chaos.report import Told, Verdict, as_json
from heliograph.chaos.row import Kind
from heliograph.chaos.rows import find_rows
from heliograph.chaos.run import Progress, Wish, run
from heliograph.chaos.standstill import NOTICED, TOO_LONG, TRIES, Pulse, decided, says_nothing

(F53,) = find_rows(["F53"])
(F04,) = find_rows(["F04"])
FINE = Told(case="40 s")
WRONG = replace(FINE, complaints=("37 of 100 got an image, not 95 %",), seconds=40.0)
LATE = replace(WRONG, stood_still=4.2)


def telling(tries: Iterable[Told]) -> tuple[Callable[[Told], Awaitable[Told]], list[Told]]:
    """Makes trials again with these outcomes, and takes down what it was handed."""
    outcomes, handed = iter(tries), list[Told]()

    async def once_more(last: Told) -> Told:
        handed.append(last)
        return next(outcomes)

    return once_more, handed


def test_only_a_late_trial_of_many_at_once_that_complains_says_nothing() -> None:
    assert says_nothing(F53, LATE)
    assert says_nothing(F53, replace(WRONG, stood_still=TOO_LONG))
    assert not says_nothing(F53, replace(WRONG, stood_still=TOO_LONG - 0.01))
    assert not says_nothing(F53, replace(FINE, stood_still=60.0))
    assert not says_nothing(replace(F53, kind=Kind.FAULT), LATE)
    assert not says_nothing(replace(F53, kind=Kind.CRASH), LATE)


async def test_a_late_trial_that_complains_is_tried_again() -> None:
    once_more, handed = telling([FINE])
    told = await decided(F53, LATE, once_more)
    assert handed == [LATE]
    assert told.complaints == ()
    (earlier,) = told.earlier
    assert (earlier.stood_still, earlier.complaints) == (4.2, LATE.complaints)
    assert str(earlier) == "tried again: the machine stood still for 4.2 s"


@pytest.mark.parametrize("told", [WRONG, FINE, replace(FINE, stood_still=9.0)])
async def test_what_says_something_counts_at_once(told: Told) -> None:
    once_more, handed = telling([])
    assert await decided(F53, told, once_more) is told
    assert handed == []


async def test_a_second_try_on_a_machine_that_moved_decides() -> None:
    once_more, handed = telling([WRONG])
    told = await decided(F53, LATE, once_more)
    assert told.complaints == WRONG.complaints
    assert len(handed) == len(told.earlier) == 1


async def test_after_the_last_try_complaints_stand() -> None:
    worse = replace(LATE, stood_still=5.0)
    once_more, handed = telling([worse, LATE])
    told = await decided(F53, LATE, once_more)
    assert len(handed) == TRIES == 2
    assert handed[1].stood_still == 5.0
    assert told.complaints == LATE.complaints
    assert [each.stood_still for each in told.earlier] == [4.2, 5.0]


async def test_a_pulse_feels_what_keeps_it_from_running() -> None:
    pulse = Pulse()
    began = time.monotonic()
    task = asyncio.ensure_future(pulse.beat())
    await asyncio.sleep(0.2)
    # nothing, unless this machine stands still right now
    assert pulse.stood_still() == 0.0 or NOTICED <= pulse.stood_still() <= time.monotonic() - began
    began = time.monotonic()
    time.sleep(NOTICED + 0.15)  # noqa: ASYNC251 keeps everybody from running, as is meant
    await asyncio.sleep(0.1)
    assert pulse.stood_still(since=began) >= NOTICED
    assert pulse.lag >= NOTICED
    assert pulse.stood_still(since=time.monotonic() + 60) == 0.0
    task.cancel()


# ---------------------------------------------------------------- a real run


def players() -> list[psutil.Process]:
    """Processes that play cases: children of the one that forks."""
    forking = [p for p in psutil.Process().children() if "forkserver" in " ".join(p.cmdline())]
    return [child for process in forking for child in process.children()]


async def tried(*, kills: int, stands_still: bool) -> tuple[Told, list[str], Verdict]:
    """Try F04 while its process is killed so many times, each time with or without a standstill.

    Returns:
        What its cases told, the lines that were said, the verdict.
    """
    before = {process.pid for process in players()}
    said: list[str] = []

    async def spoil() -> None:
        for _ in range(kills):
            while not (new := [p for p in players() if p.pid not in before]):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            before.update(process.pid for process in new)
            for process in new:
                process.kill()
            if stands_still:
                time.sleep(TOO_LONG + 0.3)  # noqa: ASYNC251

    def watch(progress: Progress) -> None:
        if progress.line:
            said.append(progress.line)

    row = replace(F04, cases=F04.cases[:1])
    spoiling = asyncio.ensure_future(spoil())
    report = await run(Wish(rows=(row,), seed=1), watch)
    await asyncio.wait_for(spoiling, 60)
    (found,) = report.rows
    (told,) = found.told
    (case,) = json.loads(json.dumps(as_json(report)))["rows"][0]["cases"]
    assert len(case["tried_again"]) == len(told.earlier) == len(found.remarks)
    assert all(each["stood_still"] >= TOO_LONG for each in case["tried_again"])
    return told, said, found.verdict


async def test_a_run_tries_again_what_a_standstill_spoilt() -> None:
    told, said, verdict = await tried(kills=1, stands_still=True)
    assert verdict is Verdict.HOLDS
    assert len(told.earlier) == 1
    assert [line.partition(" for ")[0] for line in said] == [
        "F04 daily quota: tried again: the machine stood still"
    ]


async def test_a_run_does_not_try_again_on_a_machine_that_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # on one that does stand still now and then, trying again would be right
    monkeypatch.setattr(standstill, "NOTICED", math.inf)
    told, said, verdict = await tried(kills=1, stands_still=False)
    assert (verdict, said, told.earlier) == (Verdict.BROKEN, [], ())


async def test_a_run_gives_up_after_the_last_try() -> None:
    told, said, verdict = await tried(kills=1 + TRIES, stands_still=True)
    assert verdict is Verdict.BROKEN
    assert len(said) == len(told.earlier) == TRIES
    assert told.complaints

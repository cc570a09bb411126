"""K27: the n-th operation fails, for n from 1 until none is left to fail.

Invariant: whatever failed, the caller gets a clear error or an image, and a careful caller who
asks again with the same key finds books that hold.
"""

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from heliograph.chaos.breaking import TROUBLES, Breaker, Trouble
from heliograph.chaos.evidence import Ended, Evidence
from heliograph.chaos.labour import ENDS, Job
from heliograph.chaos.nursery import Tell, outcome
from heliograph.chaos.report import Sum, Told, told_by
from heliograph.chaos.row import Row
from heliograph.chaos.script import Crew
from heliograph.chaos.stage import Where, take_ground
from heliograph.chaos.working import ANY_FAULT, Ground, age, ask, open_client, read_library

JOB = Job(number=1, seconds=0.01)
SETS = ("lost", "duplicated", "unexpected", "recovered", "done")
SHOWN = 12  # complaints of one kind of trouble that are shown


@dataclass(frozen=True, kw_only=True)
class Loop:
    """One kind of trouble, and how many of its operations are tried."""

    where: Where
    trouble: str
    most: int  # evenly spread over all of them; as many as there are: every one


async def loops(row: Row, crew: Crew) -> list[Told]:
    """Each kind of trouble in a process of its own."""
    most = row.facts["most"] if crew.repeat <= row.facts["repeats"] else 10_000

    async def one(trouble: Trouble) -> Told:
        order = Loop(where=crew.where, trouble=trouble.name, most=most)
        told: Told = await outcome(crew.start("failing:loop", order))
        return told

    return await crew.each(one, TROUBLES)


async def loop(order: Loop, tell: Tell) -> None:
    """Try the operations one after the other; says "done" with `Told`."""
    began = time.monotonic()
    trouble = next(each for each in TROUBLES if each.name == order.trouble)
    count, told = await _try(order, trouble, 0)
    found = [told]
    tried = _spread(count, order.most)
    found += [(await _try(order, trouble, nth))[1] for nth in tried]
    complaints = [what for each in found for what in each.complaints]
    more = [f"and {len(complaints) - SHOWN} more"] if len(complaints) > SHOWN else []
    tell(
        "done",
        Told(
            case=trouble.name,
            calls=sum(each.calls for each in found),
            billed=sum((each.billed for each in found), start=Sum()),
            settled=sum((each.settled for each in found), start=Sum()),
            doubtful=sum((each.doubtful for each in found), start=Sum()),
            flagged_micro=sum(each.flagged_micro for each in found),
            seconds=time.monotonic() - began,
            complaints=(*complaints[:SHOWN], *more),
            sets=_together([each.sets for each in found]),
            facts={"operations": count, "failed": len(tried)},
        ),
    )


def _spread(count: int, most: int) -> Sequence[int]:
    """Numbers from 1 to `count`, at most so many."""
    if count <= most:
        return range(1, count + 1)
    return sorted({1 + n * count // most for n in range(most)})


def _together(sets: Sequence[Any]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(job for each in sets for job in each[name]) for name in SETS}


async def _try(order: Loop, trouble: Trouble, nth: int) -> tuple[int, Told]:
    """One run in which one operation fails, and the run after it."""
    ground = await take_ground(order.where, f"k27-{trouble.name.split()[-1]}-{nth}")
    breaker = Breaker(ground.home, trouble, nth)
    complaints: list[str] = []
    ended: list[Ended] = []
    with breaker.on():
        try:
            ended += await _run(ground)
        except ANY_FAULT as error:
            complaints.append(f"no clear error, but {type(error).__name__}: {error}")
        except MemoryError:
            pass  # it says what it is
    mark = f"{trouble.name} at operation {nth} ({breaker.struck})"
    if nth and breaker.struck is None:
        complaints.append("no operation failed")
    try:
        await asyncio.to_thread(age, ground.home)
        again = await _run(ground)
        seen = Evidence(
            ours=await read_library(ground.home),
            bill=await ground.desk.closed_bill(ground.projects),
            ended=(*ended, *again),
            home=ground.home,
        )
    except ANY_FAULT as error:
        complaints.append(f"cannot be opened afterwards: {type(error).__name__}: {error}")
        wrong = tuple(f"{mark}: {what}" for what in complaints)
        return breaker.count, Told(case=mark, complaints=wrong, sets=_none())
    complaints += [f"then ended as {e.code}: {e.words[:200]}" for e in again if e.code not in ENDS]
    told = told_by(seen, mark, 0.0, complaints)
    if not told.complaints and not order.where.keep:
        await asyncio.to_thread(shutil.rmtree, ground.home, ignore_errors=True)
    return breaker.count, replace(
        told, complaints=tuple(f"{mark}: {what}" for what in told.complaints)
    )


def _none() -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(SETS, ())


async def _run(ground: Ground) -> list[Ended]:
    async with open_client(ground) as client:
        return [await ask(client, JOB.prompt, JOB.options, JOB.key)]

"""F52: the wall clock jumps by a day, forward and back, while calls wait and budgets run.

The clock is moved for this process only: what the client's modules know as `datetime` and
`time.time` tells another time; the monotonic clock goes on. Invariant: nothing else is touched.
"""

import asyncio
import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

from heliograph.chaos.checks import waits_told
from heliograph.chaos.nursery import Tell, outcome
from heliograph.chaos.report import Told
from heliograph.chaos.row import KEPT, Ask, Case, Row, exactly
from heliograph.chaos.script import Crew
from heliograph.chaos.stage import Stage, Where, try_case
from heliograph.types import Plan

DAY = 86400.0
LONGEST = 60.0  # seconds that a wait of 2 s takes on a machine that is very busy, but on no other
NOT_MINE = ("heliograph.chaos", "heliograph.storage")
REFUSED = "budget_exceeded"
WORDS = 2000  # micro-dollars that a face may count a prompt dearer; far less than a picture
_AHEAD = [0.0]  # seconds that this process's wall clock is ahead


class JumpingClock(datetime):
    """`datetime` whose now is another one; what it tells is a plain `datetime`."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        """The time as this process believes it to be."""
        return datetime.now(tz) + timedelta(seconds=_AHEAD[0])


async def jumps(row: Row, crew: Crew) -> list[Told]:
    """All cases, in a process whose clock may be moved."""
    async with crew.room:
        child = crew.start("clocks:try_all", crew.where)
        found: list[Told] = await outcome(child)
    return [told for told in found if row.id]


async def try_all(where: Where, tell: Tell) -> None:
    """One case after the other, because there is one clock."""
    _take_over()
    found = [
        await try_case("F52", case, where)
        for case in (
            *(
                Case(
                    name=f"a wait of 2 s, clock {'ahead' if jump > 0 else 'back'} by a day",
                    asks=(Ask(fault="rate-minute:2*1"),),
                    calls=exactly(2),
                    checks=(waits_told(2.0, 2.2),),
                    play=_jumping(jump),
                )
                for jump in (DAY, -DAY)
            ),
            Case(
                name="a budget for one call a day",
                ends=(KEPT, REFUSED),
                calls=exactly(2),
                billed=exactly(2),
                play=_days,
            ),
        )
    ]
    tell("done", found)


def _take_over() -> None:
    real = time.time
    time.time = lambda: real() + _AHEAD[0]
    for name, module in list(sys.modules.items()):
        # storage compares the type itself when it reads, and asks no clock that matters here
        mine = name.startswith("heliograph.") and not name.startswith(NOT_MINE)
        if mine and getattr(module, "datetime", None) is datetime:
            setattr(module, "datetime", JumpingClock)  # noqa: B010 - mypy knows it as a type


def _jumping(seconds: float) -> Any:
    async def play(stage: Stage) -> None:
        asked = asyncio.ensure_future(stage.ask_all(stage.case.asks))
        await stage.until("retrying")
        _AHEAD[0] += seconds
        try:
            ended = (await asked)[0]
        finally:
            _AHEAD[0] -= seconds
        if ended.seconds > LONGEST:
            stage.complaints.append(f"the caller waited {ended.seconds:.1f} s")

    return play


async def _days(stage: Stage) -> None:
    """Today, tomorrow, today again, tomorrow again: each day pays once."""
    plan: Plan = await stage.client.plan("A fox", size="1K")
    await stage.client.set_budget("day", plan.estimate.high + WORDS)
    codes: list[str] = []
    for ahead in (0.0, DAY, 0.0, DAY, 0.0):
        _AHEAD[0] = ahead
        codes.append((await stage.ask(f"A fox, {len(codes)}")).code)
    _AHEAD[0] = 0.0
    if codes != [KEPT, KEPT, REFUSED, REFUSED, REFUSED]:
        stage.complaints.append(f"the days ended {', '.join(codes)}")

"""Plays cases in this process, many at once: most of them wait most of the time.

Invariant: a case that breaks, in whatever way, is one broken case and takes no other with it.
"""

import asyncio
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from heliograph.chaos.nursery import Tell
from heliograph.chaos.report import Told
from heliograph.chaos.rows import find_case
from heliograph.chaos.stage import Where, try_case
from heliograph.chaos.working import ANY_FAULT

AT_ONCE = 24


@dataclass(frozen=True, kw_only=True)
class Programme:
    """Which cases a process plays, in this order."""

    where: Where
    cases: tuple[tuple[str, str], ...]  # row id and name of the case
    at_once: int = AT_ONCE


async def play(programme: Programme, tell: Tell) -> None:
    """Play them all; says "told" with row id and `Told` for each."""
    room = asyncio.Semaphore(programme.at_once)

    async def one(row_id: str, name: str) -> None:
        async with room:
            tell("told", (row_id, await _played(row_id, name, programme.where)))

    await asyncio.gather(*(one(row_id, name) for row_id, name in programme.cases))
    tell("done", len(programme.cases))


async def _played(row_id: str, name: str, where: Where) -> Told:
    began = time.monotonic()
    case = find_case(row_id, name)
    try:
        return await try_case(row_id, case, where)
    except ANY_FAULT as error:
        lines = traceback.format_exception(error)[-6:]
        return broken(name, time.monotonic() - began, "".join(lines))


def broken(case: str, seconds: float, why: str) -> Told:
    """A trial that could not even be finished."""
    return Told(case=case, seconds=seconds, complaints=(f"it broke: {why}",))


def shares(cases: Sequence[tuple[str, str]], count: int) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Deal cases out to so many processes, in turn."""
    return tuple(tuple(cases[n::count]) for n in range(count) if cases[n::count])

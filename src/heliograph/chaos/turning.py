"""What a process does that is killed in a turn of a session.

Invariant: the session is whole before anything is killed, and its turns are asked for by keys, like
every other job.
"""

import asyncio
import time
from dataclasses import dataclass, replace

from heliograph.chaos.asking import LibraryAsker
from heliograph.chaos.evidence import Ended
from heliograph.chaos.labour import Job, Shift, killer
from heliograph.chaos.nursery import Tell
from heliograph.chaos.row import KEPT
from heliograph.chaos.working import Place, open_client
from heliograph.killpoints import armed

# numbers of the picture and the turn that a session begins with; its other turns count from 1
ORIGIN, FIRST = 90, 91
QUICK = 0.01  # seconds


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A session that has begun."""

    session: str  # id
    jobs: tuple[Job, ...]  # the picture and the turn, as they are asked for again
    place: Place  # where the next turn begins
    ended: tuple[Ended, ...]


async def work(shift: Shift, tell: Tell) -> None:
    """Begin a session, then take its turns all at once; says "begun", "ready", "ended", "done"."""
    client = open_client(shift.ground)
    asker = LibraryAsker(client)
    await asker.recover()
    origin = Job(number=ORIGIN, seconds=QUICK)
    picture = await origin.ask(asker)
    turn = Job(number=FIRST, seconds=QUICK, place=Place(of=picture.record))
    first = await turn.ask(asker)
    if first.code != KEPT or first.record is None:
        raise RuntimeError(f"the session did not begin: {picture.words} {first.words}")
    record = await client.image(first.record)
    session = str(record.session)
    again = replace(turn, place=Place(session=session, of=picture.record))
    place = Place(session=session, of=first.record)
    jobs = (origin, again)
    tell("begun", Begun(session=session, jobs=jobs, place=place, ended=(picture, first)))

    async def one(job: Job) -> None:
        tell("ended", await replace(job, place=place).ask(asker))

    tell("ready", time.time())
    with armed(killer(shift.kill)):
        await asyncio.gather(*(one(job) for job in shift.jobs))
        await client.close()
    tell("done", False)

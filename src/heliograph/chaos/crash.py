"""Crash rows, seen from the process that kills: K01 to K14, K24 and random kills.

Invariant: whoever dies, the pipe keeps what it told before; every trial ends with an inquest by a
process that had nothing to do with it.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from heliograph.chaos.asking import LOST
from heliograph.chaos.evidence import Ended, Interrupted
from heliograph.chaos.faces import LIBRARY
from heliograph.chaos.labour import ENDS, Inquest, Job, Kill, Shift
from heliograph.chaos.life import Life, inquest
from heliograph.chaos.nursery import Child, ChildBroke
from heliograph.chaos.report import Told
from heliograph.chaos.row import KEPT, Project, Row, Span, exactly
from heliograph.chaos.script import Crew
from heliograph.chaos.served import live_served
from heliograph.chaos.stage import take_ground

READY_SECONDS = 60.0  # a process on a busy machine may take to open its library


async def hear_out(child: Child, life: Life, ready: asyncio.Event) -> Life:
    """Write down what a child says until it is gone.

    Raises:
        ChildBroke: it ended with an exception.
    """
    try:
        while (message := await child.hear()) is not None:
            kind, what = message
            if kind == "ready":
                life.ready = what
                ready.set()
            elif kind == "ended":
                life.ended.append(what)
            elif kind == "begun":
                life.begun = what
            elif kind == "left":
                life.left = what
            elif kind == "done":
                life.is_done = True
        # it has said everything, and is about to leave by itself
        life.exit_code = await child.ended()
    finally:
        ready.set()
        await child.close()
        life.gone = time.time()
    return life


async def live(
    crew: Crew,
    shift: Shift,
    *,
    work: str = "labour:work",
    kill_after: float | None = None,
    stop_after: float | None = None,
) -> Life:
    """One process from its start to its end.

    Args:
        work: what it does.
        kill_after: seconds after it is ready at which it gets SIGKILL.
        stop_after: seconds after it is ready at which it gets SIGTERM.
    """
    if shift.ground.face != LIBRARY:
        return await live_served(crew, shift, kill_after=kill_after, stop_after=stop_after)
    child = crew.start(work, shift)
    ready = asyncio.Event()
    life = Life()
    hearing = asyncio.ensure_future(hear_out(child, life, ready))
    try:
        async with asyncio.timeout(READY_SECONDS):
            await ready.wait()
        if stop_after is not None:
            await asyncio.wait([hearing], timeout=stop_after)
            if not hearing.done():
                child.stop()
        if kill_after is not None:
            await asyncio.wait([hearing], timeout=kill_after)
            child.kill()
        return await hearing
    finally:
        if not hearing.done():
            child.kill()
            await asyncio.wait([hearing])


# ---------------------------------------------------------------- kills at named points


@dataclass(frozen=True, kw_only=True)
class Point:
    """A place to die at, and what must be true afterwards."""

    name: str  # of `killpoints.POINTS`
    ends: tuple[str, ...] = (KEPT,)  # of the job, asked for again with its key
    billed: Span = field(default_factory=lambda: exactly(1))  # lines for one job
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


async def at_points(row: Row, crew: Crew) -> list[Told]:
    """Every point of a row, as often as is asked for."""
    rounds = [(point, r) for point in row.facts["points"] for r in range(1, crew.repeat + 1)]
    return await crew.each(lambda each: _at_point(row, each[0], each[1], crew), rounds)


async def _at_point(row: Row, point: Point, round_: int, crew: Crew) -> Told:
    began = time.monotonic()
    # the first time alone, so that the job is known; then among others
    count = 1 if round_ == 1 else 3
    nth = min(round_, 3)
    ground = await take_ground(crew.where, f"{row.id}-{point.name}", (Project(),), point.settings)
    jobs = tuple(Job(number=n, seconds=0.1, options=point.options) for n in range(1, count + 1))
    life = await live(crew, Shift(ground=ground, jobs=jobs, kill=Kill(point=point.name, nth=nth)))
    name = f"{point.name}, {'alone' if count == 1 else f'number {nth} of {count} at once'}"
    facts = {"exit_code": life.exit_code}
    told, ends = await inquest(
        crew,
        Inquest(
            name=name,
            ground=ground,
            jobs=jobs,
            ended=tuple(life.ended),
            killed_at=life.gone,
            facts=facts,
        ),
    )
    complaints = [*told.complaints, *_not_as_told(point, life)]
    if count == 1:
        complaints += _alone(point, told, ends[jobs[0].key], point.billed)
    return crew.finished(
        ground, replace(told, complaints=tuple(complaints), seconds=time.monotonic() - began)
    )


def _not_as_told(point: Point, life: Life) -> Iterator[str]:
    if life.is_done:
        yield f"the process was not killed: {point.name} was never reached"


def _alone(point: Point, told: Told, end: str, billed: Span) -> Iterator[str]:
    if end not in point.ends:
        yield f"the job ended as {end}, not {' or '.join(point.ends)}"
    if told.billed.count not in billed:
        yield f"B is {told.billed.count}, not {billed}"


async def turns_at_points(row: Row, crew: Crew) -> list[Told]:
    """Every point of a row in a turn of a session, alone and beside another turn."""
    rounds = [(point, r) for point in row.facts["points"] for r in (1, 2)]
    return await crew.each(lambda each: _turn_at_point(row, each[0], each[1], crew), rounds)


async def _turn_at_point(row: Row, point: Point, count: int, crew: Crew) -> Told:
    began = time.monotonic()
    ground = await take_ground(crew.where, f"{row.id}-{point.name}", (Project(),), point.settings)
    turns = tuple(Job(number=n, seconds=0.1, options=point.options) for n in range(1, count + 1))
    kill = Kill(point=point.name, nth=count)
    life = await live(crew, Shift(ground=ground, jobs=turns, kill=kill), work="turning:work")
    if life.begun is None:
        raise ChildBroke("the session did not begin")
    begun = life.begun
    name = f"{point.name}, in {'a turn' if count == 1 else 'one of two turns'} of a session"
    told, ends = await inquest(
        crew,
        Inquest(
            name=name,
            ground=ground,
            jobs=(*begun.jobs, *(replace(turn, place=begun.place) for turn in turns)),
            ended=(*begun.ended, *life.ended),
            killed_at=life.gone,
            session=begun.session,
            facts={"exit_code": life.exit_code},
        ),
    )
    complaints = [*told.complaints, *_not_as_told(point, life)]
    if count == 1:
        # beside the turn itself: the picture and the turn before it, and the one after
        complaints += _alone(point, told, ends[turns[0].key], point.billed + exactly(3))
    return crew.finished(
        ground, replace(told, complaints=tuple(complaints), seconds=time.monotonic() - began)
    )


# ---------------------------------------------------------------- drained, then killed


async def drained(row: Row, crew: Crew) -> list[Told]:
    """SIGTERM lets calls under way finish; SIGKILL at the limit leaves them as at any kill."""

    async def one(limit: tuple[str, float, float]) -> Told:
        name, model_seconds, patience = limit
        began = time.monotonic()
        ground = await take_ground(crew.where, row.id)
        jobs = tuple(Job(number=n, seconds=model_seconds) for n in range(1, 9))
        shift = Shift(ground=ground, jobs=jobs, at_once=4)
        life = await live(crew, shift, stop_after=0.4, kill_after=patience)
        told, _ = await inquest(
            crew,
            Inquest(
                name=name,
                ground=ground,
                jobs=jobs,
                ended=tuple(life.ended),
                killed_at=life.gone,
                facts={"exit_code": life.exit_code, "finished_first": len(life.ended)},
            ),
        )
        complaints = [*told.complaints, *_goodbye(life)]
        # a gateway is asked from outside, so one more may slip in before the signal
        finished = min(4, len(life.ended)) if ground.face != LIBRARY else len(life.ended)
        if patience > model_seconds and (life.exit_code != 0 or finished != 4):
            complaints.append(f"it finished {len(life.ended)} of 4 and left with {life.exit_code}")
        if patience < model_seconds and life.is_done:
            complaints.append("it was not killed")
        told = replace(told, complaints=tuple(complaints), seconds=time.monotonic() - began)
        return crew.finished(ground, told)

    limits = [("within the limit", 1.0, 20.0), ("at the limit", 4.0, 0.5)]
    return await crew.each(one, limits)


def _goodbye(life: Life) -> Iterator[str]:
    """What a gateway that stops owes those who still ask."""
    if life.unready is not None and life.unready > 1.0:
        yield f"it called itself ready for {life.unready:.2f} s after the signal"
    for ended in life.away:
        yield from ended.wrong
        if ended.code != LOST and (ended.charged != "no" or not ended.retry_after):
            yield f"a caller was sent away without a word on cost or time: {ended.words[:200]}"


# ---------------------------------------------------------------- kills at random moments


@dataclass(frozen=True, kw_only=True)
class Storm:
    """Kills at random moments, and what goes on between them."""

    name: str
    kills: int | None  # None: until all jobs are done
    jobs: int  # at most
    at_once: int
    seconds: float  # the model takes
    every: tuple[float, float]  # seconds between kills
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_measured: bool = True


async def storm(crew: Crew, weather: Storm, chance: random.Random) -> Told:
    """Kill a library's process again and again until enough kills have met it."""
    began = time.monotonic()
    ground = await take_ground(crew.where, weather.name, (Project(),), weather.settings)
    ended: dict[str, Ended] = {}
    interrupted: list[Interrupted] = []
    kills, gone, begun = 0, 0.0, 0
    while len(ended) < weather.jobs:
        is_over = weather.kills is not None and kills >= weather.kills
        open_jobs = [n for n in range(1, begun + 1) if f"job-{n}" not in ended]
        ahead = 0 if is_over else weather.at_once * 64
        fresh = range(begun + 1, min(begun + ahead, weather.jobs) + 1)
        if not open_jobs and not fresh:
            break
        jobs = tuple(Job(number=n, seconds=weather.seconds) for n in (*open_jobs, *fresh))
        shift = Shift(ground=ground, jobs=jobs, at_once=weather.at_once, killed_at=gone)
        pause = None if is_over else chance.uniform(*weather.every)
        life = await live(crew, shift, kill_after=pause)
        interrupted += life.left
        ended |= {e.key: e for e in life.ended if e.code in ENDS and e.key}
        killed = not life.is_done
        gone = life.gone if killed else 0.0
        kills += killed
        heard = max([0, *_numbers(ended), *(one.number or 0 for one in life.left)])
        # jobs are taken in order: as many as are made at once may be begun behind those heard of
        behind = weather.at_once if killed else 0
        begun = min(weather.jobs, max(begun, heard + behind))
        crew.say(f"{weather.name}: {kills} kills, {len(ended)} jobs")
    jobs = tuple(Job(number=n, seconds=weather.seconds) for n in range(1, begun + 1))
    told, _ = await inquest(
        crew,
        Inquest(
            name=weather.name,
            ground=ground,
            jobs=_sample(jobs, chance),
            ended=tuple(ended.values()),
            interrupted=tuple(interrupted),
            killed_at=gone,
            is_measured=weather.is_measured,
            facts={"kills": kills, "jobs": begun},
        ),
    )
    return crew.finished(ground, replace(told, seconds=time.monotonic() - began))


def _numbers(ended: Mapping[str, Ended]) -> list[int]:
    return [int(key.rpartition("-")[2]) for key in ended]


def _sample(jobs: Sequence[Job], chance: random.Random, most: int = 500) -> tuple[Job, ...]:
    """The jobs whose keys are asked for again at the end."""
    return tuple(jobs) if len(jobs) <= most else tuple(chance.sample(list(jobs), most))


async def random_kills(row: Row, crew: Crew) -> list[Told]:
    """A hundred kills in a few libraries, at moments that only chance knows."""
    storms, kills = row.facts["storms"], row.facts["kills"] * max(1, crew.repeat // 3)

    async def one(number: int) -> Told:
        weather = Storm(
            name=f"{row.id}-{number}",
            kills=kills // storms,
            jobs=100_000,
            at_once=4,
            seconds=0.5,
            every=(0.2, 1.6),
        )
        return await storm(crew, weather, random.Random(f"{crew.where.seed}:{number}"))  # noqa: S311

    return await crew.each(one, range(1, storms + 1))


async def soak(row: Row, crew: Crew) -> list[Told]:
    """Ten thousand jobs under a kill every 1 to 5 s."""
    weather = Storm(
        name=row.id,
        kills=None,
        jobs=row.facts["jobs"],
        at_once=8,
        seconds=0.2,
        every=(1.0, 5.0),
    )
    told = await storm(crew, weather, random.Random(f"{crew.where.seed}:soak"))  # noqa: S311
    complaints = list(told.complaints)
    if told.facts["jobs"] < row.facts["jobs"]:
        complaints.append(f"only {told.facts['jobs']} jobs were asked for")
    return [replace(told, complaints=tuple(complaints))]

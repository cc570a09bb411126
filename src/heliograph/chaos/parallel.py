"""Many at once: budgets, two processes on one library, submitted calls.

Invariant: what is counted is what upstream billed, and nothing else.
"""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, replace

from heliograph.chaos.crash import live
from heliograph.chaos.evidence import Ended, Evidence
from heliograph.chaos.labour import ENDS, Inquest, Job, Shift
from heliograph.chaos.life import inquest
from heliograph.chaos.nursery import Tell, outcome
from heliograph.chaos.report import Told, told_by
from heliograph.chaos.row import KEPT, Project, Row
from heliograph.chaos.script import Crew
from heliograph.chaos.stage import take_ground
from heliograph.chaos.working import Ground, ask, open_client, read_library

REFUSED = "budget_exceeded"
UNKNOWN_PERCENT = 5  # of the calls whose process dies between submitting and writing that down
MODEL_SECONDS = 1.5  # long enough for everybody to ask before the first one is settled


# ---------------------------------------------------------------- budgets


@dataclass(frozen=True, kw_only=True)
class Round:
    """Requests that ask at once for a budget that has room for a few."""

    ground: Ground
    number: int
    asks: int
    first: int = 0  # number of the first request


async def budgets(row: Row, crew: Crew) -> list[Told]:
    """200 requests for a budget of 10, round after round, from one process or from two."""
    async with crew.room:
        return [await _budgets(row, crew)]


async def _budgets(row: Row, crew: Crew) -> Told:
    processes = row.facts["processes"]
    rounds = row.facts["rounds"] * max(1, crew.repeat // 3)
    asks, room = row.facts["asks"], row.facts["room"]
    began = time.monotonic()
    projects = (Project(habits={"latency": MODEL_SECONDS}),)
    ground = await take_ground(crew.where, row.id, projects)
    await _set_budgets(ground, rounds, room)
    ended: list[Ended] = []
    complaints: list[str] = []
    for number in range(1, rounds + 1):
        share = asks // processes
        orders = [
            Round(ground=ground, number=number, asks=share, first=n * share)
            for n in range(processes)
        ]
        found = await asyncio.gather(
            *(outcome(crew.start("parallel:one_round", order)) for order in orders)
        )
        told = [each for batch in found for each in batch]
        codes = Counter(each.code for each in told)
        if codes != {KEPT: room, REFUSED: asks - room}:
            complaints.append(f"round {number} ended {dict(codes)}")
        ended += told
        crew.say(f"{row.id}: round {number} of {rounds}")
    seen = Evidence(
        ours=await read_library(ground.home),
        bill=await ground.desk.closed_bill(ground.projects),
        ended=tuple(ended),
        home=ground.home,
        facts={"rounds": rounds, "asks": asks, "room": room, "processes": processes},
    )
    if len(seen.bill) != rounds * room:
        complaints.append(f"C is {len(seen.bill)}, not {rounds * room}")
    found_out = told_by(seen, f"{rounds} rounds", time.monotonic() - began, complaints)
    return crew.finished(ground, found_out)


async def _set_budgets(ground: Ground, rounds: int, room: int) -> None:
    async with open_client(ground) as client:
        # the words of the requests: the worst price counts them, too
        plan = await client.plan(_words(1, 1), size="1K")
        for number in range(1, rounds + 1):
            await client.set_budget(f"tag/round-{number}", room * plan.estimate.high)


def _words(round_: int, request: int) -> str:
    return f"A fox, round {round_:03d}, request {request:03d}"


async def one_round(order: Round, tell: Tell) -> None:
    """One process's share of a round."""
    options = {"tags": (f"round-{order.number}",)}
    async with open_client(order.ground) as client:
        asked = [
            ask(client, _words(order.number, order.first + n), options) for n in range(order.asks)
        ]
        tell("done", list(await asyncio.gather(*asked)))


# ---------------------------------------------------------------- two processes, one library


async def shared(row: Row, crew: Crew) -> list[Told]:
    """Two processes ask for the same keys at the same time; in one trial one of them dies."""

    async def one(what: tuple[str, float | None]) -> Told:
        name, death = what
        began = time.monotonic()
        ground = await take_ground(crew.where, row.id)
        jobs = tuple(Job(number=n, seconds=0.3) for n in range(1, row.facts["jobs"] + 1))
        shift = Shift(ground=ground, jobs=jobs, at_once=8)
        lives = await asyncio.gather(
            live(crew, shift, kill_after=death), live(crew, replace(shift, jobs=jobs[::-1]))
        )
        ended = tuple(each for life in lives for each in life.ended)
        told, ends = await inquest(
            crew,
            Inquest(name=name, ground=ground, jobs=jobs, ended=ended, killed_at=lives[0].gone),
        )
        complaints = list(told.complaints)
        if told.calls > len(jobs):
            complaints.append(f"{told.calls} calls for {len(jobs)} keys")
        unknown = sum(code != KEPT for code in ends.values())
        if death is None and (unknown or told.calls != len(jobs)):
            complaints.append(f"{told.calls} calls, {unknown} keys without an image")
        told = replace(told, complaints=tuple(complaints), seconds=time.monotonic() - began)
        return crew.finished(ground, told)

    trials: list[tuple[str, float | None]] = [("both live", None)]
    trials += [(f"one dies after {after} s", after) for after in (0.2, 0.5, 0.8)]
    return await crew.each(one, trials)


# ---------------------------------------------------------------- submit, then fetch


async def submitted(row: Row, crew: Crew) -> list[Told]:
    """200 calls of 2 to 6 s are submitted, the process dies midway, another one fetches them."""
    async with crew.room:
        return [await _submitted(row, crew)]


async def _submitted(row: Row, crew: Crew) -> Told:
    count, after = row.facts["jobs"], row.facts["after"]
    chance = random.Random(f"{crew.where.seed}:{row.id}")  # noqa: S311
    began = time.monotonic()
    settings = {"transport": "interactions"}
    ground = await take_ground(crew.where, row.id, (Project(),), settings)
    jobs = tuple(
        Job(number=n, seconds=round(chance.uniform(2.0, 6.0), 3)) for n in range(1, count + 1)
    )
    life = await live(crew, Shift(ground=ground, jobs=jobs, at_once=count), kill_after=after)
    told, ends = await inquest(
        crew,
        Inquest(
            name=f"killed after {after:g} s",
            ground=ground,
            jobs=jobs,
            ended=tuple(life.ended),
            killed_at=life.gone,
            facts={"answered_before_the_kill": len(life.ended)},
        ),
    )
    complaints = list(told.complaints)
    if life.is_done:
        complaints.append("it was not killed midway")
    unknown = [key for key, code in ends.items() if code != KEPT]
    if len(unknown) * 100 > UNKNOWN_PERCENT * count:
        complaints.append(f"{len(unknown)} of {count} are unknown")
    if any(code not in ENDS for code in ends.values()):
        complaints.append(f"some ended otherwise: {dict(Counter(ends.values()))}")
    told = replace(
        told,
        complaints=tuple(complaints),
        seconds=time.monotonic() - began,
        facts={**told.facts, "unknown": len(unknown), "jobs": count},
    )
    return crew.finished(ground, told)

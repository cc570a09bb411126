"""K26: the power fails at every moment of a run, and each library that may be found is recovered.

Invariant: an image is judged by what upstream had been sent by then, and by nothing later.
"""

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heliograph.chaos.bill import BillLine
from heliograph.chaos.disk import Loss, Recording, lay_out, losses
from heliograph.chaos.evidence import Ended, Evidence, Ours
from heliograph.chaos.invariants import violations
from heliograph.chaos.labour import Job
from heliograph.chaos.nursery import Tell, outcome
from heliograph.chaos.recorder import Recorder
from heliograph.chaos.report import Told, told_by
from heliograph.chaos.row import KEPT, Row
from heliograph.chaos.script import Crew
from heliograph.chaos.stage import take_ground
from heliograph.chaos.working import ANY_FAULT, Ground, age, ask, open_client, read_library
from heliograph.killpoints import armed

STRUCK = "job-struck"  # the key of the one job that fails upstream
UNKNOWN = "outcome_unknown"
SHOWN = 5  # complaints of one image that are kept
MOST = 60  # complaints of all images that are kept


@dataclass(frozen=True, kw_only=True)
class Outage:
    """One recorded run."""

    name: str
    ground: Ground
    jobs: tuple[Job, ...]
    fault: str = ""  # strikes a further job
    scratch: Path
    kills: int = 1  # see `disk.losses`


async def losses_of(row: Row, crew: Crew) -> list[Told]:
    """Record a few runs, each in its own process, and recover whatever could be found."""

    async def one(what: tuple[str, int, str]) -> Told:
        name, count, fault = what
        ground = await take_ground(crew.where, f"{row.id}-{name.replace(' ', '-')}")
        jobs = tuple(Job(number=n, seconds=0.05) for n in range(1, count + 1))
        order = Outage(
            name=name,
            ground=ground,
            jobs=jobs,
            fault=fault,
            scratch=crew.where.folder / f"{ground.home.name}-images",
            kills=4 if crew.repeat <= row.facts["repeats"] else 1,
        )
        told: Told = await outcome(crew.start("power:black_out", order))
        return crew.finished(ground, told)

    return await crew.each(one, row.facts["runs"])


async def black_out(outage: Outage, tell: Tell) -> None:
    """Record, then recover every image; says "done" with `Told`."""
    began = time.monotonic()
    recorder = Recorder(outage.ground.home)
    ended = await _record(outage, recorder)
    bill = await outage.ground.desk.closed_bill(outage.ground.projects)
    found = losses(recorder.recording, kills=outage.kills)
    complaints = [f"{e.key} ended as {e.code}: {e.words[:300]}" for e in ended if _is_odd(e)]
    for number, loss in enumerate(found):
        home = outage.scratch / f"{number:04d}-{loss.how.replace(' ', '-')}"
        complaints += await _found(outage, recorder.recording, loss, bill, home)
    seen = Evidence(
        ours=await read_library(outage.ground.home),
        bill=bill,
        ended=ended,
        home=outage.ground.home,
        facts={
            "moments": len(recorder.recording.frames),
            "images": len(found),
            "by_kind": {how: sum(x.how == how for x in found) for how in _kinds(found)},
        },
    )
    more = [f"and {len(complaints) - MOST} more"] if len(complaints) > MOST else []
    told = told_by(seen, outage.name, time.monotonic() - began, [*complaints[:MOST], *more])
    tell("done", told)


def _is_odd(ended: Ended) -> bool:
    return ended.code != (UNKNOWN if ended.key == STRUCK else KEPT)


def _kinds(found: Sequence[Loss]) -> list[str]:
    return sorted({loss.how for loss in found})


async def _record(outage: Outage, recorder: Recorder) -> tuple[Ended, ...]:
    with recorder.on(), armed(recorder.reached):
        async with open_client(outage.ground) as client:
            asked = [ask(client, job.prompt, job.options, job.key) for job in outage.jobs]
            if outage.fault:
                prompt = f"A fox in the dark [[fault:{outage.fault}]]"
                asked.append(ask(client, prompt, {}, STRUCK))
            return tuple(await asyncio.gather(*asked))


async def _found(
    outage: Outage, recording: Recording, loss: Loss, bill: tuple[BillLine, ...], home: Path
) -> list[str]:
    """Recover one image; what does not hold afterwards."""
    await asyncio.to_thread(_lay_out, recording, loss, home)
    await asyncio.to_thread(age, home)
    ground = Ground(**{**vars(outage.ground), "home": home})
    mark = f"power lost before {loss.before} ({loss.how}, {home.name})"
    try:
        async with open_client(ground) as client:
            await client.recover()
        ours = await read_library(home)
    except ANY_FAULT as error:
        return [f"{mark}: cannot be recovered, {type(error).__name__}: {error}"]
    wrong: list[str] = []
    # the same image may be left by several moments; upstream knew least at the first of them
    for at in sorted({loss.first, loss.last}):
        known = tuple(line for line in bill if line.read is not None and line.read <= at)
        wrong += [str(v) for v in violations(_evidence(ours, known, home))]
    if not wrong:
        await asyncio.to_thread(shutil.rmtree, home)
        return []
    return [f"{mark}: {what}" for what in dict.fromkeys(wrong)][:SHOWN]


def _evidence(ours: Ours, bill: tuple[BillLine, ...], home: Path) -> Evidence:
    return Evidence(ours=ours, bill=bill, home=home)


def _lay_out(recording: Recording, loss: Loss, home: Path) -> None:
    home.mkdir(parents=True)
    for folder in loss.image.folders:
        (home / folder).mkdir(parents=True, exist_ok=True)
    for path, data in lay_out(recording, loss.image):
        target = home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

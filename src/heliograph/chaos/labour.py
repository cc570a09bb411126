"""What processes that are killed do, and what the ones after them do: this is their side.

Invariant: a job is asked for by its idempotency key, always the same, so that asking again after a
crash is what a careful caller would do.
"""

import asyncio
import math
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.chaos.asking import Asker, LibraryAsker, open_asker
from heliograph.chaos.bill import label
from heliograph.chaos.evidence import Ended, Evidence, Interrupted
from heliograph.chaos.invariants import after_a_kill
from heliograph.chaos.nursery import Tell
from heliograph.chaos.report import told_by
from heliograph.chaos.row import KEPT
from heliograph.chaos.trees import goes_on
from heliograph.chaos.working import (
    Ground,
    Place,
    age,
    open_client,
    read_library,
    read_open_calls,
)
from heliograph.journal import CallEntry, Stage
from heliograph.killpoints import armed

ENDS = (KEPT, "outcome_unknown")  # after these a job is not asked for again
TOGETHER = 32  # asked at once when keys are asked for again
TRIES = 6  # of a request that a gateway asks to send again


@dataclass(frozen=True, kw_only=True)
class Job:
    """One thing asked for."""

    number: int
    seconds: float  # the model takes
    options: Mapping[str, Any] = field(default_factory=dict)
    place: Place | None = None  # where it begins, when it is a turn of a session

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"job-{self.number}"

    @property
    def prompt(self) -> str:
        """Its words, with the number for the emulator's ledger."""
        tag = label(self.number, self.seconds)
        return f"A fox on a hill, picture {self.number} [[fault:{tag}]]"

    async def ask(self, asker: Asker) -> Ended:
        """Ask for it, and say how that ended."""
        return await asker.ask(self.prompt, self.options, self.key, self.place)


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Where a process kills itself."""

    point: str  # of `killpoints.POINTS`
    nth: int  # time that it is reached


@dataclass(frozen=True, kw_only=True)
class Shift:
    """What one process is to do before it ends, or is ended."""

    ground: Ground
    jobs: tuple[Job, ...]
    at_once: int = 4
    kill: Kill | None = None
    killed_at: float = 0.0  # when the process before it died; 0 when it is the first


async def work(shift: Shift, tell: Tell) -> None:
    """Ask for the jobs; says "left" (open calls found), "ready", "ended" for each, "done".

    SIGTERM makes it take no new job and finish what is under way.
    """
    if shift.killed_at:
        tell("left", await read_open_calls(shift.ground.home, shift.killed_at))
    client = open_client(shift.ground)
    asker = LibraryAsker(client)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await client.recover()
    room = asyncio.Semaphore(shift.at_once)

    async def one(job: Job) -> None:
        async with room:
            if not stopping.is_set():
                tell("ended", await job.ask(asker))

    tell("ready", time.time())
    with armed(killer(shift.kill)):
        await asyncio.gather(*(one(job) for job in shift.jobs))
        await client.close()
    tell("done", stopping.is_set())


def killer(kill: Kill | None) -> Callable[[str], None]:
    """What to call with every point that is reached: it ends this process at the right one."""
    reached = 0

    def act(point: str) -> None:
        nonlocal reached
        if kill is None or point != kill.point:
            return
        reached += 1
        if reached == kill.nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


# ---------------------------------------------------------------- afterwards


@dataclass(frozen=True, kw_only=True)
class Inquest:
    """What is to be held against each other once all killing is over."""

    name: str
    ground: Ground
    jobs: tuple[Job, ...]  # asked for again by their keys, twice
    ended: tuple[Ended, ...] = ()  # what earlier processes told before they died
    interrupted: tuple[Interrupted, ...] = ()
    killed_at: float = 0.0  # when the last process died; 0 when it ended by itself
    replays: bool = True  # whether keys are asked for a second time
    is_measured: bool = False  # whether the share of unknowns is judged
    session: str | None = None  # id of the session that the jobs are turns of
    facts: Mapping[str, Any] = field(default_factory=dict)


async def inquire(inquest: Inquest, tell: Tell) -> None:
    """Recover, ask again, read both ledgers; says "done" with `Told`, its `ended` in the facts."""
    began = time.monotonic()
    ground = inquest.ground
    left: tuple[Interrupted, ...] = ()
    if inquest.killed_at:
        left = await read_open_calls(ground.home, inquest.killed_at)
    await asyncio.to_thread(age, ground.home)
    async with open_asker(ground, tries=TRIES) as asker:
        await asker.recover()
        ended = await ask_each(asker, inquest.jobs)
        complaints: list[str] = []
        if inquest.replays:
            calls = len(await ground.desk.bill(ground.projects))
            again = await ask_each(asker, inquest.jobs)
            complaints += _replay_complaints(ended, again)
            more = len(await ground.desk.bill(ground.projects)) - calls
            if more:
                complaints.append(f"asking again with the same keys made {more} calls")
            ended += again
        if inquest.session is not None and isinstance(asker, LibraryAsker):
            complaints += await goes_on(asker.client, inquest.session, ended)
        if left_open := await asker.unfinished():
            complaints.append(f"{left_open} jobs of the gateway are at no end")
    bill = await ground.desk.closed_bill(ground.projects)
    complaints += [f"{line.call} was refused with 400" for line in bill if line.status == 400]
    seen = Evidence(
        ours=await read_library(ground.home),
        bill=bill,
        ended=(*inquest.ended, *ended),
        interrupted=(*inquest.interrupted, *left),
        home=ground.home,
        facts={**inquest.facts, **_counts(seen_stages=left)},
    )
    complaints += [str(violation) for violation in after_a_kill(seen)]
    if inquest.is_measured:
        share = unknown_share(seen)
        complaints += share.complaints()
        seen = _with_facts(seen, {"unknowns": share.as_dict()})
    complaints += dict.fromkeys(what for e in (*inquest.ended, *ended) for what in e.wrong)
    wrong = [e for e in ended if e.code not in ENDS]
    complaints += [f"{e.key} ended as {e.code}: {e.words[:200]}" for e in wrong[:5]]
    told = told_by(seen, inquest.name, time.monotonic() - began, complaints)
    tell("ends", tuple((e.key, e.code) for e in ended))
    tell("done", told)


async def ask_each(asker: Asker, jobs: tuple[Job, ...]) -> list[Ended]:
    """Ask for every job by its key."""
    room = asyncio.Semaphore(TOGETHER)

    async def one(job: Job) -> Ended:
        async with room:
            return await job.ask(asker)

    return await asyncio.gather(*(one(job) for job in jobs))


def _replay_complaints(first: list[Ended], again: list[Ended]) -> list[str]:
    return [
        f"{one.key} ended as {one.code} and then as {two.code}"
        for one, two in zip(first, again, strict=True)
        if (one.code, one.sha256) != (two.code, two.sha256)
    ]


def _counts(*, seen_stages: tuple[Interrupted, ...]) -> dict[str, Any]:
    counted = Counter(one.stage.value for one in seen_stages)
    return {"left_open": dict(sorted(counted.items()))} if counted else {}


def _with_facts(seen: Evidence, facts: Mapping[str, Any]) -> Evidence:
    return Evidence(**{**vars(seen), "facts": {**seen.facts, **facts}})


# ---------------------------------------------------------------- how many are unknown


@dataclass(frozen=True, kw_only=True)
class UnknownShare:
    """Unknown calls against the time in which a kill must leave one behind, in tenths of percent.

    Attributes:
        interrupted: calls that a kill met, and how many of them became unknown.
        time: share of the time of all calls that lay between SENT and RECEIVED.
    """

    calls: int
    interrupted: int
    unknown: int
    time: int

    @property
    def of_all(self) -> int:
        """Unknown ones of all calls."""
        return self.unknown * 1000 // max(1, self.calls)

    @property
    def of_interrupted(self) -> int:
        """Unknown ones of those that a kill met."""
        return self.unknown * 1000 // max(1, self.interrupted)

    @property
    def chance(self) -> int:
        """Three standard deviations of the share that kills at random moments would meet."""
        share = self.time / 1000
        return round(3000 * math.sqrt(share * (1 - share) / max(1, self.interrupted)))

    @property
    def chance_of_all(self) -> int:
        """The same for all calls: near to it where the machine is so slow that hardly one of them
        ends before the next kill."""
        return self.chance * self.interrupted // max(1, self.calls)

    def complaints(self) -> list[str]:
        """What is wrong with it: flagging everything as unknown must not pass."""
        found = []
        if self.of_all > self.time + 20 + self.chance_of_all:
            found.append(
                f"{self.of_all / 10} % of all calls are unknown, and {self.time / 10} % of their "
                "time lay between SENT and RECEIVED"
            )
        if self.of_interrupted > self.time + 20 + self.chance:
            found.append(
                f"{self.of_interrupted / 10} % of the interrupted calls are unknown, and "
                f"{self.time / 10} % of their time lay between SENT and RECEIVED"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "calls": self.calls,
            "interrupted": self.interrupted,
            "unknown": self.unknown,
            "percent_of_all_calls": self.of_all / 10,
            "percent_of_interrupted_calls": self.of_interrupted / 10,
            "percent_of_time_between_sent_and_received": self.time / 10,
            "percent_that_chance_may_add": self.chance / 10,
        }


def unknown_share(seen: Evidence) -> UnknownShare:
    """Count unknown calls, and add up where the calls spent their time."""
    deaths = {one.call: one.killed_at for one in seen.interrupted}
    in_doubt = total = 0.0
    for call in seen.ours.calls:
        sent, whole = _times(call, deaths.get(call.id))
        in_doubt += sent
        total += whole
    return UnknownShare(
        calls=len(seen.ours.calls),
        interrupted=len(seen.interrupted),
        unknown=sum(call.stage.is_doubtful for call in seen.ours.calls),
        time=round(1000 * in_doubt / total) if total else 0,
    )


def _times(call: CallEntry, death: float | None) -> tuple[float, float]:
    """Seconds between SENT and RECEIVED, and seconds in all, of a call while its process lived."""
    ends = [step.at.timestamp() for step in call.trail[1:]] + [call.changed.timestamp()]
    sent = whole = 0.0
    for step, end in zip(call.trail, ends, strict=True):
        start = step.at.timestamp()
        end = end if death is None else min(end, death)
        length = max(0.0, end - start)
        whole += length
        sent += length if step.stage is Stage.SENT else 0.0
    return sent, whole

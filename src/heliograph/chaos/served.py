"""Gateways that are killed while clients ask, seen from those clients: K01 to K14, K23 to K25.

Invariant: who asks is another process than the gateway, so a kill is what it is for a caller: a
connection that ends; and what an answer said before is kept.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from heliograph.accounts import key_id
from heliograph.chaos.asking import AWAY, LOST, FaceAsker
from heliograph.chaos.evidence import Ended
from heliograph.chaos.labour import Inquest, Job, Kill, Shift
from heliograph.chaos.life import Life, inquest
from heliograph.chaos.nursery import Child, ChildBroke
from heliograph.chaos.report import Told
from heliograph.chaos.row import KEPT, Row
from heliograph.chaos.script import Crew
from heliograph.chaos.speaking import LostConnection, speak
from heliograph.chaos.stage import take_ground
from heliograph.chaos.working import Ground, read_open_calls
from heliograph.storage import open_storage

READY_SECONDS = 60.0  # a gateway on a busy machine may take to answer
LEAVING_SECONDS = 60.0  # and to leave
TRIES = 6  # of a request that is to be sent again
ANSWER_SECONDS = 30.0  # the gateway that lives may take to answer for both
SOON = 1.0  # seconds until a revoked key opens nothing, and until who stops says so
REFUSED = "unauthenticated"


@dataclass
class House:
    """A gateway process, and what it told."""

    child: Child
    url: str = ""
    exit_code: int | None = None
    is_done: bool = False  # it left by itself
    gone: float = 0.0  # seconds since 1970
    said: list[str] = field(default_factory=list)

    def asker(self, ground: Ground, *, tries: int = TRIES) -> FaceAsker:
        """Somebody who asks it through the trial's face."""
        return FaceAsker(self.url, ground.face, ground.key, tries=tries)


async def open_house(crew: Crew, ground: Ground, kill: Kill | None = None) -> House:
    """Start a gateway, and wait until it answers.

    Raises:
        ChildBroke: it ended with an exception, or before it answered.
    """
    # the server is loaded where it is used
    from heliograph.chaos.standing import Service

    house = House(child=crew.start("standing:stand", Service(ground=ground, kill=kill)))
    async with asyncio.timeout(READY_SECONDS):
        message = await house.child.hear()
    if message is None or message[0] != "ready":
        await house.child.close()
        raise ChildBroke("the gateway ended before it answered")
    house.url = message[1]
    return house


async def see_off(house: House) -> None:
    """Hear a gateway out until its process is gone.

    Raises:
        ChildBroke: it ended with an exception.
    """
    try:
        while (message := await house.child.hear()) is not None:
            if message[0] == "done":
                house.is_done = True
            elif message[0] == "said":
                house.said.append(message[1])
        house.exit_code = await house.child.ended()
    finally:
        await house.child.close()
        house.gone = time.time()


async def live_served(
    crew: Crew, shift: Shift, *, kill_after: float | None = None, stop_after: float | None = None
) -> Life:
    """One gateway from its start to its end, and clients that ask it meanwhile.

    Args:
        kill_after: seconds after it answers, or after the signal to stop, at which it gets SIGKILL.
        stop_after: seconds after it answers at which it gets SIGTERM, or later, when as many calls
            as are made at once have begun.
    """
    life = Life()
    if shift.killed_at:
        life.left = await read_open_calls(shift.ground.home, shift.killed_at)
    house = await open_house(crew, shift.ground, shift.kill)
    life.ready = time.time()
    asking = asyncio.ensure_future(_ask(house, shift, life, patient=stop_after is None))
    leaving = asyncio.ensure_future(see_off(house))
    try:
        if stop_after is not None:
            await asyncio.wait([leaving], timeout=stop_after)
            await _under_way(shift)
            house.child.stop()
            life.unready = await _seconds_until_unready(house.url)
            await asyncio.wait([leaving], timeout=kill_after)
        else:
            await asyncio.wait([asking, leaving], timeout=kill_after, return_when="FIRST_COMPLETED")
        if kill_after is not None and not leaving.done() and not asking.done():
            house.child.kill()
        if not leaving.done() and house.child.is_alive:
            house.child.stop()  # everything was answered
        await asyncio.wait([leaving], timeout=LEAVING_SECONDS)
        await asking
    finally:
        if house.child.is_alive:
            house.child.kill()
        await asyncio.gather(leaving, asking)
    life.is_done, life.exit_code, life.gone = house.is_done, house.exit_code, house.gone
    return life


async def _ask(house: House, shift: Shift, life: Life, *, patient: bool) -> None:
    asker = house.asker(shift.ground, tries=TRIES if patient else 1)
    room = asyncio.Semaphore(shift.at_once)

    async def one(job: Job) -> None:
        async with room:
            ended = await job.ask(asker)
            (life.away if ended.code in AWAY else life.ended).append(ended)

    await asyncio.gather(*(one(job) for job in shift.jobs))


async def _under_way(shift: Shift) -> None:
    """Wait until upstream has as many calls as are made at once, on a busy machine, too.

    Raises:
        TimeoutError: it never does.
    """
    async with asyncio.timeout(READY_SECONDS):
        while len(await shift.ground.desk.bill(shift.ground.projects)) < shift.at_once:  # noqa: ASYNC110 another process counts
            await asyncio.sleep(0.05)


async def _seconds_until_unready(url: str) -> float:
    """How long a gateway that was told to stop still calls itself ready.

    Told by when the last question left that it answered so: how long an answer takes on a busy
    machine is no matter of the gateway's.
    """
    start, asked = time.monotonic(), 0.0
    while time.monotonic() - start < 2 * SOON:
        now = time.monotonic() - start
        try:
            if (await speak(url, "/readyz", method="GET")).status == 503:
                break
        except LostConnection:
            break
        asked = now
        await asyncio.sleep(0.02)
    return asked


# ---------------------------------------------------------------- revoked, then killed


async def revoked(row: Row, crew: Crew) -> list[Told]:
    """K23: a key is revoked, beside the gateway or through it, which is killed right afterwards."""
    return await crew.each(lambda through: _revoked(row, crew, through=through), (False, True))


async def _revoked(row: Row, crew: Crew, *, through: bool) -> Told:
    began = time.monotonic()
    ground = await take_ground(crew.where, row.id)
    first, last = Job(number=1, seconds=0.05), Job(number=2, seconds=0.05)
    complaints: list[str] = []
    house = await open_house(crew, ground)
    leaving = asyncio.ensure_future(see_off(house))
    asker = house.asker(ground, tries=1)
    ended = [await first.ask(asker)]
    facts: dict[str, Any] = {}
    try:
        if through:
            await _revoke_through(house, ground)
        else:
            await _revoke_beside(ground)
            facts["seconds_until_refused"] = await _seconds_until_refused(asker, first, complaints)
        house.child.kill()
        await leaving
    finally:
        house.child.kill()
    again = await open_house(crew, ground)
    leaving = asyncio.ensure_future(see_off(again))
    for job in (first, last):
        code = (await job.ask(again.asker(ground, tries=1))).code
        if code != REFUSED:
            complaints.append(f"after the restart the revoked key is answered {code}")
    again.child.stop()
    await leaving
    told, _ = await inquest(
        crew,
        Inquest(
            name="through the gateway, killed at once" if through else "beside the running gateway",
            ground=replace(ground, face="library"),
            jobs=(),
            ended=tuple(ended),
            killed_at=house.gone,
            facts=facts,
        ),
    )
    if ended[0].code != KEPT or told.calls != 1:
        complaints.append(f"the key was answered {ended[0].code} before, with {told.calls} calls")
    complaints = [*told.complaints, *complaints]
    told = replace(told, complaints=tuple(complaints), seconds=time.monotonic() - began)
    return crew.finished(ground, told)


async def _revoke_beside(ground: Ground) -> None:
    """As `heliograph keys revoke` does, in another process than the gateway's."""
    storage = await asyncio.to_thread(open_storage, ground.home)
    try:
        await storage.accounts.revoke_key(key_id(ground.key) or "", datetime.now(UTC))
    finally:
        await storage.close()


async def _revoke_through(house: House, ground: Ground) -> None:
    answer = await speak(
        house.url,
        f"/api/v1/keys/{key_id(ground.key)}",
        method="DELETE",
        headers={"authorization": f"Bearer {ground.admin_key}"},
    )
    if answer.status not in (200, 204):
        raise ChildBroke(f"the key could not be revoked: {answer.status} {answer.body[:200]!r}")


async def _seconds_until_refused(asker: FaceAsker, known: Job, complaints: list[str]) -> float:
    """How long the key still opens; its idempotency key makes that free."""
    start = time.monotonic()
    while (code := (await known.ask(asker)).code) == KEPT:
        if time.monotonic() - start > 10 * SOON:
            break
        await asyncio.sleep(0.02)
    passed = time.monotonic() - start
    if code != REFUSED or passed > SOON:
        complaints.append(f"after {passed:.2f} s the revoked key is answered {code}")
    return round(passed, 3)


# ---------------------------------------------------------------- two gateways, one library


async def two_gateways(row: Row, crew: Crew) -> list[Told]:
    """K25: two gateways on one library, asked for the same keys; one of them dies."""
    return await crew.each(lambda after: _two_gateways(row, crew, after), row.facts["kill_after"])


async def _two_gateways(row: Row, crew: Crew, after: float) -> Told:
    began = time.monotonic()
    ground = await take_ground(crew.where, row.id)
    jobs = tuple(Job(number=n, seconds=0.4) for n in range(1, row.facts["jobs"] + 1))
    dying, living = await asyncio.gather(open_house(crew, ground), open_house(crew, ground))
    leaving = [asyncio.ensure_future(see_off(house)) for house in (dying, living)]
    lives = (Life(), Life())
    asking = [
        asyncio.ensure_future(_ask(house, shift, life, patient=True))
        for house, shift, life in (
            (dying, Shift(ground=ground, jobs=jobs, at_once=6), lives[0]),
            (living, Shift(ground=ground, jobs=jobs[::-1], at_once=6), lives[1]),
        )
    ]
    complaints: list[str] = []
    try:
        await asyncio.sleep(after)
        dying.child.kill()
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.gather(*asking)
    except TimeoutError:
        complaints.append("the one that lives did not answer for the jobs of the one that died")
    finally:
        dying.child.kill()
        living.child.stop()
        for task in asking:
            task.cancel()
        await asyncio.wait(leaving, timeout=LEAVING_SECONDS)
        living.child.kill()
    complaints += _lost(lives[1].away)
    told, _ = await inquest(
        crew,
        Inquest(
            name=f"one dies after {after} s",
            ground=ground,
            jobs=jobs,
            ended=tuple(ended for life in lives for ended in life.ended),
            killed_at=dying.gone,
            facts={"answered_by_the_dead": len(lives[0].ended)},
        ),
    )
    if told.calls > len(jobs) + len(lives[0].away):
        complaints.append(f"{told.calls} calls for {len(jobs)} keys")
    complaints = [*told.complaints, *complaints]
    told = replace(told, complaints=tuple(complaints), seconds=time.monotonic() - began)
    return crew.finished(ground, told)


def _lost(away: Sequence[Ended]) -> list[str]:
    lost = sum(ended.code == LOST for ended in away)
    return [f"the one that lives left {lost} callers without an answer"] if lost else []

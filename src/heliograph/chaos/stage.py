"""One trial of a row with cases: its projects are arranged, its client asks, its ledgers are read.

Invariant: every trial has its own library and its own upstream projects, so that any number can
go on at once and each bill line belongs to one of them.
"""

import asyncio
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from heliograph.chaos.asking import Asker, FaceAsker, LibraryAsker, open_asker, told_otherwise
from heliograph.chaos.evidence import Ended, Evidence
from heliograph.chaos.faces import LIBRARY, Question, settings_for
from heliograph.chaos.report import Told, told_by
from heliograph.chaos.row import Ask, Case, Project
from heliograph.chaos.speaking import Answer
from heliograph.chaos.standstill import Pulse
from heliograph.chaos.upstream import Desk
from heliograph.chaos.working import Ground, Place, open_client, read_library
from heliograph.client import AsyncHeliograph
from heliograph.ports import Event

KEY = "emu-project-"  # a key that begins so is of the project that follows
LABELS = "abcdefgh"


@dataclass(frozen=True, kw_only=True)
class Where:
    """What all trials of a run share; may be handed to another process."""

    desk: Desk
    folder: Path  # below it each trial has its library
    blank: Path  # a migrated library with nothing in it
    keep: bool = False  # libraries of trials that hold are kept, too
    seed: int = 0
    face: str = LIBRARY  # through which is asked
    key: str = field(default="", repr=False)  # of a member of the gateway
    admin_key: str = field(default="", repr=False)


async def take_ground(
    where: Where,
    name: str,
    projects: Sequence[Project] = (Project(),),
    settings: Mapping[str, Any] = {},
) -> Ground:
    """A library and upstream projects of a trial's own.

    Args:
        name: of the trial, for people who look into the folders.
    """
    unique = uuid.uuid4().hex[:10]
    names = tuple(f"{name}-{unique}-{LABELS[n]}".lower() for n in range(len(projects)))
    for project, upstream in zip(projects, names, strict=True):
        await where.desk.arrange(
            upstream, rules=project.rules, habits=project.habits, quota=project.quota
        )
    home = where.folder / f"{name}-{unique}"
    await asyncio.to_thread(shutil.copytree, where.blank, home)
    pool = {LABELS[n]: f"{KEY}{upstream}" for n, upstream in enumerate(names)}
    keys: str | Mapping[str, str] = pool if len(pool) > 1 else f"{KEY}{names[0]}"
    return Ground(
        desk=where.desk,
        home=home,
        keys=keys,
        projects=names,
        settings=settings,
        face=where.face,
        key=where.key,
        admin_key=where.admin_key,
    )


@dataclass
class Stage:
    """A client on its ground, and what it has seen so far."""

    ground: Ground
    case: Case
    ended: list[Ended] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    pulse: Pulse = field(default_factory=Pulse)
    _client: AsyncHeliograph | None = None
    _asker: Asker | None = None
    _house: AsyncExitStack = field(default_factory=AsyncExitStack)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def lag(self) -> float:
        """Seconds that this process was late: a wait can only be judged with that in mind."""
        return self.pulse.lag

    @property
    def client(self) -> AsyncHeliograph:
        """A client in this library, opened when it is needed; whatever face is asked."""
        if self._client is None:
            self._client = open_client(self.ground, self.events.append)
        return self._client

    def send_to(self, base_url: str) -> None:
        """The next client goes to this address."""
        self.ground = replace(self.ground, base_url=base_url)

    async def ask(
        self,
        prompt: str,
        options: Mapping[str, Any] | None = None,
        key: str | None = None,
        place: Place | None = None,
    ) -> Ended:
        """Ask for one image."""
        asker = await self._opened()
        ended = await asker.ask(prompt, options or {}, key, place)
        self.ended.append(ended)
        return ended

    async def send(self, wanted: Question, prompt: str) -> Answer | None:
        """Ask a gateway in so many words.

        Args:
            prompt: the words that the picture is recorded under.

        Returns:
            The whole answer, when one came.
        """
        asker = await self._opened()
        if not isinstance(asker, FaceAsker):
            raise TypeError("the library is not asked in words of HTTP")
        ended, answer = await asker.send(wanted, prompt)
        self.ended.append(ended)
        return answer

    async def _opened(self) -> Asker:
        if self.ground.face == LIBRARY:
            return LibraryAsker(self.client)
        async with self._opening:
            if self._asker is None:
                asker = open_asker(self.ground, self.events.append)
                self._asker = await self._house.enter_async_context(asker)
        return self._asker

    def prompts(self, each: Ask) -> tuple[str, ...]:
        """The prompts of an ask in this trial."""
        return each.prompts(self.ground.projects[0])

    async def ask_all(self, asks: Sequence[Ask]) -> list[Ended]:
        """Everything that is to be asked for, at once or spread over its time."""
        found = await asyncio.gather(*(self._spread(each) for each in asks))
        return [ended for batch in found for ended in batch]

    async def _spread(self, each: Ask) -> list[Ended]:
        async def one(number: int, prompt: str) -> Ended:
            await asyncio.sleep(each.over * number / each.times)
            return await self.ask(prompt, each.options)

        return await asyncio.gather(*(one(n, p) for n, p in enumerate(self.prompts(each))))

    async def until(self, name: str, count: int = 1, seconds: float = 30.0) -> None:
        """Wait until events of a name were told, at least so many.

        Raises:
            TimeoutError: they were not.
        """
        async with asyncio.timeout(seconds):
            while sum(e.name == name for e in self.events) < count:  # noqa: ASYNC110 a plain list
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Close what was opened, which waits for calls under way; it may be opened again."""
        self._asker = None
        await self._house.aclose()
        client, self._client = self._client, None
        if client is not None:
            await client.close()


async def try_case(row_id: str, case: Case, where: Where) -> Told:
    """Try one case of a row."""
    began = time.monotonic()
    wanted = dict(case.settings)
    for each in case.asks:
        wanted |= settings_for(where.face, each.options)
    ground = await take_ground(where, row_id, case.projects, wanted)
    stage = Stage(ground=await _leading_to(ground, case), case=case)
    watch = asyncio.ensure_future(stage.pulse.beat())
    try:
        if case.play is None:
            await stage.ask_all(case.asks)
        else:
            await case.play(stage)
    finally:
        await stage.close()
        watch.cancel()
    seen = await look_at(stage)
    told = told_by(
        seen,
        case.name,
        time.monotonic() - began,
        [*stage.complaints, *_complaints(case, seen)],
    )
    if not told.complaints and not where.keep:
        await asyncio.to_thread(shutil.rmtree, ground.home, ignore_errors=True)
    return replace(told, stood_still=stage.pulse.stood_still())


async def _leading_to(ground: Ground, case: Case) -> Ground:
    if case.base_url is None:
        return ground
    address = case.base_url
    if address.startswith("tls:"):
        address = ground.desk.tls[address.removeprefix("tls:")]
    return replace(ground, base_url=address)


async def look_at(stage: Stage) -> Evidence:
    """Read both ledgers, once nothing moves any more."""
    ground = stage.ground
    bill = await ground.desk.closed_bill(ground.projects)
    return Evidence(
        ours=await read_library(ground.home),
        bill=bill,
        ended=tuple(stage.ended),
        events=tuple(stage.events),
        home=ground.home,
        lag=stage.lag,
        facts=stage.facts,
    )


def _complaints(case: Case, seen: Evidence) -> Iterator[str]:
    if len(seen.bill) not in case.calls:
        yield f"C is {len(seen.bill)}, not {case.calls}"
    if len(seen.billed) not in case.billed:
        yield f"B is {len(seen.billed)}, not {case.billed}"
    wrong = [ended for ended in seen.ended if ended.code not in case.ends]
    for ended in wrong[:3]:
        yield f"ended as {ended.code}, not {' or '.join(case.ends)}: {ended.words[:200]}"
    if len(wrong) > 3:
        yield f"and {len(wrong) - 3} more ended otherwise"
    yield from dict.fromkeys(what for ended in seen.ended for what in ended.wrong)
    yield from told_otherwise(seen)[:3]
    for check in case.checks:
        yield from check(seen)

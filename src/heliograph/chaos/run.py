"""Tries rows and reports: the one place that starts and ends everything a run needs.

Invariant: whatever happens (a row that breaks, Ctrl-C, a fault of the harness), our own processes
are gone afterwards, and what was found until then is reported.
"""

import asyncio
import importlib
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from heliograph.chaos.faces import LIBRARY
from heliograph.chaos.nursery import Child, ChildBroke
from heliograph.chaos.playing import Programme, broken, shares
from heliograph.chaos.report import Report, RowReport, Told, Try, Verdict
from heliograph.chaos.row import Kind, Row
from heliograph.chaos.rows import ROWS
from heliograph.chaos.rows.elsewhere import cases_of, why_not
from heliograph.chaos.script import Crew
from heliograph.chaos.stage import Where
from heliograph.chaos.standstill import Pulse, decided, says_nothing
from heliograph.chaos.upstream import start_upstream
from heliograph.chaos.working import ANY_FAULT
from heliograph.storage import open_storage

Script = Callable[[Row, Crew], Awaitable[list[Told]]]
Hear = Callable[[str, Told], None]  # row id, and what one of its trials told
LONG = 60.0  # seconds from which a row with cases begins at once, in a process of its own
QUIET = 6  # cases at once in a process whose waits are measured


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be tried, and how."""

    rows: tuple[Row, ...]
    repeat: int = 3  # of each kill
    seed: int = 0
    keep: Path | None = None  # folder for the libraries of all trials
    face: str = LIBRARY  # of `faces.FACES`: through which is asked
    at_once: int = 0  # scripts' trials; 0: as many as there are processors, and one more


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What happened just now."""

    row: Row
    told: Told | None = None  # one trial is over
    report: RowReport | None = None  # the whole row is over
    line: str = ""  # anything else


Watch = Callable[[Progress], None]


def rows_of_all() -> tuple[Row, ...]:
    """What "all" stands for: every row but those that are run only when named."""
    return tuple(row for row in ROWS if not row.facts.get("only_when_named"))


async def run(wish: Wish, watch: Watch = lambda _: None) -> Report:
    """Try the rows.

    Args:
        watch: told of every trial and every row as it ends.

    Returns:
        The report; when it was cancelled, with what is known until then.
    """
    began, start = datetime.now(UTC), time.monotonic()
    desk = _Desk(wish, watch)
    task = asyncio.ensure_future(_everything(wish, desk))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
    return Report(
        rows=tuple(desk.report(row) for row in wish.rows),
        began=began,
        seconds=time.monotonic() - start,
        seed=wish.seed,
        repeat=wish.repeat,
        face=wish.face,
    )


class _Desk:
    """Takes down what each row told."""

    def __init__(self, wish: Wish, watch: Watch) -> None:
        self._watch = watch
        self._face = wish.face
        self._rows = {row.id: row for row in wish.rows}
        self._told: dict[str, list[Told]] = {row.id: [] for row in wish.rows}
        self._missing = {row.id: max(1, len(cases_of(row, wish.face))) for row in wish.rows}
        self.undecided: list[tuple[Row, Told]] = []

    def take(self, row_id: str, told: Told) -> None:
        self._told[row_id].append(told)
        self._watch(Progress(row=self._rows[row_id], told=told))

    def take_case(self, row_id: str, told: Told) -> None:
        """One case is over, unless it has to be tried again; until then its complaints stand."""
        row = self._rows[row_id]
        self.take(row_id, told)
        if says_nothing(row, told):
            self.undecided.append((row, told))
        else:
            self.finish(row_id)

    def replace(self, row: Row, old: Told, new: Told) -> None:
        """A later try decided."""
        self._told[row.id] = [new if each is old else each for each in self._told[row.id]]
        self._watch(Progress(row=row, told=new))
        self.finish(row.id)

    def finish(self, row_id: str, trials: int = 1) -> None:
        """So many of a row's trials are over."""
        self._missing[row_id] -= trials
        if self._missing[row_id] <= 0:
            row = self._rows[row_id]
            self._watch(Progress(row=row, report=self.report(row)))

    def say(self, row: Row, line: str) -> None:
        self._watch(Progress(row=row, line=line))

    def report(self, row: Row) -> RowReport:
        told = tuple(self._told[row.id])
        if not row.is_served:
            return RowReport(row=row, verdict=Verdict.NOT_SERVED)
        if why := why_not(row, self._face):
            return RowReport(row=row, verdict=Verdict.ELSEWHERE, elsewhere=why)
        verdict = Verdict.HOLDS
        if self._missing[row.id] > 0:
            verdict = Verdict.INTERRUPTED
        if any(each.complaints for each in told):
            verdict = Verdict.BROKEN
        return RowReport(row=row, verdict=verdict, told=told)


async def _everything(wish: Wish, desk: _Desk) -> None:
    served = [row for row in wish.rows if row.is_served and not why_not(row, wish.face)]
    folder = Path(await asyncio.to_thread(_folder, wish.keep))
    options = {option for row in served for option in row.facts.get("options", ())}
    upstream = await start_upstream(
        folder / "bill.jsonl", "--seed", str(wish.seed), "--tls", *(options or {"--small"})
    )
    blank = folder / "blank"
    storage = await asyncio.to_thread(open_storage, blank)
    await storage.close()
    member, admin = await _let_in(blank, wish.face)
    where = Where(
        desk=upstream.desk,
        folder=folder,
        blank=blank,
        keep=wish.keep is not None,
        seed=wish.seed,
        face=wish.face,
        key=member,
        admin_key=admin,
    )
    crew = Crew(
        where=where,
        repeat=wish.repeat,
        room=asyncio.Semaphore(wish.at_once or (os.cpu_count() or 1) + 1),
        say=lambda _: None,
    )
    pulse = Pulse()
    beat = asyncio.ensure_future(pulse.beat(partial(where.desk.ask, "GET", "healthz")))
    tasks = [asyncio.ensure_future(each) for each in _work(served, crew, desk, pulse)]
    try:
        await asyncio.gather(*tasks)
        await _again(crew, desk, pulse)
    finally:
        for task in (beat, *tasks):
            task.cancel()
        crew.kill_all()
        await asyncio.gather(beat, *tasks, return_exceptions=True)
        await upstream.close()
        if wish.keep is None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _let_in(blank: Path, face: str) -> tuple[str, str]:
    """The keys of whoever asks the gateways of this run."""
    if face == LIBRARY:
        return "", ""
    from heliograph.chaos.housing import admit  # the server takes a second to load

    return await admit(blank)


def _folder(keep: Path | None) -> Path:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    # an absolute path: processes that come later may stand elsewhere
    return Path(tempfile.mkdtemp(prefix="heliograph-chaos-", dir=keep)).absolute()


def _work(served: Sequence[Row], crew: Crew, desk: _Desk, pulse: Pulse) -> list[Awaitable[None]]:
    """The longest first, so that everything ends together."""
    ordered = sorted(served, key=lambda row: -row.seconds)
    with_cases = [row for row in ordered if row.cases]
    own = [row for row in with_cases if row.seconds >= LONG]
    crowd = [row for row in with_cases if row not in own and row.kind is Kind.LOAD]
    quiet = [row for row in with_cases if row not in own and row not in crowd]

    def played(*rows: Row) -> list[Awaitable[None]]:
        cases = tuple(
            (row.id, case.name) for row in rows for case in cases_of(row, crew.where.face)
        )
        return [
            _play(
                Programme(where=crew.where, cases=share, at_once=QUIET), crew, pulse, desk.take_case
            )
            for share in shares(cases, 2 if len(cases) > 2 * QUIET else 1)
        ]

    async def crowds_later() -> None:
        await asyncio.gather(*played(*quiet))
        # where many ask at once it counts when they do, and nothing is so busy as the beginning
        for row in crowd:
            await asyncio.gather(*played(row))

    found = [each for row in own for each in played(row)]
    found.append(crowds_later())
    found += [_script(row, crew, desk) for row in ordered if row.script]
    return found


async def _play(programme: Programme, crew: Crew, pulse: Pulse, hear: Hear) -> None:
    """Let one process play its cases; what it leaves open when it breaks is broken."""
    left = list(programme.cases)
    began = time.monotonic()

    def over(row_id: str, told: Told) -> None:
        left.remove((row_id, told.case))
        here = pulse.stood_still(since=time.monotonic() - told.seconds)
        hear(row_id, replace(told, stood_still=max(told.stood_still, here)))

    why = "its process ended without a word"
    child: Child | None = None
    try:
        child = crew.start("playing:play", programme)
        while (message := await child.hear()) is not None:
            kind, what = message
            if kind == "told":
                over(*what)
    except ChildBroke as error:
        why = str(error)
    finally:
        if child is not None:
            await child.close()
    for row_id, name in tuple(left):
        over(row_id, broken(name, time.monotonic() - began, why))


async def _again(crew: Crew, desk: _Desk, pulse: Pulse) -> None:
    """Try again, one after the other, what the machine spoilt by standing still."""
    for row, told in desk.undecided:

        async def once_more(last: Told, row: Row = row) -> Told:
            desk.say(row, f"{row.id} {last.case}: {Try.of(last)}")
            heard: list[Told] = []
            programme = Programme(where=crew.where, cases=((row.id, last.case),))
            await _play(programme, crew, pulse, lambda _, new: heard.append(new))
            return heard[-1]

        desk.replace(row, told, await decided(row, told, once_more))


async def _script(row: Row, crew: Crew, desk: _Desk) -> None:
    module, _, name = (row.script or "").partition(":")
    script: Script = getattr(importlib.import_module(f"heliograph.chaos.{module}"), name)
    mine = replace(crew, say=lambda line: desk.say(row, line))
    began = time.monotonic()
    try:
        for told in await script(row, mine):
            desk.take(row.id, told)
    except ANY_FAULT as error:
        why = "".join(traceback.format_exception(error)[-4:])
        desk.take(row.id, broken("", time.monotonic() - began, why))
    desk.finish(row.id)

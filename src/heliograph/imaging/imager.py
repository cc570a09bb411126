"""The imager that pictures go through: a small pool of confined worker processes.

Invariant: every job ends, with an answer or with an error, in the time it is given; a worker that
hung, died or was abandoned in the middle of a job is killed and never used again.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliograph.errors import FinishError, StorageError
from heliograph.imaging.process import COMMAND, NeverStarted, Worker, WorkerDied
from heliograph.imaging.protocol import (
    ask_blend,
    ask_finish,
    ask_fit,
    ask_inspect,
    ask_mark,
    ask_sheet,
    ask_tiles,
    read_export,
    read_inspection,
    read_path,
)
from heliograph.ports import AreaShape, Cell, Inspection
from heliograph.types import Export, ExportSpec, Pixels


class VipsImager:
    """Decodes and encodes in worker processes; implements `ports.Imager`.

    Args:
        workers: how many processes may work at once; they start when they are needed.
        inspect_timeout: seconds for one inspection.
        finish_timeout: seconds for one export or other new picture; a sheet gets a second more
            for each of its cells.
        command: what to start instead of our own worker.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        inspect_timeout: float = 10.0,
        finish_timeout: float = 60.0,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._workers = workers
        self._slots = asyncio.Semaphore(workers)
        self._inspect_timeout = inspect_timeout
        self._finish_timeout = finish_timeout
        self._command = tuple(command)
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def prepare(self) -> None:
        """Start a worker ahead of the first job, while something else is waited for.

        Raises:
            StorageError: no worker can be started.
        """
        if not self._idle and not self._busy:
            self._idle.append(await self._start())

    async def inspect(self, path: Path) -> Inspection:
        """Decode the whole picture; one that hangs a worker or kills two is not intact.

        Raises:
            StorageError: the file cannot be read, or no worker can be started.
        """
        try:
            return read_inspection(await self._run(ask_inspect(path), self._inspect_timeout))
        except TimeoutError:
            defect = f"the decoder did not finish within {self._inspect_timeout:g} s"
        except WorkerDied as died:
            defect = f"the decoder died on it ({died})"
        return Inspection(intact=False, defect=defect, pixels=None)

    async def finish(self, original: Path, spec: ExportSpec, folder: Path) -> Export:
        """Make one export.

        Raises:
            FinishError: it cannot be made as asked, or not in time.
            StorageError: no worker can be started.
        """
        job = ask_finish(original, spec, folder)
        try:
            return read_export(await self._run(job, self._finish_timeout))
        except TimeoutError as error:
            why = f"It was not done within {self._finish_timeout:g} s."
            raise _unfinished(spec.name, why) from error
        except WorkerDied as died:
            raise _unfinished(spec.name, f"The image worker died: {died}.") from died

    async def mark(self, picture: Path, area: AreaShape, folder: Path) -> Path:
        """A copy with the area marked.

        Raises:
            InvalidRequest: the area does not go with the picture.
            FinishError: it cannot be made, or not in time.
            StorageError: no worker can be started.
        """
        return await self._make("marked copy", ask_mark(picture, area, folder))

    async def blend(self, parent: Path, change: Path, area: AreaShape, folder: Path) -> Path:
        """The change inside the area, the parent outside.

        Raises:
            InvalidRequest: the area does not go with the parent.
            FinishError: it cannot be made, or not in time.
            StorageError: no worker can be started.
        """
        return await self._make("protected result", ask_blend(parent, change, area, folder))

    async def fit(
        self, picture: Path, *, max_bytes: int, max_side: int, max_area: int, folder: Path
    ) -> Path:
        """A copy within the limits, or the picture itself.

        Raises:
            InvalidRequest: it is no picture that is accepted.
            FinishError: no copy is that small, or it cannot be made in time.
            StorageError: no worker can be started.
        """
        limits = {"max_bytes": max_bytes, "max_side": max_side, "max_area": max_area}
        job = ask_fit(picture, limits, folder)
        made = await self._make("smaller copy", job)
        return picture if str(made) == job["fit"]["picture"] else made

    async def sheet(self, cells: Sequence[Cell], folder: Path, *, columns: int, title: str) -> Path:
        """A contact sheet.

        Raises:
            InvalidRequest: no cells, or too many for one sheet.
            FinishError: it cannot be made, or not in time.
            StorageError: no worker can be started.
        """
        job = ask_sheet(cells, folder, columns=columns, title=title)
        return await self._make("contact sheet", job, more=float(len(cells)))

    async def tiles(
        self, picture: Path, pixels: Pixels, folder: Path, *, side: int, overlap: int
    ) -> Path:
        """One level of a deep zoom.

        Raises:
            FinishError: it cannot be made, or not in time.
            StorageError: no worker can be started.
        """
        job = ask_tiles(picture, pixels, folder, side=side, overlap=overlap)
        return await self._make("level of tiles", job)

    async def close(self) -> None:
        """End all workers; jobs that still run or wait fail."""
        self._closed = True
        for worker in self._busy:
            worker.kill()
        for _ in range(self._workers):  # each job gives its slot back once its worker is gone
            await self._slots.acquire()
        for _ in range(self._workers):
            self._slots.release()
        for worker in self._idle:
            self._see_off(worker)
        self._idle.clear()
        while self._ending:
            await asyncio.gather(*self._ending)

    async def _make(self, what: str, job: dict[str, Any], *, more: float = 0.0) -> Path:
        seconds = self._finish_timeout + more
        try:
            return read_path(await self._run(job, seconds))
        except TimeoutError as error:
            raise _unfinished(what, f"It was not done within {seconds:g} s.") from error
        except WorkerDied as died:
            raise _unfinished(what, f"The image worker died: {died}.") from died

    async def _run(self, job: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a job, from a second worker if the first one died.

        A worker can die for reasons of its own (killed while idle or as it started, out of memory
        beside another job), and a paid picture must not be called broken for that.
        """
        async with self._slots, asyncio.timeout(seconds):
            try:
                try:
                    return await self._ask(job)
                except (WorkerDied, NeverStarted):
                    return await self._ask(job)
            except NeverStarted as error:
                raise _no_worker(str(error)) from error

    async def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        worker = await self._take()
        self._busy.add(worker)
        answered = False
        try:
            answer = await worker.ask(job)
            answered = True
            return answer
        finally:
            # also on cancellation: its answer would be taken for that of the next job
            self._busy.discard(worker)
            if answered and not self._closed:
                self._idle.append(worker)
            else:
                worker.kill()
                self._see_off(worker)

    async def _take(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            self._see_off(worker)
        return await self._start()

    async def _start(self) -> Worker:
        self._refuse_when_closed()
        try:
            worker = await Worker.start(self._command)
        except OSError as error:
            raise _no_worker(str(error)) from error
        if self._closed:  # meanwhile
            self._see_off(worker)
        self._refuse_when_closed()
        return worker

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StorageError("The imager is closed.", remedy="Open the client again.")

    def _see_off(self, worker: Worker) -> None:
        task = asyncio.get_running_loop().create_task(worker.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _no_worker(why: str) -> StorageError:
    return StorageError(
        "No image worker can be started.",
        why=why,
        remedy="Free some memory, processes or open files and try again.",
    )


def _unfinished(what: str, why: str) -> FinishError:
    return FinishError(
        f"The {what} could not be made.",
        why=why,
        remedy="The original is safe. Ask for fewer pixels or another format, or try again.",
    )

"""One worker process, seen from its parent.

Invariant: after anything but a whole answer to the very question asked, the process is dead or
must be killed by the caller; it is never asked again.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any

from heliograph.imaging.protocol import READY, line

# -P: the current folder must not be able to put its own modules into the decoder. Our own search
# path is handed over, because without an environment the worker would not know PYTHONPATH.
_START = (
    f"import sys; sys.path.extend(p for p in {[p for p in sys.path if p]!r} if p not in sys.path); "
    "from heliograph.imaging.worker import main; main()"
)
COMMAND = (sys.executable, "-P", "-c", _START)
GRACE = 2.0  # seconds a worker gets to leave by itself


class WorkerDied(Exception):
    """The process ended, or answered something that is no answer, instead of doing its job."""


class NeverStarted(Exception):
    """The process ended before it took a job; that says nothing about any picture."""


class Worker:
    """A running worker process."""

    def __init__(self, process: asyncio.subprocess.Process, stderr: IO[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("a worker is started with pipes")
        self._process = process
        self._jobs, self._answers = process.stdin, process.stdout
        self._stderr = stderr
        self._asked = 0
        self._ready = False

    @classmethod
    async def start(cls, command: Sequence[str] = COMMAND) -> "Worker":
        """Start a process; it gets ready while the caller does other things.

        Raises:
            OSError: the system does not start it.
        """
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed in `end`
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={},  # keys in our environment are none of a decoder's business
            )
        except BaseException:
            stderr.close()
            raise
        return cls(process, stderr)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """The answer to one job.

        Raises:
            NeverStarted: the process died before it could take a job.
            WorkerDied: there is none.
        """
        if not self._ready and await self._answers.readline() != READY:
            raise NeverStarted(self._last_words())
        self._ready = True
        self._asked += 1
        try:
            self._jobs.write(line({"id": self._asked, **job}))
            await self._jobs.drain()
            raw = await self._answers.readline()
            answer = json.loads(raw)
            in_turn = answer["id"] == self._asked
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorkerDied(self._last_words()) from error
        if not in_turn:
            raise WorkerDied("it answered out of turn")
        return dict(answer)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """See the process off: at once when it is dead, else after a moment of grace."""
        self._jobs.close()
        try:
            async with asyncio.timeout(GRACE):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        finally:
            self._stderr.close()

    def _last_words(self) -> str:
        self._stderr.seek(0)
        words = self._stderr.read()[-300:].decode("utf-8", "replace").split()
        return " ".join(words) or "it died without a word"

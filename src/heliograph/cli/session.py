"""Opening a client for a command: with the user's key, or else with the local emulator.

Invariant: whatever a command recovers of earlier calls, it says so on standard error.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Collection, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from heliograph.cli.edge import INTERRUPTED, TERMINATED, Terminated
from heliograph.cli.screen import note
from heliograph.cli.stages import recovered_line
from heliograph.client import AsyncHeliograph
from heliograph.errors import MissingKey
from heliograph.journal import OPEN
from heliograph.ports import Event, Observer
from heliograph.settings import find_key, load_settings

T = TypeVar("T")
DRAIN = 200.0  # seconds after SIGTERM; above the 180 s that a first byte may take
MOST_CALLS = 1000  # of one command


def open_client(
    *,
    simulate: bool | None,
    home: Path | None,
    observer: Observer | None = None,
    is_patient: bool = False,
) -> AsyncHeliograph:
    """A client for a command.

    With neither a key nor another upstream configured, the emulator is used; `simulate=False`
    insists on a key instead.
    """
    if simulate is None:
        settings = load_settings()
        if not settings.simulate and not settings.base_url:
            try:
                find_key(settings)
            except MissingKey:
                simulate = True
    return AsyncHeliograph(simulate=simulate, home=home, observer=observer, is_patient=is_patient)


def open_library(home: Path | None) -> AsyncHeliograph:
    """A client for a command that makes no calls; says what opening the library recovered."""
    return AsyncHeliograph(home=home, observer=tell_recovered)


def tell_recovered(event: Event) -> None:
    """An observer that tells the person watching what became of calls that were left open."""
    if event.name == "recovered":
        note(recovered_line(event.facts))


def run_with(client: AsyncHeliograph, work: Callable[[AsyncHeliograph], Awaitable[T]]) -> T:
    """Run `work` with a client that is closed afterwards."""

    async def closed_after() -> T:
        async with client:
            return await work(client)

    return asyncio.run(closed_after())


class Drain:
    """What Ctrl-C and SIGTERM ask for: nothing new begins, what is under way is finished and kept.

    Args:
        begun: jobs that this command has begun, done or not.
        say: takes a line for whoever watches or reads the log.

    Attributes:
        exit_code: how the command ends for it; 0 as long as nobody has asked.
    """

    def __init__(
        self,
        client: AsyncHeliograph,
        begun: Callable[[], Collection[str]],
        say: Callable[[str], None],
    ) -> None:
        self.exit_code = 0
        self._client = client
        self._begun = begun
        self._say = say
        self._telling: asyncio.Task[None] | None = None

    @property
    def is_on(self) -> bool:
        """Whether nothing new may begin."""
        return self.exit_code != 0

    def hold_back(self) -> None:
        """Ctrl-C was held back: it takes as long as it takes, somebody is there to insist."""
        self.exit_code = self.exit_code or INTERRUPTED

    def begin(self) -> bool:
        """SIGTERM: say what is waited for; False when nothing is under way."""
        if not self._begun():
            return False
        self.exit_code = TERMINATED
        self._telling = asyncio.ensure_future(self._tell())
        return True

    async def _tell(self) -> None:
        jobs = self._begun()
        calls = await self._client.calls(stages=OPEN, limit=MOST_CALLS)
        names = ", ".join(call.id for call in reversed(calls) if call.job in jobs)
        self._say(f"stopping after the calls under way: {names or 'none'}")

    async def told(self) -> None:
        """Once it is said, or cannot be."""
        if self._telling is not None:
            await asyncio.wait([self._telling])


async def patiently(
    work: Coroutine[Any, Any, T],
    is_paid: Callable[[], bool],
    warn: Callable[[], None],
    drain: Drain,
) -> T:
    """Run paid calls so that the first Ctrl-C after sending waits for what is paid for.

    Args:
        is_paid: whether a request has left already.
        warn: told once, when a Ctrl-C was held back.
        drain: what that Ctrl-C, and SIGTERM, turn on.

    Raises:
        KeyboardInterrupt: the user insisted, or nothing had been sent.
        Terminated: SIGTERM came while nothing was under way, or the drain took too long.
    """
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    warned = False
    stopped: type[KeyboardInterrupt] | None = None

    def stop(why: type[KeyboardInterrupt]) -> None:
        nonlocal stopped
        stopped = why
        task.cancel()

    def interrupt() -> None:
        nonlocal warned
        if is_paid() and not warned:
            warned = True
            drain.hold_back()
            warn()
        else:
            stop(KeyboardInterrupt)

    def terminate() -> None:
        if drain.exit_code == TERMINATED:
            return  # once is enough
        if drain.begin():
            loop.call_later(DRAIN, stop, Terminated)
        else:
            stop(Terminated)

    try:
        loop.add_signal_handler(signal.SIGINT, interrupt)
        loop.add_signal_handler(signal.SIGTERM, terminate)
    except (NotImplementedError, RuntimeError):
        return await task  # no such handlers on this platform; Ctrl-C stops at once
    try:
        return await task
    except asyncio.CancelledError:
        if stopped is not None:
            raise stopped from None
        raise
    finally:
        await drain.told()
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)

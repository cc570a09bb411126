"""Opening a client for a command: with the user's key, or else with the local emulator.

Invariant: whatever a command recovers of earlier calls, it says so on standard error.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from heliograph.cli.screen import note
from heliograph.cli.stages import recovered_line
from heliograph.client import AsyncHeliograph
from heliograph.errors import MissingKey
from heliograph.ports import Event, Observer
from heliograph.settings import find_key, load_settings

T = TypeVar("T")


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


async def patiently(
    work: Coroutine[Any, Any, T], is_paid: Callable[[], bool], warn: Callable[[], None]
) -> T:
    """Run a paid call so that the first Ctrl-C after sending waits for what is paid for.

    Args:
        is_paid: whether the request has left already.
        warn: told once, when a Ctrl-C was held back.

    Raises:
        KeyboardInterrupt: the user insisted, or nothing had been sent.
    """
    task = asyncio.ensure_future(work)
    warned = False
    stopped = False

    def interrupt() -> None:
        nonlocal warned, stopped
        if is_paid() and not warned:
            warned = True
            warn()
        else:
            stopped = True
            task.cancel()

    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, interrupt)
    except (NotImplementedError, RuntimeError):
        return await task  # no such handlers on this platform; Ctrl-C stops at once
    try:
        return await task
    except asyncio.CancelledError:
        if stopped:
            raise KeyboardInterrupt from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGINT)

"""Start, announce, stop; invariant: a stopped emulator leaves neither socket nor temporary file."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from heliograph.emulator.app import build_app
from heliograph.emulator.desk import Desk
from heliograph.emulator.settings import EmulatorSettings
from heliograph.emulator.tls import AUTHORITY

# aiohttp waits this long twice: for calls to end, then for them to notice that they must.
_SHUTDOWN_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Running:
    """A listening emulator."""

    url: str
    seed: int
    tls: Mapping[str, str] = field(default_factory=dict)
    """Addresses of the TLS ports by the kind of their certificate; empty without the option."""


@asynccontextmanager
async def serve(settings: EmulatorSettings) -> AsyncIterator[Running]:
    """Serve in this event loop until the block is left."""
    desk = Desk(settings)
    runner = web.AppRunner(build_app(desk), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        if runner.server is None:
            raise AssertionError("a runner that is set up has a server")
        await desk.doors.open(runner.server)
        yield Running(url=desk.doors.url, seed=desk.seed, tls=desk.doors.tls_urls)
    finally:
        await desk.doors.close()
        await runner.cleanup()
        desk.close()


def run(settings: EmulatorSettings) -> int:
    """Serve until SIGTERM, SIGINT or, when asked, the end of standard input."""
    return asyncio.run(_run(settings))


async def _run(settings: EmulatorSettings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if settings.exit_with_stdin:
        threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    async with serve(settings) as running:
        line: dict[str, Any] = {
            "event": "listening",
            "url": running.url,
            "ledger": None if settings.ledger is None else str(settings.ledger),
            "pid": os.getpid(),
            "seed": running.seed,
        }
        if running.tls:
            line |= {"tls": dict(running.tls), "tls_ca": str(AUTHORITY)}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        await stop.wait()
    return 0


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Bare file descriptor: a daemon thread blocked in sys.stdin would hold its lock at exit.
    try:
        while os.read(0, 65536):
            pass
    except OSError:
        pass
    # A loop that a signal has just ended may be closed already.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)

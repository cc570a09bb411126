"""Processes that may be killed: forked from one that has loaded everything heavy already.

A start takes some 20 ms instead of 1.5 s, so that hundreds of kills fit into a test run.
Invariant: a child dies with us, writes its complaints into a file of its own, and what it has told
before a kill is not lost, because a pipe belongs to the kernel.
"""

import asyncio
import importlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

# what a client loads, some of it late
PRELOAD = (
    "alembic.command",
    "alembic.runtime.environment",
    "heliograph.chaos.playing",
    "heliograph.chaos.working",
    "heliograph.chaos.standing",
    "heliograph.client",
    "heliograph.storage.migrating",
    "heliograph.storage.sql_books",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
PATIENCE = 15.0  # seconds a child that has said everything gets to leave

TIMED = "playing:"  # work whose waits are measured goes before work that is merely much
NICE = 5

Tell = Callable[[str, Any], None]
Work = Callable[[Any, Tell], Awaitable[None]]


class ChildBroke(RuntimeError):
    """A child ended with a fault of its own, which is a fault of the harness or of the client."""


class Child:
    """One process that does one piece of work, and says what happens on the way.

    Args:
        work: "module:function" below `heliograph.chaos`; an async function of `order` and `tell`.
        order: what it works on; goes through a pipe.
        log: file for what it writes to standard error.
        trust: file with the one authority whose certificates it trusts; costs a slow start,
            because certificates are loaded with the first import.
    """

    def __init__(self, work: str, order: Any, log: Path, *, trust: str | None = None) -> None:
        method = "forkserver" if trust is None else "spawn"
        context: Any = multiprocessing.get_context(method)
        multiprocessing.set_forkserver_preload(list(PRELOAD))
        self._inbox, outbox = context.Pipe(duplex=False)
        self._process: BaseProcess = context.Process(
            target=_begin, args=(work, order, outbox, str(log)), daemon=True
        )
        if trust is None:
            self._process.start()
        else:
            # for OpenSSL, which reads it by itself; we make no connections of that kind
            os.putenv("SSL_CERT_FILE", trust)
            self._process.start()
            os.unsetenv("SSL_CERT_FILE")
        outbox.close()
        self._broken: str | None = None
        self._told: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inbox.fileno(), self._receive)

    @property
    def pid(self) -> int | None:
        """Its process number."""
        return self._process.pid

    def _receive(self) -> None:
        try:
            message = self._inbox.recv()
        except (EOFError, OSError):
            self._loop.remove_reader(self._inbox.fileno())
            self._inbox.close()
            self._told.put_nowait(None)
            return
        if message[0] == "broken":
            self._broken = message[1]
        else:
            self._told.put_nowait(message)

    async def hear(self) -> tuple[str, Any] | None:
        """What it says next; None when it has said everything.

        Raises:
            ChildBroke: it ended with an exception.
        """
        message = await self._told.get()
        if message is None and self._broken is not None:
            raise ChildBroke(self._broken)
        return message

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def kill(self) -> None:
        """SIGKILL: it gets to do nothing more."""
        self._process.kill()

    def stop(self) -> None:
        """SIGTERM, as a service manager would say it."""
        self._process.terminate()

    async def ended(self) -> int | None:
        """Its exit code, once it is gone; what it said meanwhile stays to be heard."""
        end = self._loop.time() + PATIENCE
        while self._process.exitcode is None:
            if self._loop.time() > end:
                self._process.kill()
            await asyncio.sleep(0.005)
        return self._process.exitcode

    async def close(self) -> None:
        """Make it leave, whatever it does."""
        if self._process.exitcode is None:
            self._process.kill()
        await self.ended()


async def outcome(child: Child) -> Any:
    """The last thing a child says, when it has ended; in between it may say "progress".

    Raises:
        ChildBroke: it ended without a word, or with an exception.
    """
    last: Any = None
    try:
        while (message := await child.hear()) is not None:
            if message[0] == "done":
                last = message[1]
    finally:
        await child.close()
    if last is None:
        raise ChildBroke("a process ended without saying what it found")
    return last


def _begin(
    work: str, order: Any, outbox: "multiprocessing.connection.Connection[Any, Any]", log: str
) -> None:
    """The child's side."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if not work.startswith(TIMED):
        os.nice(NICE)
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(errors, sys.stderr.fileno() if sys.stderr else 2)
    os.dup2(errors, 1)
    os.close(errors)
    module, _, name = work.partition(":")
    function: Work = getattr(importlib.import_module(f"heliograph.chaos.{module}"), name)

    def tell(kind: str, what: Any) -> None:
        outbox.send((kind, what))

    try:
        asyncio.run(_with_parent(function, order, tell))
    except BaseException:
        outbox.send(("broken", traceback.format_exc()[-4000:]))
        raise


async def _with_parent(function: Work, order: Any, tell: Tell) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent.sentinel, os._exit, 1)
    await function(order, tell)

"""A process of ours that is killed at a named point, and another program that holds the database.

Invariant: what is killed or locked here is real; nothing of the product is replaced.
"""

import asyncio
import json
import sqlite3
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, event

KILLED = -9
CHILD = """
import asyncio, json, os, signal, sys
from heliograph import AsyncHeliograph
from heliograph.killpoints import armed

point, nth, prompt, client, options = json.loads(sys.argv[1])
seen = 0

def act(name):
    global seen
    seen += name == point
    if seen == nth:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with AsyncHeliograph(**client) as helio:
        await helio.generate(prompt, **options)

with armed(act):
    asyncio.run(main())
"""


async def die_at(
    point: str,
    prompt: str,
    *,
    nth: int = 1,
    client: Mapping[str, object],
    options: Mapping[str, object],
) -> None:
    """Make a picture in a process that kills itself when it comes to a point for the n-th time."""
    words = json.dumps([point, nth, prompt, dict(client), dict(options)])
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, words)
    async with asyncio.timeout(60):
        assert await child.wait() == KILLED


class Holder:
    """Another program that holds the write lock of the library's database."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._held: sqlite3.Connection | None = None

    @property
    def is_held(self) -> bool:
        return self._held is not None

    def take(self) -> None:
        self._held = sqlite3.connect(self._home / "heliograph.db", isolation_level=None)
        self._held.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        if self._held is not None:
            self._held.execute("ROLLBACK")
            self._held.close()
            self._held = None


@contextmanager
def queueing(holds: Holder) -> Iterator[Callable[[], Awaitable[None]]]:
    """Tells when somebody in this process queues for the lock while it is held."""
    is_queueing = threading.Event()

    def watch(connection: Connection) -> None:
        # told before the transaction begins, in the thread that is about to wait for it
        if holds.is_held and connection.get_execution_options().get("heliograph_writes"):
            is_queueing.set()

    async def wait() -> None:
        async with asyncio.timeout(60):
            while not is_queueing.is_set():  # noqa: ASYNC110 - it is set in another thread
                await asyncio.sleep(0.005)

    event.listen(Engine, "begin", watch)
    try:
        yield wait
    finally:
        event.remove(Engine, "begin", watch)


@contextmanager
def holder(home: Path) -> Iterator[Holder]:
    """Lets go at the end whatever happens."""
    holds = Holder(home)
    try:
        yield holds
    finally:
        holds.let_go()

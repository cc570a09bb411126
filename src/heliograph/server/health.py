"""Whether the gateway lives, whether it can take work, and whether the disk has room for it.

`/healthz` says that the process answers, and looks at nothing else: a full disk is no reason to
kill it. `/readyz` looks at everything that a paid call needs. Invariant: neither names a path, a
version or an address; the reasons stand in the log.
"""

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute

from heliograph.client import AsyncHeliograph
from heliograph.errors import HeliographError, RecordNotFound, StorageError
from heliograph.server.faults import StorageLow
from heliograph.server.routes import guarded

LOG = logging.getLogger("heliograph.server")
LEAST_FREE = 2 * 10**9  # bytes
ROOM = 3  # times the bytes that calls under way are expected to bring (reliability.md section 5)
# bytes of a whole answer by size, thought signatures included: 4K from design.md, the others by
# their pixels and the signatures of 1 to 3 MB (gemini-api.md section 13)
ANSWERS = {"4K": 30 * 10**6, "2K": 12 * 10**6, "1K": 6 * 10**6, "512": 4 * 10**6}
LARGEST = max(ANSWERS.values())
CHECK_SECONDS = 2.0  # for one check; a database that takes longer is not ready
REMEMBERED = 0.5  # seconds; probes, however many, ask the database twice a second
NO_SUCH_KEY = "ready/nothing"


class Readable(Protocol):
    """What readiness needs of the gateway."""

    @property
    def client(self) -> AsyncHeliograph: ...

    @property
    def is_draining(self) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """What was found, by the name of the check: "ok", or one word that says what is wrong."""

    checks: Mapping[str, str]

    @property
    def is_ready(self) -> bool:
        return all(word == "ok" for word in self.checks.values())


class Health:
    """Answers probes."""

    def __init__(self, gateway: Readable) -> None:
        self._gateway = gateway
        self._found: tuple[float, Mapping[str, str]] | None = None
        self._looking = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        """`/healthz` and `/readyz`."""
        return [
            guarded("/healthz", self._healthz, methods=["GET"], scope=None),
            guarded("/readyz", self._readyz, methods=["GET"], scope=None),
        ]

    async def readiness(self) -> Readiness:
        """Look at everything that a paid call needs."""
        # a stop signal must be seen within a second, so that one is never remembered
        running = "stopping" if self._gateway.is_draining else "ok"
        return Readiness(checks={"running": running, **await self._looked_at()})

    async def _looked_at(self) -> Mapping[str, str]:
        async with self._looking:
            if self._found is None or time.monotonic() - self._found[0] > REMEMBERED:
                checks: Mapping[str, Callable[[], Awaitable[str]]] = {
                    "database": self._database,
                    "blobs": self._blobs,
                    "disk": self._disk,
                }
                words = await asyncio.gather(*(_within(n, c) for n, c in checks.items()))
                self._found = time.monotonic(), dict(zip(checks, words, strict=True))
            return self._found[1]

    async def _database(self) -> str:
        await (await self._gateway.client.store()).journal.budgets()
        return "ok"

    async def _blobs(self) -> str:
        try:
            # works for a folder and for an object store, and costs one question
            await (await self._gateway.client.store()).blobs.read(NO_SUCH_KEY)
        except RecordNotFound:
            return "ok"
        return "unexpected"

    async def _disk(self) -> str:
        store = await self._gateway.client.store()
        return await asyncio.to_thread(_room, store.home)

    async def _healthz(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})

    async def _readyz(self, _request: Request) -> Response:
        found = await self.readiness()
        return JSONResponse(
            {"ready": found.is_ready, "checks": dict(found.checks)},
            status_code=200 if found.is_ready else 503,
            headers={"cache-control": "no-store"},
        )


async def _within(name: str, check: Callable[[], Awaitable[str]]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        LOG.warning("not ready: %s takes more than %g s", name, CHECK_SECONDS)
        return "slow"
    except (HeliographError, OSError) as error:
        LOG.warning("not ready: %s refuses", name, exc_info=error)
        return "refuses"


def _room(home: Path) -> str:
    if shutil.disk_usage(home).free < LEAST_FREE:
        return "low"
    with tempfile.TemporaryFile(dir=home / "spool") as file:
        file.write(b"heliograph")
    return "ok"


def expected_bytes(size: str | None) -> int:
    """What an answer of a size tier may weigh."""
    return ANSWERS.get(size or "1K", LARGEST)


def needed_space(expected: int) -> int:
    """Free bytes below which no new paid call begins.

    Args:
        expected: bytes that all calls under way may bring, the new one included.
    """
    return max(LEAST_FREE, ROOM * expected)


async def refuse_low_disk(home: Path, expected: int) -> None:
    """The disk guard: a paid answer that finds no room is the worst place to notice a full disk.

    Args:
        home: folder of the library, with the spool.
        expected: bytes that all calls under way may bring, the new one included.

    Raises:
        StorageLow: there is too little room for one more; nothing was sent.
        StorageError: the disk cannot be asked.
    """
    try:
        free = shutil.disk_usage(home).free  # quicker than handing it to a thread
    except OSError as error:
        raise StorageError(
            "The disk of the library cannot be measured; nothing was sent.",
            why=error.strerror,
            remedy="The operator of this gateway can mend it.",
        ) from error
    needed = needed_space(expected)
    if free < needed:
        LOG.error("storage low: %d bytes free, %d needed", free, needed)
        raise StorageLow(
            "There is too little room for another picture; nothing was sent.",
            why=f"{free / 10**9:.1f} GB are free, and {needed / 10**9:.1f} GB must be.",
            remedy="Try again later; the operator of this gateway has to make room.",
            retry_after=60.0,
        )

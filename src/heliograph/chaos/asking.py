"""Who is asked for an image: the library itself, or a gateway over a real socket.

Invariant: rows and their plays ask an `Asker` and never know which one it is, so that every face
is held to the same calls, bills and ends.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

from heliograph.chaos import faces, working
from heliograph.chaos.evidence import Ended, Evidence
from heliograph.chaos.faces import Question, Read
from heliograph.chaos.row import KEPT
from heliograph.chaos.speaking import Answer, LostConnection, speak
from heliograph.chaos.working import Ground, Place
from heliograph.client import AsyncHeliograph
from heliograph.ports import Observer

LOST = "connection_lost"  # how an ask ends whose gateway went
AWAY = (LOST, "busy")  # such an end says nothing about the job
PATIENCE = 60  # seconds that a request with a key waits for the first one of that key
PAUSE = 1.0  # seconds at most between tries, whatever is told


class Asker(Protocol):
    """What makes images."""

    async def ask(
        self,
        prompt: str,
        options: Mapping[str, Any],
        key: str | None = None,
        place: Place | None = None,
    ) -> Ended:
        """Ask for one image and say how that ended."""

    async def recover(self) -> None:
        """Take up what processes that are gone had left."""

    async def unfinished(self) -> int:
        """Jobs that nobody has brought to their end."""


class LibraryAsker:
    """The client, in this process."""

    def __init__(self, client: AsyncHeliograph) -> None:
        self.client = client

    async def ask(
        self,
        prompt: str,
        options: Mapping[str, Any],
        key: str | None = None,
        place: Place | None = None,
    ) -> Ended:
        return await working.ask(self.client, prompt, options, key, place)

    async def recover(self) -> None:
        await self.client.recover()

    async def unfinished(self) -> int:
        return 0


class FaceAsker:
    """A gateway, over a connection of its own for each request.

    Args:
        tries: how often a request is sent that its answer asks to send again, as SDKs do.
    """

    def __init__(self, url: str, face: str, key: str, *, tries: int = 1) -> None:
        self.url = url
        self._face = face
        self._key = key
        self._tries = tries

    async def ask(
        self,
        prompt: str,
        options: Mapping[str, Any],
        key: str | None = None,
        place: Place | None = None,
    ) -> Ended:
        """Ask for one image and say how that ended.

        Raises:
            ValueError: the face has no word for what is asked.
        """
        if place is not None:
            raise ValueError("a turn of a session cannot be asked for through this face")
        wanted = faces.question(self._face, prompt, options, self._key)
        ended, _ = await self.send(wanted, prompt, key)
        return ended

    async def send(
        self, wanted: Question, prompt: str, key: str | None = None
    ) -> tuple[Ended, Answer | None]:
        """Ask in so many words, and say how that ended; the answer itself, when one came."""
        began, start = time.time(), time.monotonic()
        headers = {**wanted.headers, **({"idempotency-key": key} if key else {})}
        if key:
            headers["prefer"] = f"wait={PATIENCE}"
        answer: Answer | None = None
        read = Read(code=LOST)
        for number in range(self._tries):
            headers["x-stainless-retry-count"] = str(number)
            try:
                answer = await speak(
                    self.url, wanted.path, document=wanted.document, headers=headers
                )
            except LostConnection:
                answer, read = None, Read(code=LOST)
                break
            read = faces.read(self._face, answer)
            if not read.should_retry or number + 1 == self._tries:
                break
            await asyncio.sleep(min(read.retry_after or 0.2, PAUSE))
        seconds = time.monotonic() - start
        asked = Ended(prompt=prompt, code=read.code, began=began, seconds=seconds, key=key)
        return _ended(asked, read, answer), answer

    async def recover(self) -> None:
        """A gateway does so by itself."""

    async def unfinished(self) -> int:
        return 0


def _ended(asked: Ended, read: Read, answer: Answer | None) -> Ended:
    is_kept = read.code == KEPT
    return replace(
        asked,
        record=read.record,
        sha256=read.sha256,
        cost=read.cost,
        verdict=read.verdict,
        charged=read.charged,
        retry_after=read.retry_after,
        words="" if is_kept or answer is None else _text(answer),
        warnings=read.warnings,
        facts={"job": read.job, "replayed": read.replayed, "should_retry": read.should_retry},
        wrong=read.wrong,
        face=True,
    )


def _text(answer: Answer) -> str:
    head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    return f"HTTP {answer.status}\n{head}\n{answer.body.decode('utf-8', 'replace')}"


@asynccontextmanager
async def open_asker(
    ground: Ground, observer: Observer | None = None, *, tries: int = 1
) -> AsyncIterator[Asker]:
    """Whoever makes images on this ground; calls under way are finished when it is left."""
    if ground.face == faces.LIBRARY:
        async with working.open_client(ground, observer) as client:
            yield LibraryAsker(client)
        return
    # the gateway takes a second to load, and the library needs none of it
    from heliograph.chaos.housing import open_gateway_at
    from heliograph.server.hosting import served

    async with open_gateway_at(ground, observer) as gateway, served(gateway) as url:

        class Housed(FaceAsker):
            async def unfinished(self) -> int:
                return len(await gateway.jobs.open_jobs(gateway.store.lease.library))

        yield Housed(url, ground.face, ground.key, tries=tries)


def told_otherwise(seen: Evidence) -> list[str]:
    """Where an answer of a face and our books contradict each other."""
    records = {record.id: record for record in seen.ours.records}
    found = []
    for ended in seen.ended:
        record = records.get(ended.record or "")
        if not ended.face or ended.code != KEPT or ended.facts["replayed"]:
            continue
        if record is None or record.result is None:
            found.append(f"an answer names the record {ended.record}, which holds no picture")
            continue
        if ended.cost != record.cost:
            found.append(f"{record.id} cost {record.cost}, and its answer says {ended.cost}")
        verdict = record.verdict.value if record.verdict else None
        if ended.verdict != verdict:
            found.append(f"{record.id} is {verdict}, and its answer says {ended.verdict}")
        if ended.sha256 != record.result.sha256:
            found.append(f"the answer of {record.id} held another picture than is kept")
    return found

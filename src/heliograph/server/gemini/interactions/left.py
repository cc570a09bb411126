"""Clients that left before they were answered, and what they had asked for.

google-genai's interactions repeat a create whose connection broke or was too slow for them, with
nothing that tells it from a new one. Invariant: only what nobody was answered is joined, by the
same user with the same body within the time in which the gateway joins retries; it is remembered
by this process alone, so an idempotency key is the surer way.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.requests import Request

from heliograph.errors import HeliographError
from heliograph.server.requests import JOIN_WITHIN

MOST = 1000  # that are remembered
Key = tuple[str, str]  # id of a user, digest of a body


class Left:
    """What was asked for by those who left, by its session."""

    def __init__(self) -> None:
        self._found: dict[Key, tuple[str, float]] = {}  # and when, by the monotonic clock

    @asynccontextmanager
    async def watching(
        self, request: Request, key: Key, session: str | None
    ) -> AsyncIterator[None]:
        """Remember the request if its client leaves meanwhile.

        Args:
            session: id of the session that the request is a turn of.
        """

        async def look() -> None:
            # the body was read, so the next thing that comes is the end of the connection
            while (await request.receive())["type"] != "http.disconnect":
                pass
            self.note(key, session)

        task = asyncio.ensure_future(look())
        try:
            yield
        finally:
            task.cancel()

    def note(self, key: Key, session: str | None) -> None:
        """Remember a request whose client has left."""
        self._found.pop(key, None)
        self._found[key] = (session or "", time.monotonic())
        while len(self._found) > MOST:
            del self._found[next(iter(self._found))]

    def taken(self, key: Key) -> str | None:
        """The session of such a request, "" where it has none; None when there is no such request.

        It is forgotten by that.
        """
        session, at = self._found.pop(key, (None, 0.0))
        is_recent = time.monotonic() - at < JOIN_WITHIN.total_seconds()
        return session if is_recent else None

    @contextmanager
    def joining(self, key: Key, session: str | None) -> Iterator[None]:
        """Remember such a request again when its repeat is refused before it has joined a job.

        Args:
            session: what `taken` gave for it; None: there is nothing to remember.
        """
        try:
            yield
        except HeliographError as error:
            if session is not None and "job" not in error.facts:
                self.note(key, session)
            raise

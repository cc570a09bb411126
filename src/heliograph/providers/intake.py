"""What lies between an answer that arrives and its spool: it is gathered, and a thread writes it.

Hashing and writing leave the interpreter to others, so the event loop goes on meanwhile.
Invariant: bytes reach the spool in the order in which they came and each once, also when the
reader is called off in the middle; nothing waits for more than a few milliseconds unless a thread
is at work; one thread at a time has the spool.
"""

import asyncio
import contextlib
import threading
from concurrent.futures import Executor, Future

import aiohttp

from heliograph.providers.spool import Spool
from heliograph.providers.tap import AnswerTooLarge, Tapped

GATHER = 1 << 18  # bytes that are worth waking a thread
FULL = 1 << 19  # bytes that may wait for the thread; more stays with the upstream
SMALL = 1 << 16  # bytes that are written on the spot: a thread would cost more
LINGER = 0.005  # seconds until less than `GATHER` is written all the same


class Intake:
    """Takes one answer in pieces, on the event loop.

    Args:
        hands: threads that feed spools.
    """

    def __init__(self, spool: Spool, hands: Executor) -> None:
        self.taken = 0  # bytes in all
        self._spool = spool
        self._hands = hands
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()  # over what a thread changes, too: all down to `_relief`
        self._pieces: list[bytes] = []
        self._size = 0  # of the pieces
        self._work: Future[None] | None = None  # under way, or about to begin
        self._error: BaseException | None = None  # nothing is fed after it
        self._is_over = False
        self._relief: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Whether `room` should be awaited before more is read."""
        return self._size >= FULL or self._error is not None

    def put(self, piece: bytes) -> None:
        """Take the next piece of the body; what comes after an error is dropped."""
        self.taken += len(piece)
        with self._lock:
            if self._error is not None:
                return
            self._pieces.append(piece)
            self._size += len(piece)
        if self._size >= GATHER:
            self._begin()
        elif self._timer is None:
            self._timer = self._loop.call_later(LINGER, self._lapse)

    async def room(self) -> None:
        """Until there is room for more.

        Raises:
            AnswerTooLarge: a limit was passed; nothing more should be read.
        """
        while self._error is None and self._size >= FULL:
            self._begin()
            await self._progress()
        self._complain()

    async def settle(self) -> None:
        """Until everything that was taken has reached the spool.

        Raises:
            AnswerTooLarge: a limit was passed.
        """
        self._lapse()
        while await self._progress():
            pass
        self._complain()

    def close(self) -> Tapped:
        """The body taken apart; also right after a failure, to keep what arrived.

        It waits for a thread that has the spool; what no thread has begun with is written here.
        """
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._is_over = True
            work = self._work
        if work is not None and not work.cancel():
            self._error = work.exception()  # waits until it is done
        if self._error is None:
            # what is called off has no use for the news that it is too large
            with contextlib.suppress(AnswerTooLarge):
                self._feed()
        return self._spool.close()

    def _lapse(self) -> None:
        """Nothing more has come for a while, or ever will."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with self._lock:
            if self._work is not None or not self._size:
                return  # whoever is at work takes along what has come since
        if self._size > SMALL:
            self._begin()
            return
        try:
            self._feed()
        except AnswerTooLarge as error:
            self._error = error

    def _begin(self) -> None:
        with self._lock:
            work = self._next()
        if work is not None:
            work.add_done_callback(self._fed)

    def _next(self) -> "Future[None] | None":
        """Wake a thread when there is something for one; under the lock."""
        if self._work is not None or self._is_over or not self._size:
            return None
        self._work = self._hands.submit(self._feed)
        return self._work

    def _feed(self) -> None:
        """Write everything that waits."""
        with self._lock:
            pieces, self._pieces, self._size = self._pieces, [], 0
            self._relieve()
        # in one piece: that is one decoding, one hashing and two calls of the system
        whole = b"".join(pieces)
        pieces.clear()
        if whole:
            self._spool.feed(whole)

    def _fed(self, work: "Future[None]") -> None:
        if work.cancelled():
            return
        with self._lock:
            self._work, self._error = None, work.exception()
            if self._error is not None:
                self._pieces, self._size = [], 0
            following = self._next()
            self._relieve()
        if following is not None:
            following.add_done_callback(self._fed)

    async def _progress(self) -> bool:
        """Until a thread takes something or is done; False when none is at work."""
        with self._lock:
            if self._work is None:
                return False
            relief = self._relief = self._loop.create_future()
        await relief
        return True

    def _relieve(self) -> None:
        """Let the reader look again; under the lock."""
        if self._relief is not None:
            self._loop.call_soon_threadsafe(_done, self._relief)
            self._relief = None

    def _complain(self) -> None:
        if self._error is not None:
            raise self._error


def _done(relief: "asyncio.Future[None]") -> None:
    if not relief.done():
        relief.set_result(None)


def unread(content: aiohttp.StreamReader) -> bytes:
    """What had arrived when the connection broke: aiohttp raises the error in its place."""
    return b"".join(getattr(content, "_buffer", ()))

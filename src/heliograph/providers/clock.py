"""The clocks of one attempt: how far it came, and how long it may still take.

Invariant: a deadline that passes is told once, and what may be paid for is listened to a while
longer; silence inside an answer ends the listening.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.errors import HeliographError
from heliograph.types import Timing

BEAT = 0.05  # seconds from one "receiving" to the next
Tell = Callable[[str, Mapping[str, Any]], None]  # an event's name and facts


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """Seconds (reliability.md section 3). A 4K picture has been measured at up to 142 s."""

    connect: float = 5.0  # TCP and TLS
    write: float = 60.0  # the whole request, large references included
    first_byte: float = 180.0  # from the request's last byte to the answer's first
    between: float = 30.0  # silence inside the answer
    call: float = 300.0  # one attempt in all
    late: float = 120.0  # listening on after the two deadlines above: the picture is paid for
    patience: float = 600.0  # all attempts and the waits between them


@dataclass
class Progress:
    """How far one attempt came; seconds since its start."""

    begun: float
    connected: float | None = None
    sent: float | None = None
    first_byte: float | None = None
    refused: HeliographError | None = None  # why our own side did not let the last byte leave

    def now(self) -> float:
        return time.monotonic() - self.begun

    def refuse(self, error: HeliographError) -> None:
        """Our own side did not let the last byte leave."""
        self.refused = error

    def timing(self) -> Timing:
        return Timing(
            connected=self.connected,
            sent=self.sent,
            first_byte=self.first_byte,
            done=self.now(),
        )


class Clock:
    """The deadlines of one attempt; past them it listens on for a while, and says so once."""

    def __init__(self, timeout: asyncio.Timeout, limits: Deadlines, tell: Tell) -> None:
        self._timeout = timeout
        self._limits = limits
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + limits.call
        self._is_late = False
        self._expected = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    def sent(self) -> None:
        """The request has left: wait for the first byte."""
        self._expect(self._loop.time() + self._limits.first_byte)

    @property
    def is_up(self) -> bool:
        """Whether it was this clock that stopped the attempt."""
        return self._timeout.expired()

    def heard(self) -> None:
        """Something came: silence counts from now."""
        if self._expected != self._end:
            self._expect(self._end)
        # silence inside an answer is final; only the call as a whole may be late
        silence = self._loop.time() + self._limits.between
        self._timeout.reschedule(min(silence, self._end + self._limits.late))

    def hold(self) -> None:
        """The answer is there and waits for us: no silence of the upstream's."""
        self._timeout.reschedule(None)

    def stop(self) -> None:
        """The attempt is over."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _expect(self, moment: float) -> None:
        self.stop()
        self._expected = min(moment, self._end)
        if not self._is_late:
            self._alarm = self._loop.call_at(self._expected, self._late)
        self._timeout.reschedule(self._expected + self._limits.late)

    def _late(self) -> None:
        self._is_late = True
        self._tell("late", {"listening_for_seconds": self._limits.late})

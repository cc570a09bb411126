"""Until when the quota of a project keeps calls out.

Pure: monotonic seconds and wall time are passed in. Invariant: a gate asks the upstream again at
the told moment, not before and not never, whatever the wall clock does; nobody is believed who
tells of more than a day.

Clocks (reliability.md F52). Every gate has a monotonic end, a daily one at most 25 hours away, so
that no jump of the wall clock can hold it closed for ever. A daily gate also keeps the midnight it
waits for, because the monotonic clock may stand still while a machine sleeps; whichever comes
first opens it. When only the wall clock says so it may have jumped: then one probe goes first, and
the same midnight never does it twice.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from enum import Enum
from zoneinfo import ZoneInfo

from heliograph.providers.turnstile import Pass, Turnstile, Wait

PACIFIC = ZoneInfo("America/Los_Angeles")  # daily quotas begin anew at midnight there
PAUSE = 600.0  # seconds; the length of the provider's spend window, and of waits nobody told
LONGEST = 86_400.0  # seconds; nothing that is told closes it for longer
# a quota refused this soon after midnight may be yesterday's: one of the two clocks is early
DAWN = timedelta(hours=2)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Both clocks, read together."""

    now: float  # monotonic seconds
    wall: datetime  # with a time zone


class Cause(Enum):
    """Why a gate is closed."""

    DAY = "day"  # the daily quota is used up: until midnight Pacific
    FREE_TIER = "free_tier"  # `limit: 0`: until somebody links billing
    SPEND = "spend"  # the provider's spend limit: its window is ten minutes
    DEPLETED = "depleted"  # prepaid credits are used up: until somebody pays
    RATE = "rate"  # told to wait longer than a request can


# nobody knows when these end, so one request asks for all of them
ASKS_FIRST = frozenset({Cause.FREE_TIER, Cause.DEPLETED})


def next_pacific_midnight(now: datetime) -> datetime:
    """The first midnight in Los Angeles after `now`, in UTC; days of 23 and 25 hours included.

    Args:
        now: any time zone.

    Raises:
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("a moment without a time zone is no moment")
    tomorrow = now.astimezone(PACIFIC).date() + timedelta(days=1)
    # clocks change there at 02:00, so midnight exists once every day
    return datetime.combine(tomorrow, time_of_day(), tzinfo=PACIFIC).astimezone(UTC)


class Gate:
    """Closed until a moment; for a (project, model), or for a whole project."""

    def __init__(self) -> None:
        self._turnstile = Turnstile()
        self._cause: Cause | None = None
        self._until = 0.0
        self._midnight: datetime | None = None
        self._asks = False  # the time is over, and one probe at a time may find out
        self._struck: datetime | None = None  # the latest midnight the wall clock opened it for

    @property
    def cause(self) -> Cause | None:
        """Why it is closed, as of the last question or outcome; None when it is open."""
        return self._cause

    def may_pass(self, moment: Moment) -> Pass | Wait:
        """Permission for one attempt. Every pass must be handed back with its outcome."""
        if self._cause is None:
            return self._turnstile.admit()
        over = moment.now >= self._until
        if over and self._cause not in ASKS_FIRST:
            self._open()
            return self._turnstile.admit()
        if over or self._asks or self._strikes(moment.wall):
            self._asks = True
            return self._turnstile.admit_one(moment.now, self._cause.value)
        return Wait(seconds=self._until - moment.now, why=self._cause.value)

    def refused(self, passed: Pass, cause: Cause, moment: Moment, *, told: float = 0.0) -> None:
        """The upstream refused the attempt for this cause. Refusals of earlier turns are no news.

        Args:
            told: seconds the upstream asked for; only `RATE` has them.
        """
        if not self._turnstile.is_current(passed):
            return
        self._midnight = None
        seconds = min(told, LONGEST) if cause is Cause.RATE else PAUSE
        if cause is Cause.DAY:
            midnight = next_pacific_midnight(moment.wall)
            if next_pacific_midnight(moment.wall - DAWN) == midnight:
                self._midnight = midnight
                seconds = (midnight - moment.wall).total_seconds()
        self._cause = cause
        self._until = moment.now + seconds
        self._asks = False
        self._turnstile.turn()

    def succeeded(self, passed: Pass) -> None:
        """The project was served; a probe that was opens the gate for everyone."""
        if passed.probe and self._turnstile.is_current(passed):
            self._open()

    def abandoned(self, passed: Pass) -> None:
        """The attempt told nothing about the quota; a probe's place is free again."""
        if passed.probe and self._turnstile.is_current(passed):
            self._turnstile.turn()

    def _strikes(self, wall: datetime) -> bool:
        """Whether the wall clock says midnight, for the first time for this midnight."""
        if self._midnight is None or wall < self._midnight:
            return False
        if self._struck is not None and self._midnight <= self._struck:
            return False
        self._struck = self._midnight
        return True

    def _open(self) -> None:
        self._cause = None
        self._turnstile.turn()

"""Whether a (project, model) is worth a call: closed, open, or open for one probe.

Pure; `now` is monotonic seconds. Numbers: reliability.md section 3. Invariant: while it is not
closed, at most one request at a time goes through, a real one, and its outcome alone decides;
outcomes of attempts that began earlier change nothing. Failures in a row come one after the other:
attempts that were on their way together when one failed, and fail within a second of it, report
the same incident, which counts once. Else one bad moment that five requests met at once would look
like an outage. For the same reason a share of failures needs five incidents, unless all failed.
"""

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum

from heliograph.providers.kinds import ANSWERED, POLICY, Kind
from heliograph.providers.turnstile import Pass, Turnstile, Wait

CONSECUTIVE = 5  # failures in a row that open it; corrupt answers are counted apart
SAME_INCIDENT = 1.0  # seconds in which failures of attempts that overlapped count once
LAST = 20  # outcomes that are looked at
SEVERAL_WITHIN = 10.0  # seconds for those five incidents, or as long as the last 20 took
WITHIN = 60.0  # seconds in which the last 20 must lie for the share of failures to count
FAILED_SHARE = 50  # percent
SLOW_SHARE = 80  # percent
OPEN_SECONDS = 30.0  # times the number of consecutive openings …
LONGEST_OPEN = 300.0  # … but never longer


class State(Enum):
    """Where a breaker stands."""

    CLOSED = "closed"  # everyone may pass
    OPEN = "open"  # nobody may, until the time is over
    HALF_OPEN = "half_open"  # one probe may; its outcome decides


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    at: float
    failed: bool
    slow: bool


class Breaker:
    """Counts outcomes, opens, and closes again when a probe succeeds."""

    def __init__(self) -> None:
        self._turnstile = Turnstile()
        self._state = State.CLOSED
        self._until = 0.0
        self._openings = 0
        self._incident = 0  # failures that came one after the other, ever
        self._forget()

    @property
    def state(self) -> State:
        """The state as of the last question or outcome."""
        return self._state

    @property
    def openings(self) -> int:
        """How many times in a row it has opened without a success in between."""
        return self._openings

    def may_pass(self, now: float) -> Pass | Wait:
        """Permission for one attempt. Every pass must be handed back with its outcome."""
        if self._state is State.CLOSED:
            return replace(self._turnstile.admit(), incident=self._incident)
        if now < self._until:
            return Wait(seconds=self._until - now, why="breaker")
        self._state = State.HALF_OPEN
        return self._turnstile.admit_one(now, "breaker")

    def succeeded(self, passed: Pass, now: float, *, slow: bool = False) -> None:
        """The attempt brought an answer.

        Args:
            slow: it took so long that many of its like are a fault.
        """
        if not self._turnstile.is_current(passed):
            return
        if passed.probe:
            self._close()
            return
        self._in_row = 0
        self._corrupt_in_row = 0
        self._note(now, failed=False, slow=slow)

    def failed(self, passed: Pass, now: float, kind: Kind) -> None:
        """The attempt failed; kinds that say nothing about the upstream leave all as it was."""
        if kind in ANSWERED:
            self.succeeded(passed, now)
        elif not POLICY[kind].counts_for_breaker:
            self.abandoned(passed)
        elif self._turnstile.is_current(passed):
            if passed.probe or kind is Kind.TLS_TRUST:
                self._open(now)
            elif kind is Kind.CORRUPT_PAID:
                self._corrupt_in_row += 1
                if self._corrupt_in_row >= CONSECUTIVE:
                    self._open(now)
            else:
                later = not self._counted or now - self._counted[-1] >= SAME_INCIDENT
                if later or passed.incident == self._incident:
                    self._in_row += 1
                    self._incident += 1
                    self._counted.append(now)
                self._note(now, failed=True, slow=kind is Kind.DEADLINE)

    def abandoned(self, passed: Pass) -> None:
        """The attempt ended without telling anything; a probe's place is free again."""
        if passed.probe and self._turnstile.is_current(passed):
            self._turnstile.turn()

    def _note(self, now: float, *, failed: bool, slow: bool) -> None:
        self._last.append(_Outcome(at=now, failed=failed, slow=slow))
        if self._in_row >= CONSECUTIVE or self._is_bad(now):
            self._open(now)

    def _is_bad(self, now: float) -> bool:
        if len(self._last) < LAST:
            return False
        failed = sum(o.failed for o in self._last) * 100
        slow = sum(o.slow for o in self._last) * 100
        span = now - self._last[0].at
        several = all(o.failed for o in self._last) or (
            len(self._counted) == CONSECUTIVE
            and now - self._counted[0] <= max(span, SEVERAL_WITHIN)
        )
        share = span <= WITHIN and failed >= FAILED_SHARE * LAST
        return (share and several) or slow >= SLOW_SHARE * LAST

    def _open(self, now: float) -> None:
        self._openings += 1
        self._until = now + min(LONGEST_OPEN, OPEN_SECONDS * self._openings)
        self._state = State.OPEN
        self._turnstile.turn()
        self._forget()

    def _close(self) -> None:
        self._openings = 0
        self._state = State.CLOSED
        self._turnstile.turn()

    def _forget(self) -> None:
        self._in_row = 0
        self._corrupt_in_row = 0
        self._last: deque[_Outcome] = deque(maxlen=LAST)
        self._counted: deque[float] = deque(maxlen=CONSECUTIVE)  # when the latest incidents came

"""Permission to make one attempt: for everyone, or for one probe at a time.

Shared by the breaker and the gates. Pure: seconds are monotonic and passed in. Invariant: at most
one probe is on its way, and an outcome counts only for the turn in which its attempt began.
"""

from dataclasses import dataclass

PROBE_WAIT = 5.0  # seconds after which to ask again while a probe is on its way
# longer than any call with its grace (300 s + 120 s): a probe that is lost by then frees its place
PROBE_LEASE = 600.0


@dataclass(frozen=True, kw_only=True)
class Pass:
    """Permission for one attempt. Hand it back with the outcome."""

    turn: int
    probe: bool = False  # its outcome decides for everyone
    incident: int = 0  # the breaker's: what had failed when the attempt began


@dataclass(frozen=True, kw_only=True)
class Wait:
    """No permission now."""

    seconds: float  # until asking again can help
    why: str  # "breaker", or the value of a gate's cause


class Turnstile:
    """Numbers the turns and holds the place of the one probe."""

    def __init__(self) -> None:
        self._turn = 0
        self._since: float | None = None

    def admit(self) -> Pass:
        """A pass like anyone's."""
        return Pass(turn=self._turn)

    def admit_one(self, now: float, why: str) -> Pass | Wait:
        """The pass of the probe, when none is on its way; a lost probe counts no longer."""
        if self._since is not None and now - self._since < PROBE_LEASE:
            return Wait(seconds=PROBE_WAIT, why=why)
        self.turn()
        self._since = now
        return Pass(turn=self._turn, probe=True)

    def is_current(self, passed: Pass) -> bool:
        return passed.turn == self._turn

    def turn(self) -> None:
        """Begin the next turn: passes given before count no longer, and no probe is out."""
        self._turn += 1
        self._since = None

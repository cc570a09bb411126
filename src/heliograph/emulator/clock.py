"""The time by which the emulator counts; invariant: it runs like the wall clock and never back.

Quotas, flapping rules, file lifetimes and every time in the ledger read this clock, so that a test
can let a quota day pass in a moment. Waiting (latency, slow answers) stays real.
"""

import time
from datetime import datetime
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")
"""The zone of Google's quota days and billing months."""


class Clock:
    """Wall clock plus the seconds it was advanced by."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        """Let seconds pass at once."""
        self.ahead += seconds

    def reset(self) -> None:
        """Go with the wall clock again."""
        self.ahead = 0.0

    def show(self) -> dict[str, object]:
        """The time and how far it is ahead, as JSON."""
        now = self.now()
        return {
            "now": now,
            "pacific": datetime.fromtimestamp(now, PACIFIC).isoformat(),
            "ahead_seconds": self.ahead,
        }

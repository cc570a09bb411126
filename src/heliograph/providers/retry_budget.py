"""How many repeats a (project, model) can afford: a bucket of tokens that first attempts fill.

Pure. Counted in tenths, because ten times 0.1 must be one token. Invariant: repeats never exceed
ten plus a tenth of the first attempts (reliability.md section 3), so that an outage cannot
multiply the load.
"""

FULL = 100  # tenths; also what a bucket starts with
FIRST_ATTEMPT = 1  # tenths that a first attempt adds
RETRY = 10  # tenths that a repeat takes


class RetryBudget:
    """Tokens for repeats."""

    def __init__(self) -> None:
        self._tenths = FULL

    @property
    def tokens(self) -> float:
        """Repeats that can be afforded, 0 to 10."""
        return self._tenths / RETRY

    def first_attempt(self) -> None:
        """A request makes its first attempt here."""
        self._tenths = min(FULL, self._tenths + FIRST_ATTEMPT)

    def spend(self) -> bool:
        """Take the token of one repeat; False when there is none, and then nothing is taken."""
        if self._tenths < RETRY:
            return False
        self._tenths -= RETRY
        return True

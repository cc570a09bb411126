"""Leaves jobs that got no place where the next process, or this one later, begins them.

Invariant: only a job of which nothing was sent is left, and only one that goes on after a restart;
whoever was told that it is taken on was told the truth.
"""

from collections.abc import Sequence

from heliograph.errors import HeliographError
from heliograph.jobs import JobState
from heliograph.server.faults import Busy, TooMany
from heliograph.server.under_way import Answer, Run
from heliograph.types import Result

BACK = 10.0  # seconds until another process of the gateway may have it


def park(run: Run, outcomes: Sequence[Result | HeliographError]) -> bool:
    """Leave a job as it is written down, QUEUED, instead of ending it.

    Returns:
        False when it is to end, because it is not durable, or its pictures came to something else
        than waiting; then nothing was done.
    """
    has_no_place = any(isinstance(outcome, Busy | TooMany) for outcome in outcomes)
    if not (has_no_place and run.job.durable and run.job.state is JobState.QUEUED):
        return False
    if not run.answer.done():
        error = Busy(
            "The gateway is stopping.",
            remedy="The job is kept, and begins when a gateway runs again; look at it later.",
            retry_after=BACK,
        )
        run.answer.set_result(Answer(job=run.job, error=error))
    run.begun.set()
    return True

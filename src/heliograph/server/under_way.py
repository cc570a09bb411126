"""A job in the hands of this process, and what those who wait for it are told."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from heliograph.errors import Charged, HeliographError, revived
from heliograph.jobs import Job, JobState, moved
from heliograph.pipeline import Order
from heliograph.ports import Event
from heliograph.server.faults import is_final
from heliograph.server.refusals import replayed
from heliograph.types import Result


@dataclass(eq=False, kw_only=True)
class Run:
    """A job under way in this process."""

    job: Job
    answer: "asyncio.Future[Answer]"
    order: Order | None
    task: "asyncio.Task[None] | None" = None
    sent: bool = False
    weight: int = 0  # bytes that its answers may have
    cancelling: bool = False
    resumes: bool = False  # another process had begun it
    beginning: asyncio.Lock = field(default_factory=asyncio.Lock)  # the first picture moves it on
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # money is set aside, or it waits

    def heard(self, event: Event) -> None:
        """What happens to its pictures."""
        if event.name == "reserved":
            self.begun.set()
        self.sent = self.sent or event.name == "sent"

    def cancel(self) -> None:
        """Stop it; once, because whoever asks again must not stop what writes its end down."""
        if self.task is not None and not self.cancelling:
            self.cancelling = True
            # after its first step: a task that is cancelled before that writes no end down at all
            asyncio.get_running_loop().call_soon(self.task.cancel)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What those who wait for a job are told; the job itself may still go on."""

    job: Job
    results: tuple[Result, ...] = ()
    error: HeliographError | None = None


def end_of(job: Job, outcomes: Sequence[Result | HeliographError]) -> Answer:
    """How a job ends whose pictures came to this; nothing of it was sent when there are none."""
    results = tuple(each for each in outcomes if isinstance(each, Result))
    errors = [each for each in outcomes if isinstance(each, HeliographError)]
    error = worst_of(errors)
    spent = sum(result.cost for result in results)
    spent += sum(int(each.facts.get("cost_micro") or 0) for each in errors)
    without = JobState.FAILED if error else JobState.CANCELLED
    ended = moved(
        job,
        JobState.DONE if results else without,
        datetime.now(UTC),
        records=tuple(result.record.id for result in results),
        sources=tuple(result.source for result in results),
        cost=spent,
        error=error.as_dict() if error else None,
        keeps_key=bool(results) or (error is not None and is_final(error)),
    )
    return Answer(job=ended, results=results, error=error)


def own(error: HeliographError, picture: str) -> HeliographError:
    """What a picture's failure is to its job; that of another one's call cost this one nothing.

    Whether it was charged stays as it was said: nobody is told to ask again for what may be paid.
    """
    if error.record_id in (None, picture):
        return error
    mine = replayed(revived(error.as_dict()))  # those who wait for the same call share the error
    mine.facts = {name: fact for name, fact in mine.facts.items() if name not in COSTS}
    return mine


COSTS = ("cost_micro", "may_have_cost_micro")
GRAVITY = (Charged.NO, Charged.YES, Charged.UNKNOWN)


def worst_of(errors: Sequence[HeliographError]) -> HeliographError | None:
    """The failure that a job of several pictures ends with: one that may have cost money first.

    It says what all of them may have cost.
    """
    if not errors:
        return None
    worst = max(errors, key=lambda error: GRAVITY.index(error.charged))  # the first of equals
    doubt = sum(int(error.facts.get("may_have_cost_micro") or 0) for error in errors)
    if doubt:
        worst.facts["may_have_cost_micro"] = doubt
    return worst

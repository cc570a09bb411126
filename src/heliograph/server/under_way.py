"""A job in the hands of this process, and what those who wait for it are told."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from heliograph.errors import Charged, HeliographError
from heliograph.jobs import Job
from heliograph.pipeline import Order
from heliograph.ports import Event
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
            self.task.cancel()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What those who wait for a job are told; the job itself may still go on."""

    job: Job
    results: tuple[Result, ...] = ()
    error: HeliographError | None = None


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

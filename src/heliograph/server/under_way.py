"""A job in the hands of this process, and what those who wait for it are told."""

import asyncio
from dataclasses import dataclass, field

from heliograph.errors import HeliographError
from heliograph.jobs import Job
from heliograph.pipeline import Order
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
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # money is set aside, or it waits


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What those who wait for a job are told; the job itself may still go on."""

    job: Job
    results: tuple[Result, ...] = ()
    error: HeliographError | None = None

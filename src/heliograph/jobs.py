"""What a user of a gateway has asked for, from the moment it is accepted to its end.

    QUEUED → RUNNING → DONE, FAILED or CANCELLED

Pure nouns and rules; `ports.Jobs` keeps them. Invariant: the only steps are those of `MOVES`; a
job that ended stays as it ended, and its idempotency key with it. What its calls cost stands in
journal and ledger, under the ids in `Job.pictures`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from heliograph.errors import Charged


class JobState(Enum):
    """How far a job has come."""

    QUEUED = "queued"  # accepted; no call of it has begun
    RUNNING = "running"
    DONE = "done"  # it has at least one picture
    FAILED = "failed"  # `Job.error` says why
    CANCELLED = "cancelled"  # before anything of it was sent

    @property
    def is_open(self) -> bool:
        """Whether somebody still works on it."""
        return self in OPEN


OPEN = (JobState.QUEUED, JobState.RUNNING)
_ENDS = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})
MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING}) | _ENDS,
    # a process that takes over from a dead one may begin anew
    JobState.RUNNING: frozenset({JobState.QUEUED}) | _ENDS,
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


class WrongJobMove(ValueError):
    """A job cannot go from its state to that one."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One thing that a user asked for."""

    id: str  # 32 hexadecimal digits; that of its first picture's record, too
    user: str  # id
    access: str | None  # id of the API key it came with
    face: str  # "gemini", "openai" or "native"
    route: str  # method and route template: "POST /images/generations"
    state: JobState
    mark: str  # SHA-256 over route and canonical request; two that are equal ask for the same
    pictures: tuple[str, ...]  # ids of the records its calls make, set before the first one
    prompt: str  # for lists
    created: datetime  # UTC
    changed: datetime  # UTC
    owner: str  # process that works on it; its lease says whether that lives
    library: str  # id of the home folder of that process
    durable: bool = False  # another process goes on with it from `request`
    request: Mapping[str, Any] | None = None  # document of a durable job's request
    records: tuple[str, ...] = ()  # what it brought; twins may name records of earlier jobs
    sources: tuple[str, ...] = ()  # of each record: see `types.Result.source`
    cost: int = 0  # micro-dollars, of its own calls
    error: Mapping[str, Any] | None = None  # `HeliographError.as_dict()`
    key: str | None = None  # its idempotency key; unique for its user
    key_expires: datetime | None = None  # UTC; from then on the key is free
    webhook: str | None = None  # id of the webhook that is told of its end

    @property
    def may_be_called_again(self) -> bool:
        """Whether an SDK's own repeat makes a new call: it ended, and cost nothing for certain."""
        if self.state is JobState.CANCELLED:
            return True
        free = (self.error or {}).get("charged") == Charged.NO.value
        return self.state is JobState.FAILED and free and not self.cost


def moved(
    job: Job,
    state: JobState,
    at: datetime,
    *,
    owner: str | None = None,
    records: tuple[str, ...] | None = None,
    sources: tuple[str, ...] | None = None,
    cost: int | None = None,
    error: Mapping[str, Any] | None = None,
    keeps_key: bool = True,
) -> Job:
    """The job one step further.

    Args:
        at: wall clock, UTC; a clock that went back is taken as standing still.
        owner: the process that works on it from now on.
        keeps_key: False frees its idempotency key, because nothing happened upstream.

    Raises:
        WrongJobMove: that step does not exist.
    """
    if state not in MOVES[job.state]:
        raise WrongJobMove(f"{job.id} is {job.state.value} and cannot become {state.value}")
    return replace(
        job,
        state=state,
        changed=max(at, job.changed),
        owner=job.owner if owner is None else owner,
        records=job.records if records is None else records,
        sources=job.sources if sources is None else sources,
        cost=job.cost if cost is None else cost,
        error=job.error if error is None else error,
        key=job.key if keeps_key else None,
        key_expires=job.key_expires if keeps_key else None,
    )


def adopted(job: Job, owner: str, at: datetime) -> Job:
    """The same job in the hands of another process."""
    return replace(job, owner=owner, changed=max(at, job.changed))

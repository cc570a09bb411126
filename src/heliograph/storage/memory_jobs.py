"""Jobs in memory, for tests and for what nobody wants to keep.

Invariant: it accepts, refuses and returns exactly what `SqlJobs` does. Nothing waits inside a
method, so that each is done whole or not at all.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from heliograph.jobs import Job, JobState
from heliograph.storage.entry import differs
from heliograph.storage.job_entry import canonical_job, canonical_step, job_taken
from heliograph.storage.lookup import check_limit, check_moment, utc_now


class MemoryJobs:
    """The `Jobs` port over a dictionary.

    Args:
        clock: the wall clock that keys expire by.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._jobs: dict[str, Job] = {}
        self._clock = clock

    async def submit(self, job: Job, *, joins_since: datetime | None = None) -> Job | None:
        job = canonical_job(job)
        if joins_since is not None:
            check_moment(joins_since)
        holder = None if job.key is None else self._holder(job.user, job.key)
        expired = holder is not None and _is_past(holder.key_expires, self._clock())
        if holder is not None and not expired:
            return holder
        joined = None if joins_since is None else self._joined(job.user, job.mark, joins_since)
        if joined is not None:
            return joined
        if job.id in self._jobs:
            raise differs("job", job.id)
        if holder is not None:
            self._jobs[holder.id] = replace(holder, key=None, key_expires=None)
        self._jobs[job.id] = job
        return None

    def _holder(self, user: str, key: str) -> Job | None:
        """The job that has an idempotency key, expired or not."""
        wanted = (user, key)
        return next((kept for kept in self._jobs.values() if (kept.user, kept.key) == wanted), None)

    def _joined(self, user: str, mark: str, since: datetime) -> Job | None:
        found = [
            kept
            for kept in self._jobs.values()
            if (kept.user, kept.mark) == (user, mark)
            and kept.created >= since
            and not kept.may_be_called_again
        ]
        return max(found, key=_age, default=None)

    async def change(self, before: Job, after: Job) -> None:
        after = canonical_step(before, after)
        kept = self._jobs.get(before.id)
        if kept is None or (kept.state, kept.owner) != (before.state, before.owner):
            raise job_taken(before)
        # the key may have gone over to another job meanwhile
        key, expires = (None, None) if after.key is None else (kept.key, kept.key_expires)
        self._jobs[kept.id] = replace(after, created=kept.created, key=key, key_expires=expires)

    async def job(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    async def holder(self, user: str, key: str) -> Job | None:
        found = self._holder(user, key)
        return None if found is None or _is_past(found.key_expires, self._clock()) else found

    async def joinable(self, user: str, mark: str, since: datetime) -> Job | None:
        check_moment(since)
        return self._joined(user, mark, since)

    async def jobs(
        self,
        *,
        user: str | None = None,
        states: Sequence[JobState] = (),
        before: tuple[datetime, str] | None = None,
        limit: int,
    ) -> Sequence[Job]:
        check_limit(limit)
        if before is not None:
            check_moment(before[0])
        found = [
            job
            for job in self._jobs.values()
            if user in (None, job.user)
            and (not states or job.state in states)
            and (before is None or _age(job) < before)
        ]
        return _in_order(found)[::-1][:limit]

    async def open_jobs(self, library: str) -> Sequence[Job]:
        mine = [job for job in self._jobs.values() if job.library == library and job.state.is_open]
        return _in_order(mine)

    async def open_owners(self, library: str) -> frozenset[str]:
        return frozenset(job.owner for job in await self.open_jobs(library))

    async def count_open(self, user: str) -> int:
        return sum(job.user == user and job.state.is_open for job in self._jobs.values())


def _age(job: Job) -> tuple[datetime, str]:
    return job.created, job.id


def _in_order(jobs: Iterable[Job]) -> tuple[Job, ...]:
    return tuple(sorted(jobs, key=_age))


def _is_past(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now

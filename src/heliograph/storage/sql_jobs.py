"""Jobs in SQLite or Postgres, beside the books: the same statements for both.

Invariant: the statement that inserts decides who is first, by the unique index on user and key
and by looking for a job to join in itself. In Postgres one user's submissions queue up, so that
it sees what others are about to commit; SQLite has one writer anyway.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    Select,
    bindparam,
    func,
    literal,
    select,
    tuple_,
    update,
)

from heliograph.errors import Charged
from heliograph.jobs import OPEN, Job, JobState
from heliograph.storage.database import Database
from heliograph.storage.entry import differs
from heliograph.storage.job_entry import canonical_job, canonical_step, job_taken
from heliograph.storage.lookup import check_limit, check_moment, utc_now
from heliograph.storage.row import job_from_row, job_row
from heliograph.storage.statements import add_job_unless, statements
from heliograph.storage.tables import AnyText, UtcTime, jobs

KEY = ("key", "key_expires")
# what no step changes; the key is let go by a statement of its own
LASTING = ("id", "user_id", "created", *KEY)
NO_KEY: dict[str, Any] = dict.fromkeys(KEY)

_job_of = select(jobs).where(jobs.c.id == bindparam("the_id"))
_change = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("the_id"),
        jobs.c.state == bindparam("old_state"),
        jobs.c.owner == bindparam("old_owner"),
    )
    .values({c.name: bindparam(c.name) for c in jobs.c if c.name not in LASTING})
)
_change_and_let_go = _change.values(NO_KEY)
_is_open = jobs.c.state.in_([state.value for state in OPEN])


class SqlJobs:
    """The `Jobs` port over the database of a `SqlBooks`, which closes it.

    Args:
        clock: the wall clock that keys expire by.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._add = statements(database.dialect).add_job

    async def submit(self, job: Job, *, joins_since: datetime | None = None) -> Job | None:
        job = canonical_job(job)
        if joins_since is not None:
            check_moment(joins_since)
        joinable = None if joins_since is None else _joinable(job.user, job.mark, joins_since)
        row, now = job_row(job), self._clock()
        adding: tuple[Any, ...] = (self._add, row)
        if joinable is not None:
            adding = (add_job_unless(self._database.dialect, row, joinable.subquery()),)

        def write(connection: Connection) -> Job | None:
            self._queue(connection, job.user)
            if job.key is not None:
                connection.execute(_free_key(job, now, joinable))
            if connection.execute(*adding).rowcount == 1:
                return None
            # nobody else can write this user's keys now, so the key's job is still there
            there = () if job.key is None else _load(connection, _holder(job.user, job.key, now))
            if not there and joinable is not None:
                there = _load(connection, joinable)
            if not there:
                raise differs("job", job.id)
            return there[0]

        return await self._database.write(write, "The job could not be written.")

    def _queue(self, connection: Connection, user: str) -> None:
        """Wait until no other submission of this user is under way."""
        if self._database.dialect == "postgresql":
            digest = hashlib.sha256(b"jobs of " + user.encode("utf-8", "surrogatepass")).digest()
            number = int.from_bytes(digest[:8], signed=True)
            connection.execute(select(func.pg_advisory_xact_lock(literal(number, BigInteger))))

    async def change(self, before: Job, after: Job) -> None:
        after = canonical_step(before, after)
        step = {name: value for name, value in job_row(after).items() if name not in LASTING}
        step |= {
            "the_id": before.id,
            "old_state": before.state.value,
            "old_owner": before.owner,
        }

        def write(connection: Connection) -> None:
            if after.key is None:
                # so that a submission that met the key still finds it
                self._queue(connection, before.user)
            change = _change_and_let_go if after.key is None else _change
            if connection.execute(change, step).rowcount != 1:
                raise job_taken(before)

        await self._database.write(write, "The step of a job could not be written.")

    async def job(self, job_id: str) -> Job | None:
        found = await self._read(_job_of, {"the_id": job_id})
        return found[0] if found else None

    async def holder(self, user: str, key: str) -> Job | None:
        found = await self._read(_holder(user, key, self._clock()))
        return found[0] if found else None

    async def joinable(self, user: str, mark: str, since: datetime) -> Job | None:
        check_moment(since)
        found = await self._read(_joinable(user, mark, since))
        return found[0] if found else None

    async def jobs(
        self,
        *,
        user: str | None = None,
        states: Sequence[JobState] = (),
        before: tuple[datetime, str] | None = None,
        limit: int,
    ) -> Sequence[Job]:
        check_limit(limit)
        wanted = select(jobs).order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
        if user is not None:
            wanted = wanted.where(jobs.c.user_id == user)
        if states:
            wanted = wanted.where(jobs.c.state.in_([state.value for state in states]))
        if before is not None:
            check_moment(before[0])
            last = tuple_(literal(before[0], UtcTime), literal(before[1], AnyText))
            wanted = wanted.where(tuple_(jobs.c.created, jobs.c.id) < last)
        return await self._read(wanted)

    async def open_jobs(self, library: str) -> Sequence[Job]:
        mine = select(jobs).where(_is_open, jobs.c.library == library)
        return await self._read(mine.order_by(jobs.c.created, jobs.c.id))

    async def open_owners(self, library: str) -> frozenset[str]:
        owners = select(jobs.c.owner).where(_is_open, jobs.c.library == library).distinct()
        return await self._database.read(lambda c: frozenset(c.scalars(owners)))

    async def count_open(self, user: str) -> int:
        count = select(func.count()).select_from(jobs).where(_is_open, jobs.c.user_id == user)
        return int(await self._database.read(lambda connection: connection.scalar(count) or 0))

    async def _read(
        self, wanted: Select[Any], values: dict[str, Any] | None = None
    ) -> Sequence[Job]:
        return await self._database.read(lambda connection: _load(connection, wanted, values))


def _joinable(user: str, mark: str, since: datetime) -> Select[Any]:
    """The newest job that a submission may join."""
    return (
        select(jobs)
        .where(
            jobs.c.user_id == user,
            jobs.c.mark == mark,
            jobs.c.created >= since,
            jobs.c.state != JobState.CANCELLED.value,
            # the failures that `Job.may_be_called_again` names
            (jobs.c.state != JobState.FAILED.value)
            | (jobs.c.cost > 0)
            | (func.coalesce(jobs.c.error["charged"].as_string(), "") != Charged.NO.value),
        )
        .order_by(jobs.c.created.desc(), jobs.c.id.desc())
        .limit(1)
    )


def _holder(user: str, key: str, now: datetime) -> Select[Any]:
    """The job that has a key, unless that is expired."""
    good = jobs.c.key_expires.is_(None) | (jobs.c.key_expires > now)
    return select(jobs).where(jobs.c.user_id == user, jobs.c.key == key, good)


def _free_key(job: Job, now: datetime, joinable: Select[Any] | None) -> Executable:
    """Takes an expired key from the job that has it, unless another one will be joined."""
    free = update(jobs).where(
        jobs.c.user_id == job.user, jobs.c.key == job.key, jobs.c.key_expires <= now
    )
    if joinable is not None:
        free = free.where(~select(joinable.subquery()).exists())
    return free.values(NO_KEY)


def _load(
    connection: Connection, wanted: Select[Any], values: dict[str, Any] | None = None
) -> Sequence[Job]:
    return tuple(job_from_row(row) for row in connection.execute(wanted, values).mappings())

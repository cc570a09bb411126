"""What a gateway keeps beside the books: users, keys and jobs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from heliograph.accounts import ApiKey, User
from heliograph.jobs import Job, JobState


class Accounts(Protocol):
    """Users and their keys, in the same database as the `Books`.

    Each method that writes is one transaction, durable when it returns.
    """

    async def add_user(self, user: User) -> None:
        """Write a new user.

        Raises:
            NameTaken: a user has this id or, ignoring case, this name.
            StorageError: id or name (400 characters), limits or version are out of range.
        """

    async def user(self, user_id: str) -> User | None: ...

    async def user_named(self, name: str) -> User | None:
        """The user of this name, ignoring case."""

    async def users(self) -> Sequence[User]:
        """All, those made first first."""

    async def change_user(self, before: User, after: User) -> None:
        """Replace a user; `after.version` is one more than `before.version`.

        Raises:
            CardChanged: the stored version is another one; nothing was written.
            NameTaken: another user has the name.
            ValueError: `after` is another user, or not the next version.
        """

    async def add_key(self, key: ApiKey) -> None:
        """Write a new key of a user that is there.

        Raises:
            NameTaken: a key has this id.
            RecordNotFound: there is no such user.
        """

    async def key(self, key_id: str) -> ApiKey | None: ...

    async def keys(self, user_id: str | None = None) -> Sequence[ApiKey]:
        """Keys of one user or of all, those made first first; revoked ones, too."""

    async def revoke_key(self, key_id: str, at: datetime) -> None:
        """End a key for good; one that is revoked already keeps its time.

        Raises:
            RecordNotFound: there is no such key.
        """

    async def expire_key(self, key_id: str, at: datetime) -> None:
        """Let a key be good until then at most; one that expires before stays as it is.

        Raises:
            RecordNotFound: there is no such key.
        """

    async def touch_key(self, key_id: str, at: datetime) -> None:
        """Note the minute in which a key was used last; one before the noted one, or a key that
        is not there, changes nothing."""

    async def revision(self) -> int:
        """Grows with every change of a user or key but `touch_key`: other processes look at it
        to know when what they remember is old."""


class Jobs(Protocol):
    """Jobs of a gateway, in the same database as the `Books`.

    Each method that writes is one transaction, durable when it returns.
    """

    async def submit(self, job: Job, *, joins_since: datetime | None = None) -> Job | None:
        """Write a new job, unless it stands for one that is there already.

        That is one of the same user with the same idempotency key, not expired; or, with
        `joins_since`, the newest one of the same user and mark that was created since then and
        may not be called again (`Job.may_be_called_again`): it was neither cancelled, nor failed
        for nothing. Who comes first is decided by the database alone.

        Returns:
            None, or the job that is there: then nothing was written. A key that is expired goes
            over to the new job.

        Raises:
            StorageError: there is a job with this id, or user (100 characters) or key (400) are
                too long.
        """

    async def change(self, before: Job, after: Job) -> None:
        """Replace a job by a later one.

        Its idempotency key can be let go (`after.key` is None), and nothing else: one that went
        over to another job stays there.

        Raises:
            CallTaken: state or owner are not those of `before` any more; nothing was written.
            WrongJobMove: `MOVES` has no such step, or it is another job.
        """

    async def job(self, job_id: str) -> Job | None: ...

    async def holder(self, user: str, key: str) -> Job | None:
        """The job that an idempotency key of a user stands for, unless the key has expired."""

    async def joinable(self, user: str, mark: str, since: datetime) -> Job | None:
        """The job that `submit` would give with `joins_since` for a new one of this user and mark,
        when that has no key."""

    async def jobs(
        self,
        *,
        user: str | None = None,
        states: Sequence[JobState] = (),
        before: tuple[datetime, str] | None = None,
        limit: int,
    ) -> Sequence[Job]:
        """Jobs, newest first; no user means everybody's, no states mean any.

        Args:
            before: older than this (created, id): the next page.
        """

    async def open_jobs(self, library: str) -> Sequence[Job]:
        """All jobs of a library that are not at their end, oldest first."""

    async def open_owners(self, library: str) -> frozenset[str]:
        """Who those jobs belong to, alive or not."""

    async def count_open(self, user: str) -> int:
        """How many jobs of a user are not at their end."""

"""What may become a job, and what of it may change, the same for all implementations of `Jobs`.

Invariant: a job changes by the steps of `jobs.MOVES` only, and its idempotency key can be let go,
but neither taken nor taken back.
"""

from heliograph.errors import CallTaken, StorageError
from heliograph.jobs import MOVES, Job, WrongJobMove
from heliograph.money import MAX_MICRO
from heliograph.storage.document import from_document, to_document

# user and key together fit into a key of Postgres (2704 bytes), as `tables.AnyText` writes them
MAX_USER = 100  # characters
MAX_KEY = 400  # characters


def canonical_job(job: Job) -> Job:
    """The same job as it will be read back, every type checked.

    Raises:
        StorageError: something in it cannot be kept.
    """
    job = from_document(Job, to_document(job))
    if len(job.user) > MAX_USER or len(job.key or "") > MAX_KEY:
        raise _refusal(f"a key has at most {MAX_KEY} characters, the id of a user {MAX_USER}")
    if not 0 <= job.cost <= MAX_MICRO:
        raise _refusal(f"a cost of {job.cost} micro-dollars is outside 0…1e12")
    return job


def canonical_step(before: Job, after: Job) -> Job:
    """The job after a step, as it will be read back.

    Raises:
        WrongJobMove: there is no such step, or it is another job.
        StorageError: something in it cannot be kept.
    """
    # an open job may also stay what it is, in the hands of another process
    step = (after.state is before.state and before.state.is_open) or (
        after.state in MOVES[before.state]
    )
    if not step or (after.id, after.user) != (before.id, before.user):
        raise WrongJobMove(
            f"{before.id} is {before.state.value} and cannot become {after.id} {after.state.value}"
        )
    return canonical_job(after)


def job_taken(before: Job) -> CallTaken:
    """The error for a job that is not as its process knew it."""
    return CallTaken(
        "Another process has this job in its hands.",
        why=f"{before.id} is no longer {before.state.value} and held by {before.owner}.",
        remedy="Leave it to that process; nothing was written.",
        facts={"job": before.id, "state": before.state.value, "owner": before.owner},
    )


def _refusal(why: str) -> StorageError:
    return StorageError("This job cannot be kept.", why=f"{why[0].upper()}{why[1:]}.")

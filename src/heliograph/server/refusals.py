"""What the gateway says when it does not do what it was asked for."""

from datetime import UTC, datetime

from heliograph.errors import (
    Charged,
    HeliographError,
    KeyReused,
    NotSent,
    Problem,
    RecordNotFound,
    StorageError,
)
from heliograph.jobs import Job
from heliograph.server.admission import USUAL
from heliograph.server.faults import Fault, KeyInUse


class TooLate(Fault):
    """Something of the job was sent already; it can no longer be cancelled."""

    status = 409
    code = "too_late"


def no_job(job_id: str) -> RecordNotFound:
    """The error when there is no such job, or it is somebody else's."""
    return RecordNotFound("There is no such job.", facts={"id": job_id})


def no_image(record_id: str) -> RecordNotFound:
    return RecordNotFound("There is no such image.", facts={"id": record_id})


def too_late(job: Job) -> TooLate:
    return TooLate(
        "The job cannot be cancelled any more.",
        why="It was sent to the upstream, which charges for it, or it is at its end.",
        remedy="Its picture is kept; look at the job.",
        facts={"job": job.id, "state": job.state.value},
    )


def other_request(key: str) -> KeyReused:
    problem = Problem(
        field="Idempotency-Key",
        value=key,
        message="belongs to another request already",
    )
    return KeyReused([problem], remedy="Give the new request a key of its own; nothing was sent.")


def key_in_use(job: Job) -> KeyInUse:
    """The error for an idempotency key whose first request is not at its end."""
    begun = (datetime.now(UTC) - job.created).total_seconds()
    return KeyInUse(
        "The first request of this idempotency key is still being worked on.",
        remedy="Ask again later with the same key, or send `Prefer: wait=60` to wait.",
        retry_after=max(1.0, USUAL - begun),
        facts={"job": job.id},
    )


def replayed(error: HeliographError) -> HeliographError:
    error.facts["replayed"] = True
    return error


def interrupted() -> HeliographError:
    # of the library's own tree: it is written down with the job, and made again from that
    return NotSent(
        "The gateway was stopped before this request was sent.",
        remedy="Send it again; nothing was charged.",
        retry_after=1.0,
    )


def unwritten() -> StorageError:
    """The error when a job has ended and the database would not take that."""
    return StorageError(
        "The end of the job could not be written down.",
        remedy="It may have been charged; its calls are in the journal.",
        charged=Charged.UNKNOWN,
    )

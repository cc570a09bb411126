"""What a job has come to when nobody works on it any more.

Invariant: nothing is changed here; and a job counts as one that may be begun again only if nothing
of it was ever sent, or what was sent is known to have cost nothing.
"""

from heliograph.calls import MOST_CALLS, Shelf
from heliograph.errors import Charged, HeliographError, OutcomeUnknown, RecordNotFound
from heliograph.journal import UNSENT, Stage
from heliograph.keeping import failure_in
from heliograph.types import Outcome, Record

PAID = (Stage.REFUSED, Stage.QUARANTINED)  # without a picture


async def come_to(job: str, shelf: Shelf) -> Record | HeliographError | None:
    """The record of a job with its picture, or why there is none that holds one.

    Returns:
        None when it may be begun; a job that has a record may not, because that is its only one.
    """
    try:
        record = await shelf.books.find(job)
    except RecordNotFound:
        return await doubt(job, shelf)
    if record.result is not None:
        return record
    unclear = await doubt(job, shelf)
    if unclear is not None or record.outcome is not Outcome.UNKNOWN:
        return unclear or failure_in(record)
    return OutcomeUnknown(
        "Nobody knew what this job came to, until it was resolved by hand.",
        remedy="Ask again as another job.",
        charged=Charged.YES if record.cost else Charged.NO,
        record_id=job,
    )


async def begun_before(job: str, shelf: Shelf) -> Record | int:
    """What a process that is gone has made for a job, or how many calls; those cost nothing.

    Raises:
        HeliographError: it was, or may have been, paid for without a picture.
    """
    found = await come_to(job, shelf)
    if isinstance(found, HeliographError):
        raise found
    return found or len(await shelf.journal.calls(job=job, limit=MOST_CALLS))


async def doubt(job: str, shelf: Shelf) -> HeliographError | None:
    """Why a job was, or may have been, paid for without a picture."""
    for call in await shelf.journal.calls(job=job, limit=MOST_CALLS):
        if call.stage in PAID and (kept := await shelf.books.find(job)).cost:
            return failure_in(kept)
        if call.stage.is_doubtful or (call.stage.is_open and call.stage not in UNSENT):
            return OutcomeUnknown(
                "The job was stopped while the upstream may have been at work.",
                remedy="It may have been charged; see `heliograph calls list`.",
                charged=Charged.UNKNOWN,
                record_id=job,
                facts={"job": job, "may_have_cost_micro": call.reserved},
            )
    return None

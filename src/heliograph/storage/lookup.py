"""How records and calls are looked up, the same for all implementations of books and journal.

Invariant: an exact id wins over a prefix, and a prefix that could mean two things means none.
"""

from datetime import UTC, datetime

from heliograph.errors import CallTaken, RecordNotFound
from heliograph.journal import CallEntry

MIN_PREFIX = 4


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def check_limit(limit: int) -> None:
    """Raises ValueError for a negative limit, which SQLite would take as "all"."""
    if limit < 0:
        raise ValueError(f"limit={limit} is negative")


def check_moment(moment: datetime) -> None:
    """Raises ValueError for a time without its zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")


def no_record(record_id: str, what: str = "record") -> RecordNotFound:
    """The error when nothing has this id or prefix."""
    return RecordNotFound(
        f"No {what} has this id.",
        why=f"Nothing kept is {record_id!r}, or begins with it.",
        remedy=f"Give the whole id or its first {MIN_PREFIX} or more characters.",
        facts={"id": record_id},
    )


def ambiguous(record_id: str, what: str = "record") -> RecordNotFound:
    """The error when more than one record begins with this prefix."""
    return RecordNotFound(
        f"More than one {what} has this beginning.",
        why=f"{record_id!r} could mean several {what}s.",
        remedy="Give more characters of the id.",
        facts={"id": record_id},
    )


def call_taken(before: CallEntry) -> CallTaken:
    """The error for a call that is not as its process knew it."""
    return CallTaken(
        "Another process has this call in its hands.",
        why=f"{before.id} is no longer {before.stage.value} and held by {before.owner}.",
        remedy="Leave it to that process; nothing was written.",
        facts={"call": before.id, "stage": before.stage.value, "owner": before.owner},
    )

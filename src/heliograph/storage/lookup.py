"""How records are looked up by id, the same for all implementations of the books."""

from heliograph.errors import RecordNotFound

MIN_PREFIX = 4


def check_limit(limit: int) -> None:
    """Raises ValueError for a negative limit, which SQLite would take as "all"."""
    if limit < 0:
        raise ValueError(f"limit={limit} is negative")


def no_record(record_id: str) -> RecordNotFound:
    """The error when nothing has this id or prefix."""
    return RecordNotFound(
        "No record has this id.",
        why=f"Nothing kept is {record_id!r}, or begins with it.",
        remedy=f"Give the whole id or its first {MIN_PREFIX} or more characters.",
        facts={"id": record_id},
    )


def ambiguous(record_id: str) -> RecordNotFound:
    """The error when more than one record begins with this prefix."""
    return RecordNotFound(
        "More than one record has this beginning.",
        why=f"{record_id!r} could mean several records.",
        remedy="Give more characters of the id.",
        facts={"id": record_id},
    )

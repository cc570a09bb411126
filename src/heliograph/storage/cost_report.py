"""What a cost report counts, the same for all implementations of the books.

Money: the `settle` lines. Calls: the records they belong to. Images: the result and the extra
images of these records, which are billed as pictures; drafts are thoughts and are not counted.
Invariant: simulated and real money never share a row.
"""

from collections.abc import Iterable
from datetime import datetime

from heliograph.ports import CostRow
from heliograph.types import Role

GROUPS = ("day", "month", "model", "size", "tier", "owner")
COUNTED = (Role.RESULT, Role.EXTRA)
NO_SIZE = "none"  # the group of calls that returned no picture
NO_OWNER = ""  # the group of records that belong to no user


def check_report(by: str, *moments: datetime | None) -> None:
    """Raises ValueError for an unknown grouping or a time without its zone."""
    if by not in GROUPS:
        raise ValueError(f"{by!r} is no grouping; valid are {', '.join(GROUPS)}")
    for moment in moments:
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{moment} has no time zone")


def in_order(rows: Iterable[CostRow]) -> tuple[CostRow, ...]:
    """Rows by group, real money first."""
    return tuple(sorted(rows, key=lambda row: (row.group, row.simulated)))

"""The rows, by id: F faults, K crashes, and what the acceptance of the product adds to them.

Invariant: ids are those of the reliability page, and every row of it that this harness owns is
listed, served or not.
"""

import difflib
from collections.abc import Sequence

from heliograph.chaos.row import Case, Row
from heliograph.chaos.rows.absent import ABSENT
from heliograph.chaos.rows.accounts import ACCOUNTS
from heliograph.chaos.rows.answers import ANSWERS
from heliograph.chaos.rows.connections import CONNECTIONS
from heliograph.chaos.rows.crashes import CRASHES, SESSIONS
from heliograph.chaos.rows.limits import LIMITS
from heliograph.chaos.rows.many import MANY
from heliograph.chaos.rows.pictures import PICTURES
from heliograph.errors import InvalidRequest, Problem

_ALL = (
    *(*LIMITS, *CONNECTIONS, *PICTURES, *ANSWERS, *ACCOUNTS),
    *(*CRASHES, *SESSIONS, *ABSENT, *MANY),
)
ROWS: tuple[Row, ...] = tuple(
    sorted(_ALL, key=lambda row: ("FKM".index(row.id[0]), not row.id[1:3].isdigit(), row.id))
)
_BY_ID = {row.id.lower(): row for row in ROWS}


def find_rows(ids: Sequence[str]) -> tuple[Row, ...]:
    """The rows of these ids, in the order given, each once.

    Raises:
        InvalidRequest: lists every id that names no row, with the nearest that do.
    """
    problems = [
        Problem(
            field="row",
            value=each,
            message="no row has this id",
            nearest=tuple(_nearest(each)),
        )
        for each in ids
        if each.lower() not in _BY_ID
    ]
    if problems:
        raise InvalidRequest(problems, remedy="`heliograph chaos list` shows every row.")
    return tuple(_BY_ID[each] for each in dict.fromkeys(each.lower() for each in ids))


def find_case(row_id: str, name: str) -> Case:
    """One case of a row.

    Raises:
        KeyError: there is none.
    """
    for case in _BY_ID[row_id.lower()].cases:
        if case.name == name:
            return case
    raise KeyError(f"{row_id} has no case {name!r}")


def _nearest(wrong: str) -> list[str]:
    found = difflib.get_close_matches(wrong.lower(), _BY_ID, n=3, cutoff=0.3)
    return [_BY_ID[each].id for each in found]

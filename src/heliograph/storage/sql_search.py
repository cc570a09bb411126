"""The statements that search the listing and the trash, for SQLite and Postgres alike.

Invariant: what somebody searches for is a value, never a pattern. The listing is read row by row
in its own order, newest first, until a page is full.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Delete, Select, delete, func, literal, select, tuple_

from heliograph.ports import Search
from heliograph.storage.listing import FACETS, tag_text, words_of
from heliograph.storage.tables import AnyText, UtcTime, listing, trash

AT_ONCE = 1000  # ids that one statement asks for


def found_ids(search: Search, limit: int) -> Select[Any]:
    """The ids of one page."""
    wanted = select(listing.c.record_id).where(*_fitting(search))
    for column, chosen in FACETS.items():
        values = getattr(search, chosen)
        if values:
            wanted = wanted.where(listing.c[column].in_(values))
    if search.before is not None:
        created, record_id = search.before
        last = tuple_(literal(created, UtcTime), literal(record_id, AnyText))
        wanted = wanted.where(tuple_(listing.c.created, listing.c.record_id) < last)
    newest_first = (listing.c.created.desc(), listing.c.record_id.desc())
    return wanted.order_by(*newest_first).limit(limit)


def shapes(search: Search) -> Select[Any]:
    """How many records of each shape fit all but the facets and the page."""
    columns = [listing.c[name] for name in FACETS]
    wanted = select(*columns, func.count()).where(*_fitting(search))
    return wanted.group_by(*columns)


def _fitting(search: Search) -> Iterator[ColumnElement[bool]]:
    thrown = select(trash.c.record_id).where(trash.c.record_id == listing.c.record_id).exists()
    yield thrown if search.trashed else ~thrown
    if search.owner is not None:
        yield listing.c.owner == search.owner
    if search.session is not None:
        yield listing.c.session == search.session
    if search.simulated is not None:
        yield listing.c.simulated == search.simulated
    if search.since is not None:
        yield listing.c.created >= search.since
    if search.until is not None:
        yield listing.c.created < search.until
    for tag in search.tags:
        # not LIKE, for which SQLite takes "A" and "a" as one
        yield func.replace(listing.c.tags, tag_text([tag]), "") != listing.c.tags
    for word in words_of(search):
        yield listing.c.words.contains(word, autoescape=True)


def take_out(record_id: str) -> Delete:
    """Takes one record out of the trash."""
    return delete(trash).where(trash.c.record_id == record_id)


def trashed_of(record_ids: Sequence[str]) -> Iterator[Select[Any]]:
    """Which of these ids lie in the trash, some at a time."""
    for start in range(0, len(record_ids), AT_ONCE):
        some = record_ids[start : start + AT_ONCE]
        yield select(trash.c.record_id).where(trash.c.record_id.in_(some))

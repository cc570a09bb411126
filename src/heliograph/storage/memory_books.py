"""The books in memory, for tests and for calls that nobody wants to keep.

Invariant: it accepts, refuses and returns exactly what `SqlBooks` does; a `MemoryShelf` is changed
whole or not at all, because nothing waits in between.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from heliograph.ledger import Balance, apply
from heliograph.ports import CostRow, Search, SessionRow
from heliograph.storage.cost_report import COUNTED, NO_OWNER, NO_SIZE, check_report, in_order
from heliograph.storage.entry import SETTLE, canonical, differs, queries
from heliograph.storage.listing import (
    FACETS,
    Shape,
    check_search,
    count_facets,
    fold,
    tags_of,
    words_of,
)
from heliograph.storage.lookup import (
    MIN_PREFIX,
    ambiguous,
    check_limit,
    check_moment,
    no_record,
)
from heliograph.types import LedgerLine, Outcome, Record


@dataclass(frozen=True)
class MemoryShelf:
    """What `MemoryBooks` and `MemoryJournal` share: canonical records, lines and balances."""

    records: dict[str, Record] = field(default_factory=dict)
    lines: dict[str, LedgerLine] = field(default_factory=dict)
    balances: dict[tuple[str, bool], Balance] = field(default_factory=dict)

    def put(self, record: Record | None, lines: Sequence[LedgerLine]) -> None:
        """Add what is new, and what new lines change in the balances.

        Raises:
            StorageError: an id is kept already, with other content; nothing was changed.
        """
        if record is not None and self.records.get(record.id, record) != record:
            raise differs("record", record.id)
        fresh: dict[str, LedgerLine] = {}
        for line in lines:
            kept = self.lines.get(line.entry_id) or fresh.get(line.entry_id)
            if kept is None:
                fresh[line.entry_id] = line
            elif kept != line:
                raise differs("ledger line", line.entry_id)
        if record is not None:
            self.records[record.id] = record
        self.lines.update(fresh)
        for line in fresh.values():
            for scope in line.scopes:
                key = (scope, line.simulated)
                balance = self.balances.get(key, Balance(scope=scope, simulated=line.simulated))
                self.balances[key] = apply(balance, line)


class MemoryBooks:
    """The `Books` port over a shelf."""

    def __init__(self) -> None:
        self.shelf = MemoryShelf()
        self._trash: dict[str, datetime] = {}

    async def keep(self, record: Record, lines: Sequence[LedgerLine]) -> None:
        self.shelf.put(*canonical(record, lines))

    async def find(self, record_id: str) -> Record:
        if record_id in self.shelf.records:
            return self.shelf.records[record_id]
        if len(record_id) < MIN_PREFIX:
            raise no_record(record_id)
        found = [kept for key, kept in self.shelf.records.items() if key.startswith(record_id)]
        if not found:
            raise no_record(record_id)
        if len(found) > 1:
            raise ambiguous(record_id)
        return found[0]

    async def recent(self, *, limit: int, search: str | None = None) -> Sequence[Record]:
        check_limit(limit)
        term = (search or "").lower()
        found = [record for record in self.shelf.records.values() if term in record.prompt.lower()]
        return tuple(sorted(found, key=lambda r: (r.created, r.id), reverse=True)[:limit])

    async def search(self, search: Search, *, limit: int) -> Sequence[Record]:
        check_limit(limit)
        check_search(search)
        found = [
            record
            for record in self._fitting(search)
            if _is_chosen(record, search)
            and (search.before is None or _age(record) < search.before)
        ]
        return tuple(sorted(found, key=_age, reverse=True)[:limit])

    async def facets(self, search: Search) -> Mapping[str, Mapping[str, int]]:
        check_search(search)
        return count_facets(Counter(_shape(record) for record in self._fitting(search)), search)

    def _fitting(self, search: Search) -> Iterator[Record]:
        """The records that fit all but the facets and the page."""
        for record in self.shelf.records.values():
            if (record.id in self._trash) == search.trashed and _fits(record, search):
                yield record

    async def trash(self, record_id: str, at: datetime) -> None:
        check_moment(at)
        if record_id not in self.shelf.records:
            raise no_record(record_id)
        self._trash.setdefault(record_id, at.astimezone(UTC))

    async def untrash(self, record_id: str) -> None:
        self._trash.pop(record_id, None)

    async def trashed(self, record_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(self._trash.keys() & set(record_ids))

    async def session(self, session_id: str) -> Sequence[Record]:
        found = [record for record in self.shelf.records.values() if record.session == session_id]
        return tuple(sorted(found, key=_age))

    async def sessions(self, *, limit: int, owner: str | None = None) -> Sequence[SessionRow]:
        check_limit(limit)
        found: dict[str, list[Record]] = {}
        for record in sorted(self.shelf.records.values(), key=_age):
            if record.session is not None and owner in (None, record.owner):
                found.setdefault(record.session, []).append(record)
        rows = [_session_row(key, records) for key, records in found.items()]
        return tuple(sorted(rows, key=lambda row: (row.changed, row.id), reverse=True)[:limit])

    async def lines(self, record_id: str) -> Sequence[LedgerLine]:
        found = [line for line in self.shelf.lines.values() if line.record_id == record_id]
        return tuple(sorted(found, key=lambda line: (line.at, line.entry_id)))

    async def costs(
        self,
        by: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        owner: str | None = None,
    ) -> Sequence[CostRow]:
        check_report(by, since, until)
        calls: dict[tuple[str, bool], dict[str, int]] = {}
        for line in self.shelf.lines.values():
            early = since is not None and line.at < since
            late = until is not None and line.at >= until
            if line.kind != SETTLE or early or late:
                continue
            if owner not in (None, self.shelf.records[line.record_id].owner):
                continue
            micro = calls.setdefault((self._group(by, line), line.simulated), {})
            micro[line.record_id] = micro.get(line.record_id, 0) + line.micro
        return in_order(
            CostRow(
                group=group,
                calls=len(micro),
                images=sum(self._pictures(record_id) for record_id in micro),
                micro=sum(micro.values()),
                simulated=simulated,
            )
            for (group, simulated), micro in calls.items()
        )

    async def queries_since(self, since: datetime, *, simulated: bool) -> int:
        check_report("day", since)
        return sum(
            queries(line)
            for line in self.shelf.lines.values()
            if line.kind == SETTLE and line.at >= since and line.simulated == simulated
        )

    async def close(self) -> None: ...

    def _group(self, by: str, line: LedgerLine) -> str:
        day = line.at.date().isoformat()
        record = self.shelf.records[line.record_id]
        groups = {
            "day": day,
            "month": day[:7],
            "model": line.model,
            "size": NO_SIZE if line.size is None else line.size,
            "tier": record.tier,
            "owner": NO_OWNER if record.owner is None else record.owner,
        }
        return groups[by]

    def _pictures(self, record_id: str) -> int:
        return sum(image.role in COUNTED for image in self.shelf.records[record_id].images)


def _age(record: Record) -> tuple[datetime, str]:
    return record.created, record.id


def _shape(record: Record) -> Shape:
    verdict = record.verdict and record.verdict.value
    return record.model, record.size, verdict, record.outcome.value


def _is_chosen(record: Record, search: Search) -> bool:
    """Whether the facets let it through."""
    chosen = [getattr(search, name) for name in FACETS.values()]
    return all(
        not values or value in values for value, values in zip(_shape(record), chosen, strict=True)
    )


def _fits(record: Record, search: Search) -> bool:
    prompt = fold(record.prompt)
    return (
        search.owner in (None, record.owner)
        and search.session in (None, record.session)
        and search.simulated in (None, record.simulated)
        and (search.since is None or record.created >= search.since)
        and (search.until is None or record.created < search.until)
        and tags_of(record).issuperset(search.tags)
        and all(word in prompt for word in words_of(search))
    )


def _session_row(session_id: str, records: Sequence[Record]) -> SessionRow:
    """The row of a session whose records are given oldest first."""
    kept = [record for record in records if record.outcome is Outcome.KEPT]
    return SessionRow(
        id=session_id,
        turns=len(records),
        begun=records[0].created,
        changed=records[-1].created,
        micro=sum(record.cost for record in records),
        first=records[0].prompt,
        last=(kept or records)[-1].id,
    )

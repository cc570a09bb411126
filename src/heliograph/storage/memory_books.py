"""The books in memory, for tests and for calls that nobody wants to keep.

Invariant: it accepts, refuses and returns exactly what `SqlBooks` does.
"""

from collections.abc import Sequence
from datetime import datetime

from heliograph.ports import CostRow
from heliograph.storage.cost_report import COUNTED, NO_SIZE, check_report, in_order
from heliograph.storage.entry import SETTLE, canonical, differs, queries
from heliograph.storage.lookup import MIN_PREFIX, ambiguous, check_limit, no_record
from heliograph.types import LedgerLine, Record


class MemoryBooks:
    """The `Books` port over two dictionaries."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._lines: dict[str, LedgerLine] = {}

    async def keep(self, record: Record, lines: Sequence[LedgerLine]) -> None:
        record, checked = canonical(record, lines)
        if self._records.get(record.id, record) != record:
            raise differs("record", record.id)
        fresh: dict[str, LedgerLine] = {}
        for line in checked:
            kept = self._lines.get(line.entry_id) or fresh.get(line.entry_id, line)
            if kept != line:
                raise differs("ledger line", line.entry_id)
            fresh[line.entry_id] = kept
        self._records[record.id] = record
        self._lines |= fresh

    async def find(self, record_id: str) -> Record:
        if record_id in self._records:
            return self._records[record_id]
        if len(record_id) < MIN_PREFIX:
            raise no_record(record_id)
        found = [kept for key, kept in self._records.items() if key.startswith(record_id)]
        if not found:
            raise no_record(record_id)
        if len(found) > 1:
            raise ambiguous(record_id)
        return found[0]

    async def recent(self, *, limit: int, search: str | None = None) -> Sequence[Record]:
        check_limit(limit)
        term = (search or "").lower()
        found = [record for record in self._records.values() if term in record.prompt.lower()]
        return tuple(sorted(found, key=lambda r: (r.created, r.id), reverse=True)[:limit])

    async def lines(self, record_id: str) -> Sequence[LedgerLine]:
        found = [line for line in self._lines.values() if line.record_id == record_id]
        return tuple(sorted(found, key=lambda line: (line.at, line.entry_id)))

    async def costs(
        self, by: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[CostRow]:
        check_report(by, since, until)
        calls: dict[tuple[str, bool], dict[str, int]] = {}
        for line in self._lines.values():
            early = since is not None and line.at < since
            late = until is not None and line.at >= until
            if line.kind != SETTLE or early or late:
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
            for line in self._lines.values()
            if line.kind == SETTLE and line.at >= since and line.simulated == simulated
        )

    async def close(self) -> None: ...

    def _group(self, by: str, line: LedgerLine) -> str:
        day = line.at.date().isoformat()
        groups = {
            "day": day,
            "month": day[:7],
            "model": line.model,
            "size": NO_SIZE if line.size is None else line.size,
            "tier": self._records[line.record_id].tier,
        }
        return groups[by]

    def _pictures(self, record_id: str) -> int:
        return sum(image.role in COUNTED for image in self._records[record_id].images)

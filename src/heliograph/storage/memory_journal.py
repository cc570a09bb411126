"""The journal in memory, beside a `MemoryBooks`: for tests, and for calls nobody wants to keep.

Invariant: it accepts, refuses and returns exactly what `SqlJournal` does. Nothing waits inside a
method, so that each is done whole or not at all.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from heliograph.journal import CallEntry, Claim, ClaimState, Stage
from heliograph.ledger import Balance, budget_exceeded, budget_of
from heliograph.ports import Finding
from heliograph.storage.auditing import Audited, balance_findings, call_findings
from heliograph.storage.document import from_document, to_document
from heliograph.storage.entry import (
    canonical,
    canonical_call,
    check_budget,
    check_move,
    check_running,
    deltas,
    differs,
    lines_of,
)
from heliograph.storage.lookup import (
    MIN_PREFIX,
    ambiguous,
    call_taken,
    check_limit,
    check_moment,
    no_record,
    utc_now,
)
from heliograph.storage.memory_books import MemoryBooks
from heliograph.types import LedgerLine, Record


class MemoryJournal:
    """The `Journal` port over dictionaries, some of them those of the books.

    Args:
        clock: the wall clock that keys expire by.
    """

    def __init__(self, books: MemoryBooks, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._shelf = books.shelf
        self._clock = clock
        self._calls: dict[str, CallEntry] = {}
        self._claims: dict[str, Claim] = {}
        self._budgets: dict[str, int] = {}

    async def open(
        self, call: CallEntry, line: LedgerLine, *, claim: Claim | None = None
    ) -> Claim | None:
        call, line = canonical_call(call, line)
        if claim is not None:
            check_running(claim)
            claim = from_document(Claim, to_document(claim))
            kept = await self.claim(claim.key)
            if kept is not None:
                return kept
        if call.id in self._calls:
            raise differs("call", call.id)
        if line.entry_id in self._shelf.lines:
            raise differs("ledger line", line.entry_id)
        self._refuse_above_budget(line)
        self._shelf.put(None, [line])
        self._calls[call.id] = call
        if claim is not None:
            self._claims[claim.key] = claim
        return None

    def _refuse_above_budget(self, line: LedgerLine) -> None:
        for scope in line.scopes:
            limit = self._budgets.get(budget_of(scope))
            balance = self._balance(scope, simulated=line.simulated)
            if limit is not None and balance.taken + line.micro > limit:
                raise budget_exceeded(balance, limit, line.micro)

    def _balance(self, scope: str, *, simulated: bool) -> Balance:
        nothing = Balance(scope=scope, simulated=simulated)
        return self._shelf.balances.get((scope, simulated), nothing)

    async def change(
        self,
        before: CallEntry,
        after: CallEntry,
        *,
        lines: Sequence[LedgerLine] = (),
        record: Record | None = None,
        claim: Claim | None = None,
    ) -> None:
        check_move(before, after)
        after = from_document(CallEntry, to_document(after))
        checked = lines_of(after, lines)
        if record is not None:
            record, _ = canonical(record, ())
        if claim is not None:
            claim = from_document(Claim, to_document(claim))
        kept = self._calls.get(before.id)
        if kept is None or (kept.owner, kept.stage) != (before.owner, before.stage):
            raise call_taken(before)
        self._shelf.put(record, checked)
        self._calls[before.id] = after
        if claim is not None:
            self._write_claim(claim)

    def _write_claim(self, claim: Claim) -> None:
        kept = self._claims.get(claim.key, claim)
        if kept.job != claim.job:
            return
        self._claims[claim.key] = claim
        if claim.state is ClaimState.DROPPED:
            del self._claims[claim.key]

    async def find_call(self, call_id: str) -> CallEntry:
        if call_id in self._calls:
            return self._calls[call_id]
        long = len(call_id) >= MIN_PREFIX
        found = [c for key, c in self._calls.items() if long and key.startswith(call_id)]
        if not found:
            raise no_record(call_id, "call")
        if len(found) > 1:
            raise ambiguous(call_id, "call")
        return found[0]

    async def calls(
        self,
        *,
        stages: Sequence[Stage] = (),
        library: str | None = None,
        job: str | None = None,
        limit: int,
    ) -> Sequence[CallEntry]:
        check_limit(limit)
        found = [
            call
            for call in self._calls.values()
            if (not stages or call.stage in stages)
            and library in (None, call.library)
            and job in (None, call.job)
        ]
        return tuple(sorted(found, key=lambda call: (call.begun, call.id), reverse=True)[:limit])

    async def claim(self, key: str) -> Claim | None:
        kept = self._claims.get(key)
        return None if kept is None or kept.expires <= self._clock() else kept

    async def twin(self, key: str, *, since: datetime, simulated: bool) -> str | None:
        check_moment(since)
        found = [
            call
            for call in self._calls.values()
            if (call.twin, call.stage, call.simulated) == (key, Stage.SETTLED, simulated)
            and call.changed >= since
        ]
        latest = max(found, key=lambda call: (call.changed, call.id), default=None)
        return None if latest is None else latest.job

    async def spent_since(self, since: datetime, *, project: str, simulated: bool) -> int:
        check_moment(since)
        counted = {
            (call.job, call.id)
            for call in self._calls.values()
            if (call.project, call.simulated) == (project, simulated)
            and (call.stage.is_open or call.changed >= since)
        }
        lines = self._shelf.lines.values()
        return sum(line.micro for line in lines if (line.record_id, line.call_id) in counted)

    async def set_budget(self, name: str, limit: int | None) -> None:
        check_budget(name, limit)
        self._budgets.pop(name, None)
        if limit is not None:
            self._budgets[name] = limit

    async def budgets(self) -> Mapping[str, int]:
        return dict(sorted(self._budgets.items()))

    async def balances(self, scopes: Sequence[str]) -> Sequence[Balance]:
        kept = self._shelf.balances
        return tuple(kept[key] for key in sorted(kept) if key[0] in scopes)

    async def audit(self) -> Sequence[Finding]:
        lines = list(self._shelf.lines.values())
        kept = [balance for _, balance in sorted(self._shelf.balances.items())]
        audited = [self._audited(call, lines) for _, call in sorted(self._calls.items())]
        return (*call_findings(audited), *balance_findings(kept, deltas(lines)))

    def _audited(self, call: CallEntry, lines: Sequence[LedgerLine]) -> Audited:
        sums: dict[str, tuple[int, int]] = {}
        for line in lines:
            if line.call_id == call.id:
                count, micro = sums.get(line.kind, (0, 0))
                sums[line.kind] = (count + 1, micro + line.micro)
        return Audited(id=call.id, stage=call.stage, reserved=call.reserved, sums=sums)

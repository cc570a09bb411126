"""The journal of calls in SQLite or Postgres, beside the books: the same statements for both.

Invariant: what a step brings with it (record, lines, balances, idempotency key) is written in one
transaction with the step itself, and a budget is compared and taken in one statement, so neither
processes nor servers can overspend it together. Rows are locked in one order everywhere: call,
key, record, lines, balances by scope.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Text, bindparam, delete, func, or_, select

from heliograph.journal import OPEN, CallEntry, Claim, ClaimState, Stage
from heliograph.killpoints import reach
from heliograph.ledger import Balance, budget_exceeded, budget_of
from heliograph.ports import Finding
from heliograph.storage.database import Database
from heliograph.storage.entry import (
    canonical,
    canonical_call,
    check_budget,
    check_move,
    check_running,
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
from heliograph.storage.row import call_from_row, call_row, claim_from_row, claim_row, step_row
from heliograph.storage.sql_audit import database_findings, sql_findings
from heliograph.storage.statements import (
    LIMITS,
    MOVE,
    REPLACE,
    STEP,
    add_line,
    keep_lines,
    keep_record,
    statements,
)
from heliograph.storage.tables import balances, budgets, calls, claims, ledger
from heliograph.types import LedgerLine, Record

NO_LIMIT = 2**62
OPEN_STAGES = [stage.value for stage in OPEN]
# what a step leaves as it began
LASTING = tuple(name for name in CallEntry.__dataclass_fields__ if name not in STEP)

_claim_of = select(claims).where(claims.c.key == bindparam("the_key"))
_drop_claim = delete(claims).where(
    claims.c.key == bindparam("the_key"), claims.c.job == bindparam("the_job")
)
_call_of = select(calls).where(calls.c.id == bindparam("the_id"))
# the ids alone, so that no plan is read; substr and not LIKE: nothing to escape
_ids_from = (
    select(calls.c.id)
    .where(func.substr(calls.c.id, 1, bindparam("length"), type_=Text) == bindparam("start"))
    .limit(2)
)


class SqlJournal:
    """The `Journal` port over the database of a `SqlBooks`, which closes it.

    Args:
        clock: the wall clock that keys expire by.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._say = statements(database.dialect)

    async def open(
        self, call: CallEntry, line: LedgerLine, *, claim: Claim | None = None
    ) -> Claim | None:
        call, line = canonical_call(call, line)
        if claim is not None:
            check_running(claim)
        now = self._clock()

        def write(connection: Connection) -> Claim | None:
            if claim is not None:
                claimed = connection.execute(
                    self._say.claim_key, claim_row(claim) | {"now": now}
                ).rowcount
                if claimed != 1:
                    # the row is locked, so it is still there
                    found = connection.execute(_claim_of, {"the_key": claim.key})
                    return claim_from_row(found.mappings().one())
            if connection.execute(self._say.add_call, call_row(call)).rowcount != 1:
                raise differs("call", call.id)
            if not add_line(connection, line):
                raise differs("ledger line", line.entry_id)
            self._reserve(connection, line)
            return None

        return await self._database.write(write, "The call could not be written.")

    def _reserve(self, connection: Connection, line: LedgerLine) -> None:
        limits = dict(connection.execute(LIMITS).all())
        mine = [limits.get(budget_of(scope), NO_LIMIT) for scope in line.scopes]
        row = {"simulated": line.simulated, "settled": 0, "reserved": line.micro, "held": 0}
        if all(limit is NO_LIMIT for limit in mine):
            rows = [{"scope": scope, **row} for scope in line.scopes]
            connection.execute(self._say.add_to_balance, rows)
            return
        for scope, limit in zip(line.scopes, mine, strict=True):
            ask = {"scope": scope, "simulated": line.simulated, "ask": line.micro, "limit": limit}
            if connection.execute(self._say.reserve, ask).rowcount != 1:
                # this row was left as it is, so it says what the others have taken
                balance = _balance(connection, scope, simulated=line.simulated)
                raise budget_exceeded(balance, limit, line.micro)

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
        checked = lines_of(after, lines)
        if record is not None:
            record, _ = canonical(record, ())
        move = MOVE if _same(before, after) else REPLACE
        row = (step_row(after) if move is MOVE else call_row(after)) | {
            "the_id": before.id,
            "old_owner": before.owner,
            "old_stage": before.stage.value,
        }
        row.pop("id", None)

        def write(connection: Connection) -> None:
            if connection.execute(move, row).rowcount != 1:
                raise call_taken(before)
            if checked or record is not None:
                reach("settling")
            if claim is not None:
                self._write_claim(connection, claim)
            if record is not None:
                keep_record(connection, record)
            if checked:
                keep_lines(connection, checked)

        await self._database.write(write, "The step of a call could not be written.")

    def _write_claim(self, connection: Connection, claim: Claim) -> None:
        if claim.state is ClaimState.DROPPED:
            connection.execute(_drop_claim, {"the_key": claim.key, "the_job": claim.job})
        else:
            connection.execute(self._say.set_claim, claim_row(claim))

    async def find_call(self, call_id: str) -> CallEntry:
        def read(connection: Connection) -> Sequence[CallEntry]:
            found = _load(connection, _call_of, {"the_id": call_id})
            if found or len(call_id) < MIN_PREFIX:
                return found
            ids = connection.scalars(_ids_from, {"length": len(call_id), "start": call_id}).all()
            return [_load(connection, _call_of, {"the_id": one})[0] for one in ids]

        found = await self._database.read(read, steady=True)
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
        wanted = select(calls).order_by(calls.c.begun.desc(), calls.c.id.desc()).limit(limit)
        if stages:
            wanted = wanted.where(calls.c.stage.in_([stage.value for stage in stages]))
        if library is not None:
            wanted = wanted.where(calls.c.library == library)
        if job is not None:
            wanted = wanted.where(calls.c.job == job)
        return await self._database.read(lambda connection: _load(connection, wanted))

    async def claim(self, key: str) -> Claim | None:
        now = self._clock()

        def read(connection: Connection) -> Claim | None:
            row = connection.execute(_claim_of, {"the_key": key}).mappings().one_or_none()
            return None if row is None or row["expires"] <= now else claim_from_row(row)

        return await self._database.read(read)

    async def twin(self, key: str, *, since: datetime, simulated: bool) -> str | None:
        check_moment(since)
        wanted = (
            select(calls.c.job)
            .where(
                calls.c.twin == key,
                calls.c.stage == Stage.SETTLED.value,
                calls.c.simulated == simulated,
                calls.c.changed >= since,
            )
            .order_by(calls.c.changed.desc(), calls.c.id.desc())
            .limit(1)
        )
        return await self._database.read(lambda connection: connection.scalar(wanted))

    async def spent_since(self, since: datetime, *, project: str, simulated: bool) -> int:
        check_moment(since)
        # the job as well, because the ledger has an index for it
        line_of_call = (ledger.c.record_id == calls.c.job) & (ledger.c.call_id == calls.c.id)
        total = (
            select(func.coalesce(func.sum(ledger.c.micro), 0))
            .select_from(calls)
            .join(ledger, line_of_call)
            .where(calls.c.project == project, calls.c.simulated == simulated)
            .where(or_(calls.c.changed >= since, calls.c.stage.in_(OPEN_STAGES)))
        )
        return int(
            await self._database.read(lambda connection: connection.execute(total).scalar_one())
        )

    async def set_budget(self, name: str, limit: int | None) -> None:
        check_budget(name, limit)
        row = {"name": name, "limit_micro": limit, "changed": self._clock()}

        def write(connection: Connection) -> None:
            if limit is None:
                connection.execute(delete(budgets).where(budgets.c.name == name))
            else:
                connection.execute(self._say.set_budget, row)

        await self._database.write(write, "The budget could not be written.")

    async def budgets(self) -> Mapping[str, int]:
        wanted = LIMITS.order_by(budgets.c.name)
        rows = await self._database.read(lambda connection: connection.execute(wanted).all())
        return dict(rows)

    async def balances(self, scopes: Sequence[str]) -> Sequence[Balance]:
        wanted = select(balances).where(balances.c.scope.in_(scopes))

        def read(connection: Connection) -> Sequence[Balance]:
            return [Balance(**row) for row in connection.execute(wanted).mappings()]

        return tuple(sorted(await self._database.read(read), key=lambda b: (b.scope, b.simulated)))

    async def audit(self) -> Sequence[Finding]:
        def read(connection: Connection) -> Sequence[Finding]:
            return (*database_findings(connection), *sql_findings(connection))

        return await self._database.read(read, steady=True)


def _same(before: CallEntry, after: CallEntry) -> bool:
    return all(getattr(before, name) == getattr(after, name) for name in LASTING)


def _load(
    connection: Connection, wanted: Select[Any], values: Mapping[str, Any] | None = None
) -> Sequence[CallEntry]:
    return tuple(call_from_row(row) for row in connection.execute(wanted, values).mappings())


def _balance(connection: Connection, scope: str, *, simulated: bool) -> Balance:
    wanted = select(balances).where(balances.c.scope == scope, balances.c.simulated == simulated)
    row = connection.execute(wanted).mappings().one_or_none()
    return Balance(scope=scope, simulated=simulated) if row is None else Balance(**row)

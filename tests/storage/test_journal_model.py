"""The journal against a small model of it: any order of steps, takings-over, budgets and keys."""

import asyncio
import tempfile
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.storage.calls import NOON, a_call, a_claim, a_line, closing

from heliograph.errors import BudgetExceeded, CallTaken
from heliograph.journal import MOVES, CallEntry, Claim, ClaimState, Stage, adopted, moved
from heliograph.ledger import ACCOUNTS, HOLD_RELEASE, SETTLE, budget_of
from heliograph.ports import Books, Journal
from heliograph.storage import MemoryBooks, MemoryJournal
from heliograph.storage.database import Database
from heliograph.storage.sql_books import SqlBooks
from heliograph.storage.sql_journal import SqlJournal
from heliograph.types import LedgerLine

T = TypeVar("T")
TAGS = ("tag/a", "tag/b")
NAMES = ("total", "day", *TAGS)
SCOPES = ("day/2026-11-30", *TAGS, "total")
KEYS = ("k1", "k2")


@dataclass
class Clock:
    """The wall clock of the journal."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@cache
def empty_database() -> bytes:
    """A migrated database, to be copied."""
    with tempfile.TemporaryDirectory(prefix="heliograph-model-") as folder:
        path = Path(folder) / "empty.db"
        asyncio.run(Database(f"sqlite:///{path}").close())
        return path.read_bytes()


class Model(RuleBasedStateMachine):
    """Every rule does the same to the journal and to plain dictionaries, then compares."""

    journal: Journal
    books: Books

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.open_desk()
        self.calls: dict[str, CallEntry] = {}
        self.stale: list[CallEntry] = []
        self.lines: list[LedgerLine] = []
        self.budgets: dict[str, int] = {}
        self.claims: dict[str, Claim] = {}

    def open_desk(self) -> None:
        books = MemoryBooks()
        self.books, self.journal = books, MemoryJournal(books, clock=self.clock)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def balance(self, scope: str, *, simulated: bool) -> Mapping[str, int]:
        sums = dict.fromkeys(ACCOUNTS.values(), 0)
        for line in self.lines:
            if scope in line.scopes and line.simulated == simulated:
                sums[ACCOUNTS[line.kind]] += line.micro
        return sums

    def claimed(self, key: str | None) -> Claim | None:
        kept = self.claims.get(key or "")
        return kept if kept and kept.expires > self.clock.now else None

    @initialize(limit=st.integers(20, 60))
    def begin(self, limit: int) -> None:
        self.set_budget("total", limit)

    @rule(name=st.sampled_from(NAMES), limit=st.none() | st.integers(0, 60))
    def set_budget(self, name: str, limit: int | None) -> None:
        self.do(self.journal.set_budget(name, limit))
        self.budgets.pop(name, None)
        if limit is not None:
            self.budgets[name] = limit

    @rule(days=st.integers(0, 2))
    def wait(self, days: int) -> None:
        self.clock.now += timedelta(days=days)

    @rule(
        ask=st.integers(0, 12),
        tags=st.sets(st.sampled_from(TAGS)),
        key=st.none() | st.sampled_from(KEYS),
        simulated=st.booleans(),
    )
    def open(self, ask: int, tags: set[str], key: str | None, simulated: bool) -> None:
        scopes = tuple(sorted({"total", "day/2026-11-30", *tags}))
        name = f"job-{len(self.calls):04}-1"
        call = a_call(name, reserved=ask, scopes=scopes, simulated=simulated)
        line = a_line(call)
        expires = self.clock.now + timedelta(days=2)
        claim = a_claim(call, key, expires=expires) if key else None
        if self.claimed(key):
            assert self.do(self.journal.open(call, line, claim=claim)) == self.claimed(key)
            return
        over = [
            scope
            for scope in scopes
            if budget_of(scope) in self.budgets
            and sum(self.balance(scope, simulated=simulated).values()) + ask
            > self.budgets[budget_of(scope)]
        ]
        if over:
            with pytest.raises(BudgetExceeded) as caught:
                self.do(self.journal.open(call, line, claim=claim))
            assert caught.value.facts["scope"] == over[0]
            return
        assert self.do(self.journal.open(call, line, claim=claim)) is None
        self.calls[call.id] = call
        self.lines.append(line)
        if claim:
            self.claims[claim.key] = claim

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), drop=st.booleans())
    def step(self, data: st.DataObject, drop: bool) -> None:
        call = data.draw(st.sampled_from(sorted(self.calls.values(), key=lambda c: c.id)))
        stages = sorted(MOVES[call.stage], key=lambda stage: stage.value)
        if not stages:
            return
        after = moved(call, data.draw(st.sampled_from(stages)), self.clock.now)
        lines = list(closing(after, after.stage, data.draw(st.integers(0, 15))))
        if call.stage.is_doubtful and after.stage is not Stage.HELD:
            kinds = (HOLD_RELEASE, SETTLE) if after.stage is Stage.SETTLED else (HOLD_RELEASE,)
            lines = [a_line(after, kind) for kind in kinds]
        claim = next((c for c in self.claims.values() if c.job == call.job), None)
        if claim and not after.stage.is_open:
            claim = replace(claim, state=ClaimState.DROPPED if drop else ClaimState.FINAL)
            self.claims[claim.key] = claim
            if drop:
                del self.claims[claim.key]
        self.do(self.journal.change(call, after, lines=lines, claim=claim))
        self.calls[call.id] = after
        self.stale.append(call)
        self.lines += lines

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), owner=st.sampled_from(["process-1", "process-2"]))
    def take_over(self, data: st.DataObject, owner: str) -> None:
        call = data.draw(st.sampled_from(sorted(self.calls.values(), key=lambda c: c.id)))
        self.do(self.journal.change(call, adopted(call, owner)))
        self.calls[call.id] = adopted(call, owner)
        self.stale.append(call)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def come_late(self, data: st.DataObject) -> None:
        late = data.draw(st.sampled_from(self.stale))
        now = self.calls[late.id]
        if (late.stage, late.owner) == (now.stage, now.owner):
            return
        lines = [a_line(late, "adjust", micro=3)]
        with pytest.raises(CallTaken):
            self.do(self.journal.change(late, replace(late, note="late"), lines=lines))

    @invariant()
    def balances_are_sums(self) -> None:
        for balance in self.do(self.journal.balances(SCOPES)):
            kept = {name: getattr(balance, name) for name in ACCOUNTS.values()}
            assert kept == self.balance(balance.scope, simulated=balance.simulated)

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        assert self.do(self.journal.budgets()) == self.budgets
        for key in KEYS:
            assert self.do(self.journal.claim(key)) == self.claimed(key)
        kept = self.do(self.journal.calls(limit=999))
        assert {call.id: call for call in kept} == self.calls

    def teardown(self) -> None:
        assert self.do(self.journal.audit()) == ()
        since = NOON - timedelta(days=1)
        for simulated in (False, True):
            spent = self.do(self.journal.spent_since(since, project="main", simulated=simulated))
            assert spent == sum(line.micro for line in self.lines if line.simulated == simulated)
        self.do(self.books.close())
        self.runner.close()


class SqlModel(Model):
    """The same with a database."""

    def open_desk(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="heliograph-model-")
        path = Path(self.folder.name) / "journal.db"
        path.write_bytes(empty_database())
        database = Database(f"sqlite:///{path}")
        self.books, self.journal = SqlBooks(database), SqlJournal(database, clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestMemory = Model.TestCase
TestMemory.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestSqlite = SqlModel.TestCase
TestSqlite.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)

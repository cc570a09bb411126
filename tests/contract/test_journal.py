"""What every implementation of the `Journal` port must do, and both engines of `SqlJournal`."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.contract.records import a_record
from tests.storage.calls import (
    ASK,
    NOON,
    SCOPES,
    WAYS,
    a_call,
    a_claim,
    a_line,
    brought,
    closing,
)

from heliograph.errors import BudgetExceeded, CallTaken, RecordNotFound, StorageError
from heliograph.journal import ClaimState, Stage, WrongMove, adopted, moved
from heliograph.ledger import Balance
from heliograph.ports import Books, Journal
from heliograph.storage import MemoryBooks, MemoryJournal
from heliograph.storage.database import Database
from heliograph.storage.sql_books import SqlBooks
from heliograph.storage.sql_journal import SqlJournal

SECOND = timedelta(seconds=1)
TOTAL = ("total",)
NO_BUDGETS = (("week", 1), ("tag/", 1), ("tag", 1), ("day/2026-11-30", 1), ("", None))


@dataclass
class Clock:
    """The wall clock of a test."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class Desk:
    """Journal and books over the same lines."""

    journal: Journal
    books: Books
    clock: Clock


def sql_desk(url: str) -> Desk:
    database, clock = Database(url), Clock()
    return Desk(SqlJournal(database, clock=clock), SqlBooks(database), clock)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    if request.param == "memory":
        books, clock = MemoryBooks(), Clock()
        made = Desk(MemoryJournal(books, clock=clock), books, clock)
    else:
        made = sql_desk(request.getfixturevalue(f"new_{request.param}")())
    yield made
    await made.books.close()


@pytest.fixture
def journal(desk: Desk) -> Journal:
    return desk.journal


async def total(journal: Journal) -> Balance:
    (balance,) = await journal.balances(TOTAL)
    return balance


# ---------------------------------------------------------------- calls


async def test_an_opened_call_comes_back_equal(desk: Desk) -> None:
    call = a_call(
        scopes=tuple(sorted((*SCOPES, "tag/金 \ud800\0"))), note="why\0", remote="batches/1"
    )
    assert await desk.journal.open(call, a_line(call)) is None
    assert await desk.journal.find_call(call.id) == call
    assert await desk.books.lines(call.job) == (a_line(call),)
    balances = await desk.journal.balances([*call.scopes, "never"])
    assert {b.scope for b in balances} == set(call.scopes)
    assert {(b.settled, b.reserved, b.held) for b in balances} == {(0, ASK, 0)}


@pytest.mark.parametrize("stage", list(Stage))
async def test_each_stage_can_be_reached_and_adds_up(desk: Desk, stage: Stage) -> None:
    call = await brought(desk.journal, stage, a_call())
    assert await desk.journal.find_call(call.id) == call
    assert [step.stage for step in call.trail] == [Stage.RESERVED, *WAYS[stage]]
    assert await desk.journal.audit() == ()
    balance = await total(desk.journal)
    assert balance.reserved == (ASK if stage.is_open else 0)
    assert balance.held == (ASK if stage.is_doubtful else 0)
    settled = stage in (Stage.SETTLED, Stage.QUARANTINED)
    assert balance.settled == (ASK - 1000 if settled else 0)


async def test_a_step_brings_its_record_lines_and_claim(desk: Desk) -> None:
    call = await brought(desk.journal, Stage.STORED, a_call())
    after = moved(call, Stage.SETTLED, call.changed, note="kept", facts={"images": 1})
    record = a_record(call.job)
    claim = a_claim(call, state=ClaimState.FINAL, error={"error": "none", "facts": {"n": 1}})
    lines = closing(after, Stage.SETTLED)
    await desk.journal.change(call, after, lines=lines, record=record, claim=claim)
    assert await desk.journal.find_call(call.id) == after
    assert await desk.books.find(call.job) == record
    kept = {line.kind: line for line in await desk.books.lines(call.job)}
    assert kept == {line.kind: line for line in (a_line(a_call()), *lines)}
    assert await desk.journal.claim(claim.key) == claim
    (row,) = await desk.books.costs("month")
    assert (row.calls, row.micro) == (1, ASK - 1000)


async def test_what_a_step_leaves_alone_may_change_too(journal: Journal) -> None:
    call = await brought(journal, Stage.INTENT, a_call())
    after = replace(moved(call, Stage.INTENT, NOON), model="gemini-2.5-flash-image", plan={"n": 2})
    await journal.change(call, after)
    assert await journal.find_call(call.id) == after


async def test_only_stage_and_owner_of_before_may_change_it(journal: Journal) -> None:
    call = await brought(journal, Stage.SENT, a_call())
    theirs = adopted(call, "process-2")
    await journal.change(call, theirs)
    late = moved(call, Stage.RECEIVED, NOON)
    with pytest.raises(CallTaken, match="Another process") as caught:
        await journal.change(call, late, lines=[a_line(late, "settle")], record=a_record(call.job))
    assert caught.value.facts == {"call": call.id, "stage": "sent", "owner": "process-1"}
    await journal.change(theirs, moved(theirs, Stage.RECEIVED, NOON))
    for stale in (theirs, a_call("job-9999-1")):  # a stage too early, and one nobody knows
        after = replace(stale, note="x")
        with pytest.raises(CallTaken):
            await journal.change(stale, after, lines=[a_line(after, "hold")], claim=a_claim(call))
    assert (await journal.find_call(call.id)).stage is Stage.RECEIVED
    assert await total(journal) == Balance(scope="total", simulated=False, reserved=ASK)
    assert await journal.claim("key-1") is None


async def test_only_one_of_many_gets_a_call(journal: Journal) -> None:
    call = await brought(journal, Stage.SENT, a_call())
    takers = (journal.change(call, adopted(call, f"process-{n}")) for n in range(2, 12))
    said = await asyncio.gather(*takers, return_exceptions=True)
    assert [type(answer) for answer in said if answer] == [CallTaken] * 9


async def test_steps_that_do_not_exist_are_refused(journal: Journal) -> None:
    call = await brought(journal, Stage.SETTLED, a_call())
    for after in (replace(call, stage=Stage.INTENT), replace(call, id="job-0001-2")):
        with pytest.raises(WrongMove):
            await journal.change(call, after)
    assert await journal.find_call(call.id) == call


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "settle"},
        {"micro": ASK - 1},
        {"record_id": "other"},
        {"call_id": "other"},
        {"call_id": None},
        {"simulated": True},
        {"at": NOON.replace(tzinfo=None)},
    ],
    ids=str,
)
async def test_a_call_opens_only_with_what_it_sets_aside(
    journal: Journal, changes: dict[str, Any]
) -> None:
    with pytest.raises(StorageError):
        await journal.open(a_call(), a_line(a_call(), **changes))
    assert await journal.calls(limit=9) == ()
    assert await journal.balances(SCOPES) == ()


async def test_a_call_is_opened_once_and_as_reserved(desk: Desk) -> None:
    call = a_call()
    with pytest.raises(StorageError, match="refuse"):
        await desk.journal.open(moved(call, Stage.INTENT, NOON), a_line(call))
    await desk.journal.open(call, a_line(call))
    again = replace(call, owner="process-2")
    with pytest.raises(StorageError, match="kept already"):
        await desk.journal.open(again, a_line(again, entry_id="new"), claim=a_claim(call))
    other = a_call("job-0002-1")
    with pytest.raises(StorageError, match="kept already"):
        await desk.journal.open(other, a_line(other, entry_id=a_line(call).entry_id))
    await desk.books.keep(a_record(other.job), [a_line(other)])  # its very line, without its call
    with pytest.raises(StorageError, match="kept already"):
        await desk.journal.open(other, a_line(other))
    assert await desk.journal.calls(limit=9) == (call,)
    assert await desk.journal.claim("key-1") is None
    assert (await total(desk.journal)).reserved == 2 * ASK


async def test_a_refused_step_leaves_nothing(desk: Desk) -> None:
    call = await brought(desk.journal, Stage.STORED, a_call())
    await desk.books.keep(a_record(call.job), [])
    after = moved(call, Stage.SETTLED, NOON)
    other = a_record(call.job, prompt="Another")
    settle = [a_line(after, "settle")]
    with pytest.raises(StorageError, match="kept already"):
        await desk.journal.change(call, after, lines=settle, record=other, claim=a_claim(call))
    changed = a_line(call, micro=ASK - 1)  # its reserve line, with another amount
    with pytest.raises(StorageError, match="kept already"):
        await desk.journal.change(call, after, lines=[*settle, changed])
    foreign = a_line(a_call("job-0002-1"), "settle")
    with pytest.raises(StorageError, match="refuse"):
        await desk.journal.change(call, after, lines=[foreign])
    assert await desk.journal.find_call(call.id) == call
    assert await desk.journal.claim("key-1") is None
    assert await total(desk.journal) == Balance(scope="total", simulated=False, reserved=ASK)


async def test_a_line_counts_once_however_often_it_comes(desk: Desk) -> None:
    call = await brought(desk.journal, Stage.UNKNOWN, a_call())
    await desk.journal.change(call, replace(call, note="again"), lines=closing(call, Stage.UNKNOWN))
    await desk.books.keep(a_record(call.job), closing(call, Stage.UNKNOWN))
    assert await total(desk.journal) == Balance(scope="total", simulated=False, held=ASK)
    assert await desk.journal.audit() == ()


async def test_finds_by_an_unambiguous_prefix(journal: Journal) -> None:
    for call_id in ("abcd-1", "abcd-12", "wild%_card-1", "wildXYcard-1", "xyz1-1"):
        await brought(journal, Stage.RESERVED, a_call(call_id))
    assert (await journal.find_call("abcd-1")).id == "abcd-1"
    assert (await journal.find_call("wild%")).id == "wild%_card-1"
    assert (await journal.find_call("xyz1")).id == "xyz1-1"
    for unknown in ("abcd-3", "ABCD-1", "____", "", "xyz"):
        with pytest.raises(RecordNotFound, match="No call"):
            await journal.find_call(unknown)
    with pytest.raises(RecordNotFound, match="More than one call"):
        await journal.find_call("wild")


async def test_calls_are_listed_by_stage_library_and_job(journal: Journal) -> None:
    first = await brought(journal, Stage.SENT, a_call("job-0001-1"))
    second = await brought(journal, Stage.UNKNOWN, a_call("job-0001-2", begun=NOON + 2 * SECOND))
    third = await brought(journal, Stage.SENT, a_call("job-0002-1", library="library-2"))
    assert await journal.calls(limit=9) == (second, third, first)  # begun last first, then by id
    assert await journal.calls(limit=1) == (second,)
    assert await journal.calls(limit=0) == ()
    assert await journal.calls(stages=[Stage.SENT], limit=9) == (third, first)
    assert await journal.calls(stages=[Stage.SENT, Stage.UNKNOWN], job="job-0001", limit=9) == (
        second,
        first,
    )
    assert await journal.calls(library="library-2", limit=9) == (third,)
    assert await journal.calls(stages=[Stage.SETTLED], limit=9) == ()
    with pytest.raises(ValueError, match="negative"):
        await journal.calls(limit=-1)


# ---------------------------------------------------------------- idempotency keys


async def test_a_key_belongs_to_the_first_call(desk: Desk) -> None:
    first, second = a_call("job-0001-1"), a_call("job-0002-1")
    mine = a_claim(first, "键 \0")
    assert await desk.journal.open(first, a_line(first), claim=mine) is None
    other = a_claim(second, mine.key, fingerprint="0" * 64)
    assert await desk.journal.open(second, a_line(second), claim=other) == mine
    assert await desk.journal.claim(mine.key) == mine
    assert await desk.journal.calls(limit=9) == (first,)
    assert (await total(desk.journal)).reserved == ASK


async def test_one_of_many_at_once_gets_the_key(journal: Journal) -> None:
    calls = [a_call(f"job-{n:04}-1") for n in range(12)]
    opening = (journal.open(call, a_line(call), claim=a_claim(call)) for call in calls)
    said = await asyncio.gather(*opening)
    (winner,) = await journal.calls(limit=99)
    assert said.count(None) == 1
    assert {claim.job for claim in said if claim} == {winner.job}


async def test_an_expired_key_is_new_again(desk: Desk) -> None:
    first, second = a_call("job-0001-1"), a_call("job-0002-1")
    mine = a_claim(first, error={"x": 1})
    await desk.journal.open(first, a_line(first), claim=mine)
    desk.clock.now = mine.expires - SECOND
    assert await desk.journal.claim(mine.key) == mine
    desk.clock.now = mine.expires
    assert await desk.journal.claim(mine.key) is None
    theirs = a_claim(second, expires=mine.expires + 9 * SECOND)
    assert await desk.journal.open(second, a_line(second), claim=theirs) is None
    assert await desk.journal.claim(mine.key) == theirs
    # the job that had it before neither takes it back nor drops it
    for state in (ClaimState.FINAL, ClaimState.DROPPED):
        await desk.journal.change(
            first,
            replace(first, note=state.value),
            claim=replace(mine, state=state, expires=theirs.expires),
        )
        assert await desk.journal.claim(mine.key) == theirs


async def test_a_dropped_key_is_free(desk: Desk) -> None:
    call = a_call()
    claim = a_claim(call)
    dropped = replace(claim, state=ClaimState.DROPPED)
    with pytest.raises(ValueError, match="dropped already"):
        await desk.journal.open(call, a_line(call), claim=dropped)
    await desk.journal.open(call, a_line(call), claim=claim)
    after = moved(call, Stage.RELEASED, NOON)
    await desk.journal.change(call, after, lines=closing(after, Stage.RELEASED), claim=dropped)
    assert await desk.journal.claim(claim.key) is None
    await desk.journal.change(after, replace(after, note="once more"), claim=dropped)
    again = a_call("job-0002-1")
    assert await desk.journal.open(again, a_line(again), claim=a_claim(again)) is None


# ---------------------------------------------------------------- budgets


async def test_budgets_are_set_changed_and_removed(journal: Journal) -> None:
    for name, limit in (("total", 5), ("tag/poster", 10**12), ("day", 0), ("total", 7)):
        await journal.set_budget(name, limit)
    assert await journal.budgets() == {"day": 0, "tag/poster": 10**12, "total": 7}
    for _ in range(2):
        await journal.set_budget("day", None)
    assert await journal.budgets() == {"tag/poster": 10**12, "total": 7}


@pytest.mark.parametrize(
    ("name", "limit"),
    [*NO_BUDGETS, ("total", -1), ("total", 10**12 + 1), ("total", True), ("total", 0.5)],
)
async def test_no_budget_is_refused(journal: Journal, name: str, limit: Any) -> None:
    with pytest.raises(ValueError, match=r"is no budget|outside 0…1e12"):
        await journal.set_budget(name, limit)
    assert await journal.budgets() == {}


async def test_a_budget_has_room_or_refuses(desk: Desk) -> None:
    journal = desk.journal
    await journal.set_budget("month", 2 * ASK)
    await brought(journal, Stage.SETTLED, a_call("job-0001-1"))  # costs 1000 less than reserved
    await brought(journal, Stage.UNKNOWN, a_call("job-0002-1"))
    before = await journal.balances(SCOPES)
    third = a_call("job-0003-1")
    with pytest.raises(BudgetExceeded, match=r"budget of the month has \$0\.001 left") as caught:
        await journal.open(third, a_line(third), claim=a_claim(third))
    expected = {"budget": "month", "scope": "month/2026-11", "limit": 2 * ASK, "ask": ASK}
    expected |= {"settled": ASK - 1000, "reserved": 0, "held": ASK}
    assert caught.value.facts == expected
    assert await journal.balances(SCOPES) == before
    assert len(await journal.calls(limit=9)) == 2
    assert await desk.books.lines(third.job) == ()
    assert await journal.claim("key-1") is None
    small = a_call("job-0004-1", reserved=1000)
    assert await journal.open(small, a_line(small)) is None
    await journal.set_budget("month", None)
    assert await journal.open(third, a_line(third)) is None
    assert await journal.audit() == ()


async def test_the_first_call_of_a_scope_may_be_too_dear(journal: Journal) -> None:
    await journal.set_budget("tag/poster", ASK - 1)
    call = a_call(scopes=("tag/poster", "total"))
    with pytest.raises(BudgetExceeded, match="tag poster") as caught:
        await journal.open(call, a_line(call))
    assert caught.value.facts["settled"] == caught.value.facts["reserved"] == 0
    assert await journal.balances(call.scopes) == ()
    other = a_call(scopes=("tag/other", "total"))
    assert await journal.open(other, a_line(other)) is None


async def test_simulated_money_has_its_own_balance(journal: Journal) -> None:
    await journal.set_budget("total", ASK)
    for call in (a_call("job-0001-1"), a_call("job-0002-1", simulated=True)):
        assert await journal.open(call, a_line(call)) is None
    assert await journal.balances(TOTAL) == (
        Balance(scope="total", simulated=False, reserved=ASK),
        Balance(scope="total", simulated=True, reserved=ASK),
    )


async def test_a_settlement_may_pass_a_budget(journal: Journal) -> None:
    await journal.set_budget("total", ASK)
    call = await brought(journal, Stage.STORED, a_call())
    after = moved(call, Stage.SETTLED, NOON)
    await journal.change(call, after, lines=closing(after, Stage.SETTLED, 5 * ASK))
    assert (await total(journal)).settled == 5 * ASK
    nothing = a_call("job-0002-1", reserved=0)
    with pytest.raises(BudgetExceeded, match=r"has \$0\.00 left"):
        await journal.open(nothing, a_line(nothing))


@pytest.mark.parametrize("place", range(3))
async def test_a_budget_for_ten_lets_ten_of_two_hundred_in(journal: Journal, place: int) -> None:
    name = ("total", "day", "tag/x")[place]
    await journal.set_budget(name, 10 * ASK + ASK - 1)
    scopes = tuple(sorted((*SCOPES, "tag/x")))
    calls = [a_call(f"job-{n:04}-1", scopes=scopes) for n in range(200)]
    opening = (journal.open(call, a_line(call)) for call in calls)
    said = await asyncio.gather(*opening, return_exceptions=True)
    assert (said.count(None), sum(isinstance(a, BudgetExceeded) for a in said)) == (10, 190)
    assert {b.taken for b in await journal.balances(scopes)} == {10 * ASK}
    assert await journal.audit() == ()


# ---------------------------------------------------------------- questions


async def test_the_twin_is_the_latest_settled_call(journal: Journal) -> None:
    async def twin(key: str, since: datetime = NOON, *, simulated: bool = False) -> str | None:
        return await journal.twin(key, since=since, simulated=simulated)

    await brought(journal, Stage.SETTLED, a_call("job-0001-1", twin="a"))
    later = {"twin": "a", "begun": NOON + 60 * SECOND}
    new = await brought(journal, Stage.SETTLED, a_call("job-0002-1", **later))
    for n, stage in enumerate((Stage.REFUSED, Stage.QUARANTINED, Stage.STORED, Stage.HELD)):
        await brought(journal, stage, a_call(f"job-100{n}-1", twin="a", begun=NOON + 90 * SECOND))
    await brought(journal, Stage.SETTLED, a_call("job-0003-1", twin="a", simulated=True))
    assert await twin("a") == new.job
    assert await twin("a", new.changed) == new.job
    assert await twin("a", new.changed + timedelta(microseconds=1)) is None
    assert await twin("b") is None
    assert await twin("a", simulated=True) == "job-0003"
    with pytest.raises(ValueError, match="no time zone"):
        await twin("a", NOON.replace(tzinfo=None))


async def test_spent_counts_what_is_open_or_changed_since(journal: Journal) -> None:
    async def spent(since: datetime, project: str = "main", *, simulated: bool = False) -> int:
        return await journal.spent_since(since, project=project, simulated=simulated)

    assert await spent(NOON) == 0
    settled = await brought(journal, Stage.SETTLED, a_call("job-0001-1"))
    unknown = await brought(journal, Stage.UNKNOWN, a_call("job-0002-1"))
    await brought(journal, Stage.RELEASED, a_call("job-0003-1"))
    await brought(journal, Stage.SENT, a_call("job-0004-1"))
    await brought(journal, Stage.SETTLED, a_call("job-0005-1", project="other"))
    await brought(journal, Stage.SETTLED, a_call("job-0006-1", simulated=True))
    assert await spent(NOON) == (ASK - 1000) + ASK + ASK
    assert await spent(settled.changed) == (ASK - 1000) + ASK  # of noon + 5 s, and what is open
    assert await spent(unknown.changed) == (ASK - 1000) + ASK + ASK
    assert await spent(NOON + timedelta(days=1)) == ASK
    assert await spent(NOON, "other") == await spent(NOON, simulated=True) == ASK - 1000
    with pytest.raises(ValueError, match="no time zone"):
        await spent(NOON.replace(tzinfo=None))


async def test_an_audit_names_calls_whose_lines_do_not_fit(desk: Desk) -> None:
    journal = desk.journal

    async def bring(number: int, stage: Stage, kinds: str = "", **changes: Any) -> None:
        """A call whose last step brings lines of other kinds than it should."""
        call = a_call(f"job-000{number}-1")
        *steps, last = WAYS[stage] or (Stage.RESERVED,)
        call = await brought(journal, steps[-1] if steps else Stage.RESERVED, call)
        after = moved(call, last, NOON) if WAYS[stage] else replace(call, note="x")
        lines = [
            a_line(after, kind, entry_id=f"{after.id}-{n}", **changes)
            for n, kind in enumerate(kinds.split())
        ]
        await journal.change(call, after, lines=lines)

    await bring(1, Stage.INTENT, "settle")
    await bring(2, Stage.RELEASED)
    await bring(3, Stage.SETTLED, "release settle settle")
    await bring(4, Stage.UNKNOWN, "release")
    await bring(5, Stage.REFUSED, "release hold")
    await bring(6, Stage.RELEASED, "release settle")
    await bring(7, Stage.UNKNOWN, "release hold hold_release")
    await bring(8, Stage.SENT, "reserve")
    await bring(9, Stage.RELEASED, "release", micro=-1)
    found = {finding.subject[:8]: finding.what for finding in await journal.audit()}
    assert found == {
        "job-0001": "It is intent, but it has lines of settle.",
        "job-0002": f"It is released, but 0 of {ASK} micro-dollars were given back.",
        "job-0003": "It is settled, but it is settled 2 times.",
        "job-0004": "It is unknown, but 0 micro-dollars are held.",
        "job-0005": f"It is refused, but {ASK} micro-dollars are still held.",
        "job-0006": "It is released, but it is settled 1 times.",
        "job-0007": "It is unknown, but 0 micro-dollars are held.",
        "job-0008": f"It is sent, but {2 * ASK} of {ASK} micro-dollars were set aside.",
        "job-0009": f"It is released, but 1 of {ASK} micro-dollars were given back.",
    }


async def test_lines_of_a_call_that_nobody_knows_are_no_fault(desk: Desk) -> None:
    lost = a_call("job-0001-1")
    await desk.books.keep(a_record(lost.job), [a_line(lost, "settle"), a_line(lost, "hold")])
    assert await desk.journal.audit() == ()
    assert await total(desk.journal) == Balance(
        scope="total", simulated=False, settled=ASK, held=ASK
    )

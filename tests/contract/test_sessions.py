"""What every implementation of the `Books` port must know of sessions."""

import asyncio
from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.records import NOON, a_line, a_record
from tests.engines import NewUrl

from heliograph.ports import Books, SessionRow
from heliograph.storage import MemoryBooks
from heliograph.storage.sql_books import SqlBooks
from heliograph.types import Outcome, Record

SECOND = timedelta(seconds=1)


async def test_a_session_is_all_its_records_oldest_first(books: Books) -> None:
    tokyo = timezone(timedelta(hours=9))
    kept = [
        a_record("b-2", session="s-1", created=NOON),
        a_record("c-3", session="s-1", created=NOON, follows="b-2"),
        a_record("a-1", session="s-1", created=(NOON + SECOND).astimezone(tokyo), follows="c-3"),
    ]
    for record in (kept[2], kept[0], kept[1], a_record("other", session="s-2"), a_record("none")):
        await books.keep(record, [a_line(record)])
    assert await books.session("s-1") == tuple(kept)
    assert [record.created.tzinfo for record in await books.session("s-1")] == [UTC] * 3
    assert [record.id for record in await books.session("s-2")] == ["other"]
    for nobody in ("s-3", "s-", "", "S-1"):
        assert await books.session(nobody) == ()


async def test_sessions_are_listed_newest_activity_first(books: Books) -> None:
    for number, (record_id, session, outcome) in enumerate(
        [
            ("r-0", "early", Outcome.KEPT),
            ("r-1", "late", Outcome.KEPT),
            ("r-2", None, Outcome.KEPT),
            ("r-3", "late", Outcome.REFUSED),
            ("r-4", "failed", Outcome.REFUSED),
            ("r-5", "failed", Outcome.UNKNOWN),
            ("r-6", "late", Outcome.QUARANTINED),
        ]
    ):
        record = a_record(
            record_id,
            session=session,
            outcome=outcome,
            created=NOON + number * SECOND,
            prompt=f"{record_id} \0 灯",
            cost=10**number,
        )
        await books.keep(record, [])

    late = SessionRow(
        id="late",
        turns=3,
        begun=NOON + SECOND,
        changed=NOON + 6 * SECOND,
        micro=10 + 1_000 + 1_000_000,
        first="r-1 \0 灯",
        last="r-1",  # the newest that kept an image
    )
    failed = SessionRow(
        id="failed",
        turns=2,
        begun=NOON + 4 * SECOND,
        changed=NOON + 5 * SECOND,
        micro=110_000,
        first="r-4 \0 灯",
        last="r-5",
    )
    early = SessionRow(
        id="early", turns=1, begun=NOON, changed=NOON, micro=1, first="r-0 \0 灯", last="r-0"
    )
    assert await books.sessions(limit=9) == (late, failed, early)
    assert await books.sessions(limit=2) == (late, failed)
    assert await books.sessions(limit=0) == ()
    with pytest.raises(ValueError, match="negative"):
        await books.sessions(limit=-1)


async def test_an_owner_sees_own_records_of_sessions_alone(books: Books) -> None:
    for number, (session, owner) in enumerate(
        [("s-1", "ada"), ("s-2", "bob"), ("s-1", "ada"), ("s-3", None), ("s-1", "bob")]
    ):
        record = a_record(f"r-{number}", session=session, owner=owner)
        await books.keep(replace(record, created=NOON + number * SECOND, prompt=record.id), [])
    (own,) = await books.sessions(limit=9, owner="ada")
    assert own == SessionRow(
        id="s-1",
        turns=2,
        begun=NOON,
        changed=NOON + 2 * SECOND,
        micro=480_000,
        first="r-0",
        last="r-2",
    )
    assert [(row.id, row.turns) for row in await books.sessions(limit=9, owner="bob")] == [
        ("s-1", 1),
        ("s-2", 1),
    ]
    assert await books.sessions(limit=9, owner="") == ()
    assert len(await books.sessions(limit=9)) == 3


async def test_no_records_no_sessions(books: Books) -> None:
    assert await books.sessions(limit=9) == ()
    await books.keep(a_record(), [])
    assert await books.sessions(limit=9) == ()


@pytest.mark.parametrize("name", ["", "a\0b", "half \ud800", "%_'\";--", "\x1a0000", "灯"])
async def test_any_text_names_a_session(books: Books, name: str) -> None:
    record = a_record(session=name, follows=name)
    await books.keep(record, [])
    assert await books.session(name) == (record,)
    (row,) = await books.sessions(limit=9)
    assert (row.id, row.turns, row.last) == (name, 1, record.id)


async def test_sums_of_a_session_pass_the_range_of_one_record(books: Books) -> None:
    for number in range(9):
        await books.keep(a_record(f"rec-{number}", session="s", cost=10**12), [])
    (row,) = await books.sessions(limit=1)
    assert (row.micro, type(row.micro)) == (9 * 10**12, int)


made = st.lists(
    st.builds(
        lambda second, session, outcome, cost: (second, session, outcome, cost),
        st.integers(0, 5),
        st.sampled_from([None, "s-1", "s-2", "s-3"]),
        st.sampled_from(Outcome),
        st.integers(0, 10**12),
    ),
    max_size=12,
)


@given(rows=made, limit=st.integers(0, 4))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_all_implementations_list_the_same(
    new_sqlite: NewUrl, rows: list[tuple[int, str | None, Outcome, int]], limit: int
) -> None:
    def records() -> list[Record]:
        return [
            a_record(
                f"rec-{number:02}",
                created=NOON + second * SECOND,
                session=session,
                outcome=outcome,
                cost=cost,
                prompt=f"{number}",
            )
            for number, (second, session, outcome, cost) in enumerate(rows)
        ]

    async def compare() -> None:
        memory, sql = MemoryBooks(), SqlBooks(new_sqlite())
        for record in records():
            await memory.keep(record, [])
            await sql.keep(record, [])
        assert await sql.sessions(limit=limit) == await memory.sessions(limit=limit)
        assert await sql.session("s-1") == await memory.session("s-1")
        await sql.close()

    asyncio.run(compare())

"""What every implementation of the `Books` port must do, and both engines of `SqlBooks`."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Engine, Executable, delete, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError
from tests.contract.records import NOON, a_line, a_record, an_image
from tests.engines import NewUrl

from heliograph.errors import RecordNotFound, StorageError
from heliograph.ledger import Balance
from heliograph.ports import Books, CostRow
from heliograph.storage.engine import connect
from heliograph.storage.migrating import bring_up_to_date, head
from heliograph.storage.row import line_row
from heliograph.storage.sql_books import SqlBooks
from heliograph.storage.tables import balances, ledger, metadata
from heliograph.types import Outcome, Role

# ---------------------------------------------------------------- every implementation


async def test_a_kept_record_comes_back_equal(books: Books) -> None:
    record = a_record(session="s-1", follows="rec-0000", owner="user-1")
    await books.keep(record, [a_line(record)])
    assert await books.find(record.id) == record
    assert await books.lines(record.id) == (a_line(record),)
    assert [image.role for image in (await books.find(record.id)).images] == [
        Role.DRAFT,
        Role.RESULT,
    ]


async def test_a_record_of_few_words_comes_back_equal(books: Books) -> None:
    record = a_record(
        outcome=Outcome.UNKNOWN, images=(), verdict=None, size=None, aspect=None, request={}
    )
    await books.keep(record, [])
    assert await books.find(record.id) == record
    assert await books.lines(record.id) == ()


@pytest.mark.parametrize(
    "prompt", ["", "你好 🗼 <script>'\";--", "a\0b", "\x1a\x1a0000", "half \ud800 pair", "%_\\/"]
)
async def test_any_text_comes_back_equal(books: Books, prompt: str) -> None:
    record = a_record(prompt=prompt, texts=(prompt,), request={"p": prompt}, finish_reason=prompt)
    record = replace(record, session=prompt, follows=prompt, owner=prompt)
    await books.keep(record, [a_line(record, detail={"note": prompt})])
    assert await books.find(record.id) == record
    assert (await books.lines(record.id))[0].detail == {"note": prompt}


async def test_times_come_back_aware_and_in_utc(books: Books) -> None:
    tokyo = timezone(timedelta(hours=9))
    record = a_record(created=NOON.astimezone(tokyo))
    await books.keep(record, [a_line(record)])
    for moment in ((await books.find(record.id)).created, (await books.lines(record.id))[0].at):
        assert moment == NOON
        assert moment.utcoffset() == timedelta(0)


async def test_the_same_again_changes_nothing(books: Books) -> None:
    record = a_record()
    for _ in range(3):
        await books.keep(record, [a_line(record)])
    assert await books.recent(limit=9) == (record,)
    assert await books.lines(record.id) == (a_line(record),)


async def test_the_same_record_again_may_bring_a_further_line(books: Books) -> None:
    record = a_record()
    await books.keep(record, [a_line(record)])
    later = a_line(record, "later", kind="adjust", micro=-1000, at=NOON + timedelta(hours=1))
    await books.keep(record, [later])
    assert await books.lines(record.id) == (a_line(record), later)


async def test_same_id_with_other_content_is_refused(books: Books) -> None:
    record = a_record()
    await books.keep(record, [a_line(record)])
    changed = [
        a_record(prompt="Another prompt"),
        a_record(images=(an_image("a"),)),
        a_record(images=(an_image("a"), an_image("b", Role.DRAFT))),
        a_record(usage={}),
        a_record(session="another"),
        a_record(follows="another"),
        a_record(owner="another"),
    ]
    for other in changed:
        with pytest.raises(StorageError, match="kept already"):
            await books.keep(other, [a_line(other, "new-line")])
    with pytest.raises(StorageError, match="kept already"):
        await books.keep(record, [a_line(record, micro=1)])
    assert await books.recent(limit=9) == (record,)
    assert await books.lines(record.id) == (a_line(record),)


async def test_a_refused_line_keeps_nothing_of_its_record(books: Books) -> None:
    first, second = a_record("rec-0001"), a_record("rec-0002")
    await books.keep(first, [a_line(first, "shared")])
    with pytest.raises(StorageError):
        await books.keep(second, [a_line(second, "own"), a_line(second, "shared")])
    with pytest.raises(RecordNotFound):
        await books.find("rec-0002")
    assert await books.lines("rec-0002") == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"micro": -1},
        {"micro": 10**12 + 1},
        {"micro": -(10**12) - 1, "kind": "adjust"},
        {"micro": 0.24},
        {"micro": True},
        {"record_id": "rec-9999"},
        {"kind": "bonus"},
        {"kind": "reserve", "micro": -1},
        {"kind": "release", "micro": 1},
        {"detail": {"queries": -1}},
        {"detail": {"queries": 1.5}},
        {"detail": {"share": float("nan")}},
        {"at": NOON.replace(tzinfo=None)},
    ],
    ids=str,
)
async def test_lines_that_are_not_money_are_refused(books: Books, changes: dict[str, Any]) -> None:
    record = a_record()
    with pytest.raises(StorageError):
        await books.keep(record, [a_line(record, **changes)])
    assert await books.recent(limit=9) == ()


@pytest.mark.parametrize("changes", [{"cost": -1}, {"cost": 10**12 + 1}, {"attempts": "2"}])
async def test_records_out_of_range_are_refused(books: Books, changes: dict[str, Any]) -> None:
    with pytest.raises(StorageError):
        await books.keep(a_record(**changes), [])
    assert await books.recent(limit=9) == ()


async def test_finds_by_an_unambiguous_prefix(books: Books) -> None:
    for record_id in ("abcd1", "abcd22", "abcd", "wild%_card", "wildXYcard"):
        await books.keep(a_record(record_id), [])
    assert (await books.find("abcd2")).id == "abcd22"
    assert (await books.find("abcd")).id == "abcd"  # an exact id wins over a prefix
    assert (await books.find("wild%")).id == "wild%_card"
    for unknown in ("abcd3", "ABCD1", "%%%%%", "____", "", "wild", "nope"):
        with pytest.raises(RecordNotFound):
            await books.find(unknown)


async def test_a_prefix_has_at_least_four_characters(books: Books) -> None:
    await books.keep(a_record("xyz123"), [])
    assert (await books.find("xyz1")).id == "xyz123"
    with pytest.raises(RecordNotFound, match="No record"):
        await books.find("xyz")
    await books.keep(a_record("xyz124"), [])
    with pytest.raises(RecordNotFound, match="More than one"):
        await books.find("xyz1")


async def test_recent_is_newest_first_and_limited(books: Books) -> None:
    kept = [a_record(f"rec-{n:04}", created=NOON + timedelta(minutes=n)) for n in range(5)]
    for record in (kept[3], kept[0], kept[4], kept[1], kept[2]):
        await books.keep(record, [])
    assert await books.recent(limit=3) == (kept[4], kept[3], kept[2])
    assert await books.recent(limit=0) == ()
    assert len(await books.recent(limit=100_000)) == 5
    with pytest.raises(ValueError, match="negative"):
        await books.recent(limit=-1)


async def test_search_ignores_case_and_takes_no_wildcards(books: Books) -> None:
    prompts = {"p-cat": "A CAT, 100% real", "p-under": "under_score", "p-cjk": "金色的灯塔"}
    prompts |= {"p-path": "c:\\cats", "p-slash": "cats/dogs"}
    for record_id, prompt in prompts.items():
        await books.keep(a_record(record_id, prompt=prompt), [])

    async def found(term: str) -> set[str]:
        return {record.id for record in await books.recent(limit=99, search=term)}

    assert await found("cat") == {"p-cat", "p-path", "p-slash"}
    assert await found("100%") == {"p-cat"}
    assert await found("%") == {"p-cat"}
    assert await found("_") == {"p-under"}
    assert await found("\\") == {"p-path"}
    assert await found("/DOGS") == {"p-slash"}
    assert await found("灯塔") == {"p-cjk"}
    assert await found("") == set(prompts)
    assert await found("' OR 1=1 --") == set()


async def test_costs_are_grouped_and_never_mix_simulated_money(books: Books) -> None:
    late = datetime(2026, 11, 30, 23, 30, tzinfo=timezone(timedelta(hours=-5)))  # 1 December UTC
    paid = a_record("paid-1", images=(an_image("a"), an_image("b", Role.EXTRA)))
    drafts = a_record("paid-2", created=late, tier="flex", cost=120_000)
    refused = a_record("paid-3", size=None, images=(), outcome=Outcome.REFUSED, cost=1_000)
    toy = a_record("toy-1", simulated=True)
    for record in (paid, drafts, refused, toy):
        await books.keep(record, [a_line(record)])

    def row(group: str, numbers: tuple[int, int, int], *, simulated: bool = False) -> CostRow:
        calls, images, micro = numbers
        return CostRow(group=group, calls=calls, images=images, micro=micro, simulated=simulated)

    toys = (1, 1, 240_000)
    assert await books.costs("day") == (
        row("2026-11-30", (2, 2, 241_000)),
        row("2026-11-30", toys, simulated=True),
        row("2026-12-01", (1, 1, 120_000)),
    )
    assert [r.group for r in await books.costs("month")] == ["2026-11", "2026-11", "2026-12"]
    assert await books.costs("model") == (
        row("gemini-3-pro-image", (3, 3, 361_000)),
        row("gemini-3-pro-image", toys, simulated=True),
    )
    assert await books.costs("size") == (
        row("4K", (2, 3, 360_000)),
        row("4K", toys, simulated=True),
        row("none", (1, 0, 1_000)),
    )
    assert await books.costs("tier") == (
        row("flex", (1, 1, 120_000)),
        row("standard", (2, 2, 241_000)),
        row("standard", toys, simulated=True),
    )


async def test_costs_are_counted_for_each_owner(books: Books) -> None:
    owners = {"rec-1": "ada", "rec-2": None, "rec-3": "ada", "rec-4": "Ada", "rec-5": "\0\ud800"}
    for record_id, owner in owners.items():
        record = a_record(record_id, owner=owner)
        await books.keep(record, [a_line(record)])
    toy = a_record("toy-1", owner="ada", simulated=True)
    await books.keep(toy, [a_line(toy)])

    def row(group: str, calls: int, *, simulated: bool = False) -> CostRow:
        return CostRow(
            group=group, calls=calls, images=calls, micro=calls * 240_000, simulated=simulated
        )

    assert await books.costs("owner") == (
        row("", 1),
        row("\0\ud800", 1),
        row("Ada", 1),
        row("ada", 2),
        row("ada", 1, simulated=True),
    )
    assert await books.costs("month", owner="ada") == (
        row("2026-11", 2),
        row("2026-11", 1, simulated=True),
    )
    assert await books.costs("owner", owner="\0\ud800") == (row("\0\ud800", 1),)
    assert await books.costs("owner", owner="") == ()


async def test_a_call_of_two_lines_counts_once(books: Books) -> None:
    record = a_record()
    await books.keep(record, [a_line(record, "one", micro=100), a_line(record, "two", micro=50)])
    await books.keep(record, [a_line(record, "three", kind="adjust", micro=-7)])
    assert await books.costs("month") == (
        CostRow(group="2026-11", calls=1, images=1, micro=150, simulated=False),
    )


async def test_costs_are_of_a_half_open_span(books: Books) -> None:
    record = a_record()
    await books.keep(record, [a_line(record)])
    instant = timedelta(microseconds=1)
    tokyo = timezone(timedelta(hours=9))
    assert await books.costs("day", since=NOON, until=NOON + instant)
    assert await books.costs("day", since=NOON.astimezone(tokyo))
    assert await books.costs("day", since=NOON + instant) == ()
    assert await books.costs("day", until=NOON) == ()


async def test_sums_pass_the_range_of_one_line(books: Books) -> None:
    record = a_record()
    lines = [a_line(record, f"line-{n}", micro=10**12) for n in range(9)]
    await books.keep(record, lines)
    assert (await books.costs("tier"))[0].micro == 9 * 10**12


async def test_unknown_grouping_lists_the_valid_ones(books: Books) -> None:
    with pytest.raises(ValueError, match="day, month, model, size, tier, owner"):
        await books.costs("week")
    with pytest.raises(ValueError, match="no time zone"):
        await books.costs("day", since=NOON.replace(tzinfo=None))
    with pytest.raises(ValueError, match="no time zone"):
        await books.queries_since(NOON.replace(tzinfo=None), simulated=False)


async def test_counts_search_queries_of_settled_lines(books: Books) -> None:
    assert await books.queries_since(NOON, simulated=False) == 0
    record = a_record()
    other = a_record("toy-1", simulated=True)
    lines = [
        a_line(record, "early", detail={"queries": 100}, at=NOON - timedelta(seconds=1)),
        a_line(record, "one", detail={"queries": 2}),
        a_line(record, "two", detail={"queries": 3}, at=NOON + timedelta(days=1)),
        a_line(record, "none", detail={}),
        a_line(record, "adjust", detail={"queries": 50}, kind="adjust"),
    ]
    await books.keep(record, lines)
    await books.keep(other, [a_line(other, detail={"queries": 7})])
    assert await books.queries_since(NOON, simulated=False) == 5
    assert await books.queries_since(NOON, simulated=True) == 7


async def test_a_line_of_no_scope_counts_against_its_day_and_month_in_utc(books: Books) -> None:
    record = a_record()
    late = datetime(2026, 11, 30, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    await books.keep(record, [replace(a_line(record, at=late), scopes=())])
    for _ in range(2):  # what comes back is the same line
        (kept,) = await books.lines(record.id)
        assert kept.scopes == ("day/2026-12-01", "month/2026-12", "total")
        await books.keep(record, [kept])
    assert await books.lines(record.id) == (kept,)


async def test_many_at_once_lose_nothing(books: Books) -> None:
    kept = [a_record(f"rec-{n:04}") for n in range(40)]
    await asyncio.gather(*(books.keep(r, [a_line(r)]) for r in kept for _ in range(2)))
    assert len(await books.recent(limit=100)) == 40
    (row,) = await books.costs("month")
    assert (row.calls, row.micro) == (40, 40 * 240_000)


# ---------------------------------------------------------------- both engines


async def test_what_is_kept_outlives_the_process(new_url: NewUrl) -> None:
    url = new_url()
    record = a_record()
    first = SqlBooks(url)
    await first.keep(record, [a_line(record)])
    await first.close()
    second = SqlBooks(url)
    assert await second.find(record.id) == record
    await second.close()


async def test_only_new_lines_change_the_balances(new_url: NewUrl) -> None:
    url = new_url()
    books = SqlBooks(url)
    record = a_record()
    lines = [a_line(record, scopes=("total",)), a_line(record, "b", scopes=("tag/x", "total"))]
    await asyncio.gather(*(books.keep(record, lines[:n]) for n in (1, 2, 2, 1, 0)))
    toy = a_record("toy-1", simulated=True)
    await books.keep(toy, [a_line(toy, scopes=("total",))])
    with pytest.raises(StorageError):
        await books.keep(record, [a_line(record, "c"), a_line(record, "b", micro=1)])
    await books.close()
    engine = connect(url)
    with engine.connect() as connection:
        rows = connection.execute(select(balances).order_by(balances.c.scope)).mappings()
        kept = {(row["scope"], row["simulated"]): Balance(**row) for row in rows}
    engine.dispose()
    assert kept == {
        ("tag/x", False): Balance(scope="tag/x", simulated=False, settled=240_000),
        ("total", False): Balance(scope="total", simulated=False, settled=480_000),
        ("total", True): Balance(scope="total", simulated=True, settled=240_000),
    }


def _engine_with_a_line(url: str) -> Engine:
    async def keep() -> None:
        books = SqlBooks(url)
        await books.keep(a_record(), [a_line(a_record())])
        await books.close()

    asyncio.run(keep())
    return connect(url)


def test_the_database_refuses_to_change_the_ledger(new_url: NewUrl) -> None:
    engine = _engine_with_a_line(new_url())
    forged = line_row(a_line(a_record(), micro=1))
    attempts: list[Executable] = [update(ledger).values(micro=0), delete(ledger)]
    if engine.dialect.name == "sqlite":
        attempts.append(insert(ledger).prefix_with("OR REPLACE").values(forged))
    else:
        attempts.append(text("TRUNCATE ledger"))
    for statement in attempts:
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(statement)
    with engine.connect() as connection:
        assert connection.scalars(select(ledger.c.micro)).all() == [240_000]
    engine.dispose()


@pytest.mark.parametrize("forged", [{"micro": 10**12 + 1}, {"micro": -1}])
def test_the_database_refuses_bad_lines_by_itself(new_url: NewUrl, forged: dict[str, Any]) -> None:
    engine = _engine_with_a_line(new_url())
    row = line_row(a_line(a_record(), "forged")) | forged
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(insert(ledger).values(row))
    engine.dispose()


def test_migrates_a_new_database_once(new_url: NewUrl) -> None:
    engine = connect(new_url())
    for _ in range(2):
        bring_up_to_date(engine)
        tables = set(inspect(engine).get_table_names())
        assert tables == {table.name for table in metadata.sorted_tables} | {"alembic_version"}
    engine.dispose()


def test_refuses_a_database_of_a_newer_version(new_url: NewUrl) -> None:
    url = new_url()
    engine = connect(url)
    bring_up_to_date(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(StorageError, match="newer Heliograph") as caught:
        SqlBooks(url)
    assert caught.value.facts == {"schema": "0999", "known": head()}
    engine.dispose()

"""What every implementation of the `Books` port must do with searches, facets and the trash."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.records import NOON, a_line, a_record
from tests.engines import NewUrl

from heliograph.errors import InvalidRequest, RecordNotFound
from heliograph.ports import Books, Search
from heliograph.storage import MemoryBooks
from heliograph.storage.database import Database
from heliograph.storage.sql_books import SqlBooks
from heliograph.types import Outcome, Record, Verdict

SECOND = timedelta(seconds=1)
TOKYO = timezone(timedelta(hours=9))


async def ids(books: Books, limit: int = 99, **wanted: Any) -> list[str]:
    return [record.id for record in await books.search(Search(**wanted), limit=limit)]


async def test_words_stand_in_the_prompt_in_any_order_and_case(books: Books) -> None:
    prompts = {
        "cat": "A CAT, 100% real",
        "under": "under_score and Straße",
        "cjk": "金色的灯塔 CAT",
        "path": "c:\\cats",
        "slash": "cats/dogs",
        "odd": "a\0b \ud83d \x1a0041",
    }
    for record_id, prompt in prompts.items():
        await books.keep(a_record(record_id, prompt=prompt), [])

    async def found(words: str) -> set[str]:
        return set(await ids(books, words=words))

    assert await found("cat") == {"cat", "cjk", "path", "slash"}
    assert await found("real Cat") == {"cat"}
    assert await found(" cat\t灯塔\n") == {"cjk"}
    assert await found("STRASSE") == {"under"}
    assert await found("100%") == await found("%") == {"cat"}
    assert await found("%%%%") == set()
    assert await found("_") == {"under"}
    assert await found("\\") == {"path"}
    assert await found("/DOGS") == {"slash"}
    assert await found("a\0b") == {"odd"}
    assert await found("\ud83d") == {"odd"}
    assert await found("0000") == set()  # the way a NUL is stored is nobody's word
    assert await found("0041") == {"odd"}
    assert await found("") == await found("  ") == set(prompts)
    assert await found("' OR 1=1 --") == set()


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"words": " ".join(f"word{n}" for n in range(51))}, "words"),
        ({"words": "x" * 2001}, "words"),
        ({"tags": tuple(f"t{n}" for n in range(51))}, "tags"),
    ],
    ids=["words", "length", "tags"],
)
async def test_too_much_at_once_is_refused(
    books: Books, wanted: dict[str, Any], field: str
) -> None:
    for look in (books.search(Search(**wanted), limit=9), books.facets(Search(**wanted))):
        with pytest.raises(InvalidRequest) as caught:
            await look
        assert [problem.field for problem in caught.value.problems] == [field]


async def test_the_most_that_is_not_refused_is_found(books: Books) -> None:
    words = [f"word{n}" for n in range(50)]
    tags = [f"t{n}" for n in range(50)]
    record = a_record(prompt=" ".join(words) + " " + "%" * 1600, request={"tags": tags})
    await books.keep(record, [])
    again = " ".join([*words, *words])  # each counts once
    assert await ids(books, words=again, tags=tuple(tags)) == [record.id]
    assert await ids(books, words="%" * 1600) == [record.id]


async def test_tags_are_whole_and_exact(books: Books) -> None:
    tagged: dict[str, Any] = {
        "one": ["poster"],
        "two": ["poster", "spring", "A"],
        "odd": ['"', "\n", "a,b", "%", "\0\ud800", ""],
        "none": None,
        "text": "poster",
        "mixed": ["x", 7, None, ["poster"]],
    }
    for record_id, tags in tagged.items():
        await books.keep(a_record(record_id, request={"tags": tags}), [])
    await books.keep(a_record("never", request={}), [])
    assert set(await ids(books, tags=("poster",))) == {"one", "two"}
    assert await ids(books, tags=("spring", "poster")) == ["two"]
    assert await ids(books, tags=("poster", "fall")) == []
    for part in ("post", "oster", "POSTER", "a", 'poster"', "7"):
        assert await ids(books, tags=(part,)) == []
    for odd in tagged["odd"]:
        assert await ids(books, tags=(odd,)) == ["odd"]
    assert await ids(books, tags=("x",)) == ["mixed"]


async def test_each_condition_holds(books: Books) -> None:
    kept = [
        a_record("r-0", owner="ada", session="s-1"),
        a_record("r-1", owner="bob", model="flash", size="2K"),
        a_record("r-2", size=None, verdict=None, outcome=Outcome.REFUSED, images=()),
        a_record("r-3", owner="ada", simulated=True, verdict=Verdict.UNASKED, session="s-2"),
    ]
    for number, record in enumerate(kept):
        await books.keep(replace(record, created=NOON + number * SECOND), [])
    assert await ids(books) == ["r-3", "r-2", "r-1", "r-0"]
    assert await ids(books, limit=2) == ["r-3", "r-2"]
    assert await ids(books, limit=0) == []
    assert await ids(books, owner="ada") == ["r-3", "r-0"]
    assert await ids(books, owner="") == []
    assert await ids(books, models=("flash", "other")) == ["r-1"]
    assert await ids(books, sizes=("4K",)) == ["r-3", "r-0"]
    assert await ids(books, verdicts=("verified", "unasked"), owner="ada") == ["r-3", "r-0"]
    assert await ids(books, outcomes=("refused",)) == ["r-2"]
    assert await ids(books, session="s-1") == ["r-0"]
    assert await ids(books, simulated=False) == ["r-2", "r-1", "r-0"]
    assert await ids(books, simulated=True) == ["r-3"]
    span: dict[str, Any] = {"since": (NOON + SECOND).astimezone(TOKYO), "until": NOON + 3 * SECOND}
    assert await ids(books, **span) == ["r-2", "r-1"]
    with pytest.raises(ValueError, match="negative"):
        await ids(books, limit=-1)
    naive = NOON.replace(tzinfo=None)
    for wanted in ({"since": naive}, {"until": naive}, {"before": (naive, "r-1")}):
        with pytest.raises(ValueError, match="no time zone"):
            await ids(books, **wanted)
    (found,) = await books.search(Search(session="s-1"), limit=9)
    assert found == replace(kept[0], created=NOON)


async def test_facets_count_as_if_nothing_were_chosen_in_them(books: Books) -> None:
    assert await books.facets(Search()) == {"model": {}, "size": {}, "verdict": {}, "outcome": {}}
    for number, (model, size, outcome) in enumerate(
        [
            ("pro", "4K", Outcome.KEPT),
            ("pro", "2K", Outcome.KEPT),
            ("flash", "2K", Outcome.KEPT),
            ("flash", None, Outcome.REFUSED),
        ]
    ):
        verdict = None if outcome is Outcome.REFUSED else Verdict.VERIFIED
        record = a_record(
            f"r-{number}", model=model, size=size, outcome=outcome, verdict=verdict, owner="ada"
        )
        await books.keep(record, [])
    await books.keep(a_record("other", owner="bob"), [])
    await books.trash("r-1", NOON)
    before = (NOON - SECOND, "")
    assert await books.facets(Search(owner="ada", before=before)) == {
        "model": {"flash": 2, "pro": 1},
        "size": {"2K": 1, "4K": 1},
        "verdict": {"verified": 2},
        "outcome": {"kept": 2, "refused": 1},
    }
    assert await books.facets(Search(owner="ada", models=("pro",))) == {
        "model": {"flash": 2, "pro": 1},
        "size": {"4K": 1},
        "verdict": {"verified": 1},
        "outcome": {"kept": 1},
    }
    chosen = Search(owner="ada", models=("flash",), outcomes=("kept", "refused"), sizes=("2K",))
    assert await books.facets(chosen) == {
        "model": {"flash": 1},
        "size": {"2K": 1},
        "verdict": {"verified": 1},
        "outcome": {"kept": 1},
    }
    assert (await books.facets(Search(trashed=True)))["size"] == {"2K": 1}
    assert (await books.facets(Search(words="nothing")))["model"] == {}


async def test_the_trash_hides_and_gives_back(books: Books) -> None:
    kept = [a_record(f"rec-{n}", session="s", created=NOON + n * SECOND) for n in range(3)]
    for record in kept:
        await books.keep(record, [a_line(record)])
    for _ in range(2):
        await books.trash("rec-1", NOON.astimezone(TOKYO))
    assert await ids(books) == ["rec-2", "rec-0"]
    assert await ids(books, trashed=True) == ["rec-1"]
    assert await books.trashed(["rec-0", "rec-1", "rec-9"]) == {"rec-1"}
    assert await books.trashed([]) == frozenset()
    assert await books.trashed([f"id-{n}" for n in range(2500)] + ["rec-1"]) == {"rec-1"}
    # nothing else knows of the trash
    assert await books.recent(limit=9) == (kept[2], kept[1], kept[0])
    assert await books.find("rec-1") == kept[1]
    assert await books.session("s") == tuple(kept)
    assert (await books.costs("month"))[0].calls == 3
    await books.keep(kept[1], [a_line(kept[1])])  # as a rebuild does
    assert await books.trashed(["rec-1"]) == {"rec-1"}
    for _ in range(2):
        await books.untrash("rec-1")
    await books.untrash("never")
    assert await ids(books) == ["rec-2", "rec-1", "rec-0"]
    assert await ids(books, trashed=True) == []


async def test_only_whole_ids_go_to_the_trash(books: Books) -> None:
    await books.keep(a_record("rec-0001"), [])
    await books.keep(a_record("a\0\ud800"), [])
    for unknown in ("rec-", "rec-000", "", "REC-0001", "rec-00011"):
        with pytest.raises(RecordNotFound):
            await books.trash(unknown, NOON)
    with pytest.raises(ValueError, match="no time zone"):
        await books.trash("rec-0001", NOON.replace(tzinfo=None))
    await books.trash("a\0\ud800", NOON)
    assert await books.trashed(["a\0\ud800", "rec-0001"]) == {"a\0\ud800"}


made = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([None, "ada", "bob"]),
        st.sampled_from(["a cat", "A CAT dog", "dog %"]),
        st.booleans(),
    ),
    max_size=14,
)
searches = st.builds(
    Search,
    owner=st.sampled_from([None, "ada"]),
    words=st.sampled_from([None, "cat", "DOG %"]),
    since=st.none() | st.integers(0, 3).map(lambda n: NOON + n * SECOND),
    trashed=st.booleans(),
    models=st.just(()),
    sizes=st.just(()),
    verdicts=st.just(()),
    outcomes=st.just(()),
    tags=st.just(()),
    session=st.none(),
    until=st.none(),
    simulated=st.none(),
    before=st.none(),
)


@given(rows=made, search=searches, size=st.integers(1, 4))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_pages_together_are_everything_once(
    new_sqlite: NewUrl, rows: list[tuple[int, str | None, str, bool]], search: Search, size: int
) -> None:
    async def pages(books: Books) -> list[Record]:
        found: list[Record] = []
        last: tuple[datetime, str] | None = None
        while True:
            page = await books.search(replace(search, before=last), limit=size)
            found += page
            if len(page) < size:
                return found
            last = (page[-1].created, page[-1].id)

    async def compare() -> None:
        memory, sql = MemoryBooks(), SqlBooks(Database(new_sqlite()))
        for number, (second, owner, prompt, thrown) in enumerate(rows):
            record = a_record(
                f"{number * 7919 % 97:04x}",
                created=NOON + second * SECOND,
                owner=owner,
                prompt=prompt,
            )
            for books in (memory, sql):
                await books.keep(record, [])
                if thrown:
                    await books.trash(record.id, NOON)
        everything = await memory.search(search, limit=999)
        assert len({record.id for record in everything}) == len(everything)
        assert await pages(memory) == await pages(sql) == list(everything)
        assert await memory.facets(search) == await sql.facets(search)
        await sql.close()

    asyncio.run(compare())


async def test_pages_of_equal_times_go_on_where_they_ended(books: Books) -> None:
    for number in range(7):
        await books.keep(a_record(f"{number:04x}"), [])
    first = await ids(books, limit=3)
    second = await ids(books, limit=3, before=(NOON.astimezone(TOKYO), first[-1]))
    third = await ids(books, limit=3, before=(NOON, second[-1]))
    assert first + second + third == [f"{number:04x}" for number in reversed(range(7))]

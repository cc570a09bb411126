"""What every implementation of the `Cabinet` port must do, and both engines of `SqlCabinet`."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.engines import NewUrl

from heliograph.errors import CardChanged, StorageError
from heliograph.ports import Cabinet, Card
from heliograph.storage import MemoryCabinet
from heliograph.storage.database import Database
from heliograph.storage.sql_cabinet import SqlCabinet

NOON = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
ODD = ["", "你好 🗼 <script>'\";--", "a\0b", "\x1a\x1a0000", "half \ud800 pair", "%_\\/"]


def endless(depth: int) -> list[Any]:
    """A list in a list in a list …"""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


class Clock:
    """A second later each time it is looked at, in a zone of its own."""

    def __init__(self) -> None:
        self.now = NOON.astimezone(timezone(timedelta(hours=9)))

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def cabinet(request: pytest.FixtureRequest) -> AsyncIterator[Cabinet]:
    if request.param == "memory":
        yield MemoryCabinet(clock=Clock())
        return
    database = Database(request.getfixturevalue(f"new_{request.param}")())
    yield SqlCabinet(database, clock=Clock())
    await database.close()


async def test_a_card_comes_back_as_it_was_put(cabinet: Cabinet) -> None:
    body = {"words": "a red hat", "n": [1, 2.5, None, True], "deep": {"b": {"c": []}}}
    put = await cabinet.put("cast", "hero", body, version=0)
    assert put == Card(
        kind="cast", name="hero", body=body, version=1, changed=NOON + timedelta(seconds=1)
    )
    for found in (await cabinet.card("cast", "hero"), *await cabinet.cards("cast")):
        assert found == put
        assert found is not None
        assert found.changed.utcoffset() == timedelta(0)


async def test_what_is_not_there_is_none(cabinet: Cabinet) -> None:
    await cabinet.put("cast", "hero", {}, version=0)
    for kind, name in (("cast", "her"), ("cast", "HERO"), ("mark", "hero"), ("", "")):
        assert await cabinet.card(kind, name) is None
    assert await cabinet.cards("mark") == ()


async def test_each_change_is_one_version_more(cabinet: Cabinet) -> None:
    for version in range(4):
        put = await cabinet.put("cast", "hero", {"n": version}, version=version)
        assert (put.version, put.changed) == (version + 1, NOON + timedelta(seconds=version + 1))
        assert await cabinet.card("cast", "hero") == put
    assert await cabinet.cards("cast") == (put,)


@pytest.mark.parametrize("version", [0, 1, 3, -1, 2**63 - 1, 2**63, 10**30])
async def test_another_version_is_refused(cabinet: Cabinet, version: int) -> None:
    await cabinet.put("cast", "hero", {"n": 1}, version=0)
    kept = await cabinet.put("cast", "hero", {"n": 2}, version=1)
    with pytest.raises(CardChanged, match="changed meanwhile") as caught:
        await cabinet.put("cast", "hero", {"n": 3}, version=version)
    facts = {"kind": "cast", "name": "hero", "version": 2, "expected": version}
    assert caught.value.facts == facts
    assert caught.value.retryable
    assert "Read it again" in (caught.value.remedy or "")
    assert await cabinet.card("cast", "hero") == kept


async def test_what_is_not_there_has_no_later_version(cabinet: Cabinet) -> None:
    with pytest.raises(CardChanged, match="is not there") as caught:
        await cabinet.put("cast", "hero", {}, version=1)
    assert caught.value.facts["version"] == 0
    assert await cabinet.card("cast", "hero") is None


async def test_a_dropped_card_is_gone_and_can_be_made_again(cabinet: Cabinet) -> None:
    await cabinet.put("cast", "hero", {"n": 1}, version=0)
    other = await cabinet.put("mark", "hero", {"n": 2}, version=0)
    for _ in range(2):
        await cabinet.drop("cast", "hero")
        assert await cabinet.card("cast", "hero") is None
        assert await cabinet.cards("cast") == ()
    await cabinet.drop("never", "was")
    assert await cabinet.cards("mark") == (other,)
    assert (await cabinet.put("cast", "hero", {"n": 3}, version=0)).version == 1


async def test_cards_of_a_kind_are_sorted_by_name(cabinet: Cabinet) -> None:
    names = ["b", "a", "B", "ä", "a\0", "a!", "a b", "\ud800", "灯", "🗼", "\x1a", "_", ""]
    for name in names:
        await cabinet.put("cast", name, {"name": name}, version=0)
        await cabinet.put("other", name, {}, version=0)
    found = await cabinet.cards("cast")
    assert [card.name for card in found] == sorted(names)
    assert [card.body["name"] for card in found] == sorted(names)


@pytest.mark.parametrize("text", ODD)
async def test_any_text_comes_back_equal(cabinet: Cabinet, text: str) -> None:
    body = {text: [text, {text: text}]}
    put = await cabinet.put(text, text, body, version=0)
    assert (put.kind, put.name, put.body) == (text, text, body)
    assert await cabinet.card(text, text) == put
    assert await cabinet.cards(text) == (put,)
    again = await cabinet.put(text, text, {}, version=1)
    assert await cabinet.card(text, text) == again
    with pytest.raises(CardChanged) as caught:
        await cabinet.put(text, text, {}, version=0)
    assert caught.value.facts["name"] == text
    await cabinet.drop(text, text)
    assert await cabinet.cards(text) == ()


async def test_a_big_body_comes_back_equal(cabinet: Cabinet) -> None:
    body = {"text": "灯\0" * 500_000, "list": list(range(50_000)), "deep": endless(50), "n": 2**70}
    await cabinet.put("cast", "big", body, version=0)
    found = await cabinet.card("cast", "big")
    assert found is not None
    assert found.body == body


@pytest.mark.parametrize("letter", ["a", "灯", "🗼", "\0", "\ud800"])
async def test_the_longest_names_fit_every_engine(cabinet: Cabinet, letter: str) -> None:
    put = await cabinet.put(letter * 100, letter * 400, {}, version=0)
    assert await cabinet.card(letter * 100, letter * 400) == put
    for kind, name in ((letter * 101, "x"), ("x", letter * 401)):
        with pytest.raises(StorageError, match="too long"):
            await cabinet.put(kind, name, {}, version=0)
        assert await cabinet.card(kind, name) is None


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, {1: "x"}, object(), b"x", 10**5000, endless(100_000)],
    ids=["nan", "infinite", "number as key", "object", "bytes", "digits", "lists in lists"],
)
async def test_what_has_no_exact_form_is_refused(cabinet: Cabinet, value: Any) -> None:
    with pytest.raises(StorageError, match="exactly"):
        await cabinet.put("cast", "hero", {"value": value}, version=0)
    assert await cabinet.cards("cast") == ()


async def test_bodies_are_the_json_that_they_say(cabinet: Cabinet) -> None:
    put = await cabinet.put("cast", "hero", {"b": (1, 2), "a": -0.0}, version=0)
    assert put.body == {"a": -0.0, "b": [1, 2]}
    assert list(put.body) == ["a", "b"]
    found = await cabinet.card("cast", "hero")
    assert found == put
    assert found is not None
    assert math.copysign(1, found.body["a"]) == -1


async def test_who_holds_a_body_cannot_change_what_is_stored(cabinet: Cabinet) -> None:
    body: dict[str, Any] = {"list": [1]}
    put = await cabinet.put("cast", "hero", body, version=0)
    body["list"].append(2)
    put.body["list"].append(3)
    for _ in range(2):
        found = await cabinet.card("cast", "hero")
        assert found is not None
        assert found.body == {"list": [1]}
        found.body["list"].append(4)
        (found,) = await cabinet.cards("cast")
        assert found.body == {"list": [1]}
        found.body["list"].append(5)


async def test_of_many_who_change_one_version_exactly_one_succeeds(cabinet: Cabinet) -> None:
    await one_wins_each_version([cabinet])


async def one_wins_each_version(cabinets: list[Cabinet]) -> None:
    for version in range(4):
        changes = [
            cabinets[n % len(cabinets)].put("cast", "hero", {"by": n}, version=version)
            for n in range(12)
        ]
        said = await asyncio.gather(*changes, return_exceptions=True)
        won = [answer for answer in said if isinstance(answer, Card)]
        lost = [answer for answer in said if isinstance(answer, CardChanged)]
        assert (len(won), len(lost)) == (1, 11), said
        assert won[0].version == version + 1
        for cabinet in cabinets:
            assert await cabinet.card("cast", "hero") == won[0]


async def test_no_change_of_many_is_lost(cabinet: Cabinet) -> None:
    async def add(number: int) -> None:
        while True:
            before = await cabinet.card("cast", "all")
            have = [] if before is None else before.body["numbers"]
            body = {"numbers": [*have, number]}
            try:
                await cabinet.put(
                    "cast", "all", body, version=0 if before is None else before.version
                )
            except CardChanged:
                continue
            return

    await asyncio.gather(*(add(number) for number in range(8)))
    found = await cabinet.card("cast", "all")
    assert found is not None
    assert (sorted(found.body["numbers"]), found.version) == (list(range(8)), 8)


# ---------------------------------------------------------------- both engines


async def opened(new_url: Callable[[], str], work: Callable[[list[Cabinet]], Any]) -> None:
    url = new_url()
    databases = [Database(url) for _ in range(2)]
    await work([SqlCabinet(database) for database in databases])
    for database in databases:
        await database.close()


async def test_of_two_servers_exactly_one_succeeds(new_url: NewUrl) -> None:
    await opened(new_url, one_wins_each_version)


async def test_one_drops_what_others_change(new_url: NewUrl) -> None:
    async def work(cabinets: list[Cabinet]) -> None:
        for _ in range(5):
            put = await cabinets[0].put("cast", "hero", {}, version=0)
            said = await asyncio.gather(
                cabinets[0].put("cast", "hero", {}, version=put.version),
                cabinets[1].drop("cast", "hero"),
                return_exceptions=True,
            )
            assert isinstance(said[0], Card | CardChanged)
            assert said[1] is None
            await cabinets[0].drop("cast", "hero")

    await opened(new_url, work)


async def test_what_is_put_outlives_the_process(new_url: NewUrl) -> None:
    url = new_url()
    first = Database(url)
    put = await SqlCabinet(first).put("cast", "hero", {"a": 1}, version=0)
    await first.close()
    second = Database(url)
    assert await SqlCabinet(second).card("cast", "hero") == put
    await second.close()

"""`rebuild`: a lost database comes back word for word, and damage is told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore

from heliograph.ports import Blobs, Books, Search
from heliograph.storage import LocalBlobs, MemoryBooks, ObjectBlobs, keep, rebuild, sidecar_key
from heliograph.storage.cost_report import GROUPS
from heliograph.storage.sql_books import SqlBooks
from heliograph.types import Outcome, Role

NewCall = Callable[..., Any]  # the fixture in conftest.py

BEGIN = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture(params=["local", "object"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return (
        LocalBlobs(tmp_path / "originals")
        if request.param == "local"
        else ObjectBlobs(MemoryStore())
    )


async def fill(blobs: Blobs, books: Books, new_call: NewCall) -> list[str]:
    shapes: list[tuple[Role, ...]] = [tuple(Role), (Role.RESULT,), (Role.DRAFT,), ()]
    ids = []
    for number in range(12):
        roles = shapes[number % len(shapes)]
        call = new_call(
            f"rec-{number:04}",
            roles=roles,
            created=BEGIN + timedelta(hours=7 * number),
            outcome=Outcome.KEPT if roles else Outcome.UNKNOWN,
            simulated=number % 3 == 0,
            tier="flex" if number % 2 else "standard",
            owner="ada" if number % 5 else None,
        )
        await keep(call.record, call.lines, blobs=blobs, books=books, files=call.files)
        ids.append(call.record.id)
    return ids


async def everything(books: Books, ids: list[str]) -> list[object]:
    said: list[object] = [await books.recent(limit=99)]
    said += [await books.search(Search(owner="ada"), limit=99), await books.facets(Search())]
    said += [await books.costs(by) for by in GROUPS]
    said += [await books.lines(record_id) for record_id in ids]
    return said


async def test_a_lost_database_comes_back_word_for_word(
    blobs: Blobs, new_call: NewCall, tmp_path: Path
) -> None:
    first = SqlBooks(f"sqlite:///{tmp_path / 'first.db'}")
    ids = await fill(blobs, first, new_call)
    second = SqlBooks(f"sqlite:///{tmp_path / 'second.db'}")
    report = await rebuild(blobs, second)
    assert sorted(report.added) == ids
    assert (report.sidecars, report.already, report.damaged, report.unclaimed) == (12, (), (), ())
    assert report.intact == 2 * 3 * (3 + 1 + 1)  # image and signature, of 3 rounds of shapes
    assert await everything(second, ids) == await everything(first, ids)
    again = await rebuild(blobs, second)
    assert (again.added, sorted(again.already)) == ((), ids)
    await first.close()
    await second.close()


async def test_only_what_is_missing_is_added(blobs: Blobs, new_call: NewCall) -> None:
    whole, part = MemoryBooks(), MemoryBooks()
    ids = await fill(blobs, whole, new_call)
    await part.keep(await whole.find(ids[0]), await whole.lines(ids[0]))
    await part.keep(await whole.find(ids[1]), [])  # its ledger line is lost
    report = await rebuild(blobs, part)
    assert report.already == (ids[0],)
    assert sorted(report.added) == ids[1:]
    assert await everything(part, ids) == await everything(whole, ids)


async def test_damage_is_reported_and_money_still_comes_back(
    new_call: NewCall, tmp_path: Path
) -> None:
    root = tmp_path / "originals"
    blobs, books = LocalBlobs(root), MemoryBooks()
    await fill(blobs, books, new_call)
    torn, lost, unread, other = [await books.find(f"rec-{n:04}") for n in (0, 1, 4, 5)]
    assert torn.result
    assert lost.result
    spoil(root / torn.result.key, b"torn")
    spoil(root / lost.result.key, None)
    spoil(root / sidecar_key(unread), b"{")
    spoil(root / "sha256/ab/stray.json", (root / sidecar_key(other)).read_bytes())
    spoil(root / "sha256/ab/stray.jpg", b"paid for, perhaps")
    fresh = MemoryBooks()
    report = await rebuild(blobs, fresh)
    reasons = {damage.key: damage.reason for damage in report.damaged}
    assert "has SHA-256" in reasons.pop(torn.result.key)
    assert "Nothing is stored" in reasons.pop(lost.result.key)
    assert "cannot be read" in reasons.pop(sidecar_key(unread))
    assert "wrong place" in reasons.pop("sha256/ab/stray.json")
    assert reasons == {}
    assert "sha256/ab/stray.jpg" in report.unclaimed
    assert {torn.id, lost.id} <= set(report.added)
    assert await fresh.lines(torn.id) == await books.lines(torn.id)


async def test_a_database_that_says_otherwise_is_left_alone(
    blobs: Blobs, new_call: NewCall
) -> None:
    call = new_call("rec-0001")
    await keep(call.record, call.lines, blobs=blobs, books=MemoryBooks(), files=call.files)
    books = MemoryBooks()
    await books.keep(replace(call.record, prompt="Another"), [])
    report = await rebuild(blobs, books)
    assert "kept already" in report.damaged[0].reason
    assert (await books.find("rec-0001")).prompt == "Another"


async def test_an_id_that_begins_another_is_told_apart(blobs: Blobs, new_call: NewCall) -> None:
    short, long = new_call("rec-1"), new_call("rec-12")
    books = MemoryBooks()
    for call in (short, long):
        await keep(call.record, call.lines, blobs=blobs, books=MemoryBooks(), files=call.files)
    await books.keep(long.record, long.lines)
    report = await rebuild(blobs, books)
    assert (report.added, report.already) == (("rec-1",), ("rec-12",))


def spoil(path: Path, data: bytes | None) -> None:
    path.unlink(missing_ok=True)
    if data is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

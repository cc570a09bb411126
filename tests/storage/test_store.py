"""`store`, `store_lines` and the books after a rebuild: what an earlier, killed run made durable
is what counts, and money comes back to the micro-dollar."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.storage.calls import a_call, a_line, brought, closing

from heliograph.errors import StorageError
from heliograph.journal import CallEntry, Stage, moved
from heliograph.killpoints import armed
from heliograph.ledger import HOLD_RELEASE, RELEASE, SETTLE, Balance
from heliograph.storage import (
    LocalBlobs,
    keep,
    open_storage,
    rebuild,
    record_from_json,
    sidecar_key,
    store,
    store_lines,
)
from heliograph.types import LedgerLine, Outcome

NewCall = Callable[..., Any]  # the fixture in conftest.py


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "originals")


def lines_of(record_id: str) -> tuple[CallEntry, tuple[LedgerLine, ...]]:
    call = a_call(f"{record_id}-1")
    return call, tuple(closing(call, Stage.SETTLED))


async def test_says_back_what_it_stored(blobs: LocalBlobs, new_call: NewCall) -> None:
    call = new_call("rec-0001")
    _, lines = lines_of("rec-0001")
    record, kept = await store(call.record, lines, blobs=blobs, files=call.files)
    assert (record, {line.kind for line in kept}) == (call.record, {RELEASE, SETTLE})
    again = await store(call.record, lines, blobs=blobs, files=call.files)
    assert again == (record, kept)
    # what only sets aside and gives back comes to nothing, so no sidecar has it
    _, written = record_from_json(await blobs.read(sidecar_key(record)))
    assert [line.kind for line in written] == [SETTLE]


async def test_takes_over_what_a_killed_run_wrote(blobs: LocalBlobs, new_call: NewCall) -> None:
    call = new_call("rec-0001")
    _, lines = lines_of("rec-0001")
    first, written = await store(call.record, lines, blobs=blobs, files=call.files)
    later = timedelta(minutes=1)
    again = replace(
        call.record,
        created=call.record.created + later,
        timing={"done": 1.5},
        warnings=("Recovered.",),
        cost=call.record.cost + 1,
    )
    moved_lines = [replace(line, at=line.at + later) for line in lines]
    record, kept = await store(again, moved_lines, blobs=blobs, files=call.files)
    assert record == first
    by_kind = {line.kind: line for line in kept}
    assert by_kind[SETTLE] == {line.kind: line for line in written}[SETTLE]
    assert by_kind[RELEASE].at == lines[0].at + later  # in no sidecar, so as it was given


@pytest.mark.parametrize("change", ["prompt", "line", "damage", "other record"])
async def test_adopts_no_other_record(blobs: LocalBlobs, new_call: NewCall, change: str) -> None:
    call = new_call("rec-0001", roles=(), outcome=Outcome.REFUSED)
    _, lines = lines_of("rec-0001")
    record = call.record
    if change == "prompt":
        await store(replace(record, prompt="Another"), lines, blobs=blobs, files={})
    elif change == "line":
        await store(record, (), blobs=blobs, files={})
    elif change == "damage":
        await blobs.put_bytes(b"{", sidecar_key(record))
    else:
        await store(replace(record, id="rec-0002"), (), blobs=blobs, files={})
        other = await blobs.read("records/rec-0002.json")
        await blobs.put_bytes(other, sidecar_key(record))
    before = await blobs.read(sidecar_key(record))
    with pytest.raises(StorageError, match="sidecar"):
        await store(record, lines, blobs=blobs, files={})
    assert await blobs.read(sidecar_key(record)) == before


async def test_later_lines_have_a_sidecar_of_their_own(
    blobs: LocalBlobs, new_call: NewCall
) -> None:
    record = new_call("rec-0001", roles=(), outcome=Outcome.UNKNOWN).record
    call = a_call("rec-0001-1")
    await store(record, closing(call, Stage.UNKNOWN), blobs=blobs, files={})
    ends = (a_line(call, HOLD_RELEASE), a_line(call, SETTLE))
    grown = replace(record, warnings=("Resolved by hand.",))
    said = await store_lines(grown, ends, name="resolved-1", blobs=blobs)
    assert await blobs.keys("records/") == [
        "records/rec-0001.json",
        "records/rec-0001.resolved-1.json",
    ]
    kept, written = record_from_json(await blobs.read("records/rec-0001.resolved-1.json"))
    assert (kept, written) == (record, said)  # the record is the one that was stored
    later = [replace(line, at=line.at + timedelta(minutes=1)) for line in ends]
    assert await store_lines(record, later, name="resolved-1", blobs=blobs) == said
    for name in ("", "a.b", "../x", "A"):
        with pytest.raises(StorageError, match="no name"):
            await store_lines(record, ends, name=name, blobs=blobs)
    never = replace(record, id="rec-0002")
    call = a_call("rec-0002-1")
    await store_lines(never, [a_line(call, SETTLE)], name="late", blobs=blobs)
    assert record_from_json(await blobs.read("records/rec-0002.late.json"))[0] == never


async def test_settled_and_held_money_comes_back_from_the_files(
    tmp_path: Path, new_call: NewCall
) -> None:
    root = tmp_path / "data"
    storage = open_storage(root)
    ends = (Stage.SETTLED, Stage.UNKNOWN, Stage.REFUSED, Stage.QUARANTINED, Stage.UNKNOWN)
    scopes: set[str] = set()
    for number, end in enumerate(ends):
        tags = ("tag/a",) if number % 2 else ()
        call = a_call(f"rec-000{number}-1", simulated=number == 3)
        call = replace(call, scopes=(*call.scopes[:2], *tags, "total"))
        scopes |= set(call.scopes)
        before = Stage.SENT if end is Stage.UNKNOWN else Stage.STORED
        call = await brought(storage.journal, before, call)
        after = moved(call, end, call.changed)
        roles = {"roles": ()} if number % 2 else {}
        made = new_call(call.job, simulated=call.simulated, **roles)
        record, lines = await store(
            made.record, closing(after, end), blobs=storage.blobs, files=made.files
        )
        await storage.journal.change(call, after, lines=lines, record=record)
    # one of the unknown calls is resolved by hand
    resolved = moved(after, Stage.SETTLED, after.changed)
    lines = (a_line(resolved, HOLD_RELEASE), a_line(resolved, SETTLE, micro=7))
    lines = await store_lines(record, lines, name="resolved", blobs=storage.blobs)
    await storage.journal.change(after, resolved, lines=lines)
    assert await storage.journal.audit() == ()
    before_loss = await money(storage.journal.balances, sorted(scopes))
    records = await storage.books.recent(limit=99)
    await storage.close()

    for file in root.glob("heliograph.db*"):
        file.unlink()
    storage = open_storage(root)
    report = await rebuild(storage.blobs, storage.books)
    assert (len(report.added), report.already, report.damaged) == (5, (), ())
    assert await storage.books.recent(limit=99) == records
    assert await money(storage.journal.balances, sorted(scopes)) == before_loss
    assert await storage.journal.audit() == ()
    again = await rebuild(storage.blobs, storage.books)
    assert (again.added, len(again.already), again.sidecars) == ((), 5, 6)
    assert await money(storage.journal.balances, sorted(scopes)) == before_loss
    await storage.close()


async def money(
    balances: Callable[[Sequence[str]], Any], scopes: Sequence[str]
) -> Sequence[Balance]:
    kept: Sequence[Balance] = await balances(scopes)
    assert {balance.reserved for balance in kept} == {0}
    assert any(balance.held for balance in kept)
    return kept


async def test_every_point_on_the_way_is_reached_in_order(
    tmp_path: Path, new_call: NewCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = new_call("rec-0001", roles=(), outcome=Outcome.REFUSED)
    spooled = tmp_path / "spooled.bin"
    data = b"first half, second half."
    spooled.write_bytes(data)
    halves: list[int] = []
    points: list[str] = []
    root = tmp_path / "data"

    def note(point: str) -> None:
        points.append(point)
        if point == "blob-half":
            (aside,) = (root / "originals/.incoming").iterdir()
            halves.append(aside.stat().st_size)

    storage = open_storage(root)
    with armed(note):
        await storage.blobs.put(spooled, "sha256/ab/linked.bin")
        await storage.blobs.put(spooled, "sha256/ab/linked.bin")  # is there already
        monkeypatch.setattr("os.link", no_links)
        await storage.blobs.put(spooled, "sha256/ab/copied.bin")
        await keep(call.record, (), blobs=storage.blobs, books=storage.books, files={})
    assert points == [
        *("blob-half", "blob-named") * 2,
        *("filed", "blob-half", "blob-named", "sidecar"),
    ]
    assert halves[:2] == [len(data), len(data) // 2]
    assert await storage.blobs.read("sha256/ab/copied.bin") == data
    points.clear()
    entry = await brought(storage.journal, Stage.STORED, a_call())
    with armed(note):
        after = moved(entry, Stage.SETTLED, entry.changed)
        await storage.journal.change(entry, after, lines=closing(after, Stage.SETTLED))
    assert points == ["settling"]
    await storage.close()


def no_links(*_: object) -> None:
    raise OSError(1, "no hard links here")


async def test_killed_while_settling_nothing_is_settled(tmp_path: Path, new_call: NewCall) -> None:
    class Killed(Exception):
        """Stands for the end of the process."""

    def kill(point: str) -> None:
        if point == "settling":
            raise Killed

    storage = open_storage(tmp_path / "data")
    entry = await brought(storage.journal, Stage.STORED, a_call("rec-0001-1"))
    after = moved(entry, Stage.SETTLED, entry.changed)
    record = new_call("rec-0001").record
    lines = closing(after, Stage.SETTLED)
    with armed(kill), pytest.raises(Killed):
        await storage.journal.change(entry, after, lines=lines, record=record)
    assert await storage.journal.find_call(entry.id) == entry
    assert await storage.books.recent(limit=1) == ()
    assert await storage.journal.audit() == ()
    await storage.journal.change(entry, after, lines=lines, record=record)
    assert await storage.books.find("rec-0001") == record
    await storage.close()

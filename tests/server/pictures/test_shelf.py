"""Copies on disk: made once, bounded, whole or not there."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from tests.server.waiting import HANG, until

from heliograph.errors import FinishError, StorageError
from heliograph.server.faults import Busy
from heliograph.server.pictures import shelf as shelves
from heliograph.server.pictures.shelf import Shelf, sweep

ID = "ab" * 16


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


async def test_one_making_for_all_who_ask(tmp_path: Path) -> None:
    made = 0

    async def make(folder: Path) -> None:
        nonlocal made
        made += 1
        await asyncio.sleep(0.02)
        (folder / "x").write_bytes(b"x")

    shelf = Shelf(tmp_path / "shelf")
    entries = await asyncio.gather(*(shelf.entry(ID, "a", make) for _ in range(5)))
    assert made == 1
    assert {(entry / "x").read_bytes() for entry in entries} == {b"x"}
    await shelf.entry(ID, "a", make)
    assert made == 1
    assert files(tmp_path) == [f"shelf/{ID}/a/x"]


async def test_one_who_leaves_does_not_stop_the_others(tmp_path: Path) -> None:
    may, begun = asyncio.Event(), asyncio.Event()
    made = 0

    async def make(folder: Path) -> None:
        nonlocal made
        made += 1
        begun.set()
        await may.wait()
        (folder / "x").write_bytes(b"x")

    shelf = Shelf(tmp_path)
    first = asyncio.ensure_future(shelf.entry(ID, "a", make))
    await asyncio.wait_for(begun.wait(), HANG)
    second = asyncio.ensure_future(shelf.entry(ID, "a", make))
    first.cancel()
    may.set()
    assert (await second / "x").exists()
    assert made == 1


async def test_what_fails_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    async def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise FinishError("no")

    async def make(folder: Path) -> None:
        (folder / "x").write_bytes(b"x")

    shelf = Shelf(tmp_path)
    with pytest.raises(FinishError):
        await shelf.entry(ID, "a", fail)
    assert files(tmp_path) == []
    assert (await shelf.entry(ID, "a", make) / "x").exists()


async def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    async def make(folder: Path) -> None:
        (folder / "x").write_bytes(bytes(1000))

    shelf = Shelf(tmp_path, most=8000)
    for n in range(30):
        entry = await shelf.entry(f"{n:032x}", "a", make)
        os.utime(entry, (n, n))
        assert len(files(tmp_path)) <= 10
    assert (tmp_path / f"{29:032x}" / "a" / "x").exists()
    assert not (tmp_path / f"{0:032x}").exists()


def test_a_sweep_removes_what_was_never_finished(tmp_path: Path) -> None:
    for name in (".making-old", ".making-new"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / ".making-old", (0, 0))
    sweep(tmp_path, 10**9)
    assert [p.name for p in tmp_path.iterdir()] == [".making-new"]
    sweep(tmp_path, 10**9, now=time.time() + 601)
    assert not list(tmp_path.iterdir())
    sweep(tmp_path / "missing", 1)


async def test_only_so_many_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "WAITING", 2)
    may = asyncio.Event()
    begun: list[Path] = []

    async def make(folder: Path) -> None:
        begun.append(folder)
        await may.wait()
        (folder / "x").write_bytes(b"x")

    shelf = Shelf(tmp_path, at_once=2)
    waiting = [asyncio.ensure_future(shelf.entry(ID, name, make)) for name in "ab"]
    await until(lambda: len(begun) == 2)
    with pytest.raises(Busy):
        await shelf.entry(ID, "c", make)
    may.set()
    await asyncio.gather(*waiting)


async def test_a_disk_that_refuses_tells_no_path(tmp_path: Path) -> None:
    blocked = tmp_path / "shelf"
    blocked.write_bytes(b"a file is in the way")

    async def make(folder: Path) -> None:
        raise AssertionError(folder)

    with pytest.raises(StorageError) as caught:
        await Shelf(blocked).entry(ID, "a", make)
    assert str(tmp_path) not in str(caught.value)

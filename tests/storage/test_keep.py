"""`keep`: the order of its steps, and that a crash between any two of them is mended by a rerun."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import RecordNotFound, StorageError
from heliograph.ports import Blobs, Books
from heliograph.storage import LocalBlobs, MemoryBooks, keep, rebuild, sidecar_key
from heliograph.types import LedgerLine, Outcome, Record, Role

NewCall = Callable[..., Any]  # the fixture in conftest.py


class PowerCut(Exception):
    """Stands for the end of the process."""


class Fuse:
    """Lets `left` steps pass and cuts the power at the next."""

    def __init__(self, left: int) -> None:
        self.left = left

    def burn(self) -> None:
        if self.left == 0:
            raise PowerCut
        self.left -= 1


class CutBlobs(LocalBlobs):
    def __init__(self, root: Path, fuse: Fuse) -> None:
        super().__init__(root)
        self._fuse = fuse

    async def put_all(self, contents: Mapping[str, Path | bytes]) -> None:
        for key, content in contents.items():  # one file after another, as they are written
            self._fuse.burn()
            await super().put_all({key: content})

    async def put_bytes(self, data: bytes, key: str) -> bool:
        self._fuse.burn()
        return await super().put_bytes(data, key)


class CutBooks(MemoryBooks):
    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self._fuse = fuse

    async def keep(self, record: Record, lines: Sequence[LedgerLine]) -> None:
        self._fuse.burn()
        await super().keep(record, lines)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return LocalBlobs(tmp_path / "originals")


@pytest.fixture
def books() -> Books:
    return MemoryBooks()


async def test_keeps_files_sidecar_and_record(
    new_call: NewCall, blobs: Blobs, books: Books
) -> None:
    call = new_call("rec-0001")
    await keep(call.record, call.lines, blobs=blobs, books=books, files=call.files)
    assert await books.find("rec-0001") == call.record
    assert await books.lines("rec-0001") == call.lines
    stored = set(await blobs.keys(""))
    assert stored == {*call.files, sidecar_key(call.record)}
    sidecar = json.loads(await blobs.read(sidecar_key(call.record)))
    assert sidecar["record"]["id"] == "rec-0001"


async def test_power_cut_at_each_step_is_mended_by_a_rerun(
    new_call: NewCall, tmp_path: Path
) -> None:
    call = new_call("rec-0001")
    steps = 0
    while True:
        fuse = Fuse(steps)
        blobs, books = CutBlobs(tmp_path / f"cut-{steps}", fuse), CutBooks(fuse)
        try:
            await keep(call.record, call.lines, blobs=blobs, books=books, files=call.files)
            break
        except PowerCut:
            with pytest.raises(RecordNotFound):  # the database is last: it names nothing yet
                await books.find("rec-0001")
        fuse.left = 99
        report = await rebuild(blobs, books)
        assert report.damaged == ()
        await keep(call.record, call.lines, blobs=blobs, books=books, files=call.files)
        assert await books.find("rec-0001") == call.record
        assert await books.lines("rec-0001") == call.lines
        steps += 1
    assert steps == len(call.files) + 2  # every file, the sidecar, the database


async def test_a_record_without_images_has_its_own_place(
    new_call: NewCall, blobs: Blobs, books: Books
) -> None:
    call = new_call("rec-0001", roles=(), outcome=Outcome.UNKNOWN, verdict=None)
    await keep(call.record, call.lines, blobs=blobs, books=books, files={})
    assert await blobs.keys("") == ["records/rec-0001.json"]


async def test_two_records_may_share_an_image(
    new_call: NewCall, blobs: Blobs, books: Books
) -> None:
    first = new_call("rec-0001", roles=(Role.RESULT,))
    second = replace(first.record, id="rec-0002")
    await keep(first.record, first.lines, blobs=blobs, books=books, files=first.files)
    await keep(second, [], blobs=blobs, books=books, files={})
    assert len(await blobs.keys("")) == len(first.files) + 2
    assert (await rebuild(blobs, MemoryBooks())).added == ("rec-0001", "rec-0002")


async def test_refuses_a_record_whose_file_is_nowhere(
    new_call: NewCall, blobs: Blobs, books: Books
) -> None:
    call = new_call("rec-0001")
    files = dict(call.files)
    missing, _ = files.popitem()
    with pytest.raises(StorageError, match="not stored") as caught:
        await keep(call.record, call.lines, blobs=blobs, books=books, files=files)
    assert caught.value.facts == {"key": missing}
    assert await books.recent(limit=1) == ()


async def test_refuses_another_record_of_the_same_name(
    new_call: NewCall, blobs: Blobs, books: Books
) -> None:
    call = new_call("rec-0001")
    await keep(call.record, call.lines, blobs=blobs, books=books, files=call.files)
    other = replace(call.record, prompt="Another")
    with pytest.raises(StorageError, match="other content") as caught:
        await keep(other, call.lines, blobs=blobs, books=books, files=call.files)
    assert "rebuild" in (caught.value.remedy or "")
    assert await books.find("rec-0001") == call.record

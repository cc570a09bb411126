"""Input images that the library keeps: a record that names one is nothing without it."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import StorageError
from heliograph.ports import Blobs
from heliograph.storage import (
    Condition,
    LocalBlobs,
    MemoryBooks,
    blob_key,
    keep,
    rebuild,
    store,
    verify,
)
from heliograph.storage.keep import blob_keys

NewCall = Callable[..., Any]  # the fixture in conftest.py


def key_of(data: bytes) -> str:
    return blob_key(hashlib.sha256(data).hexdigest(), ".png")


INPUTS = {key_of(data): data for data in (b"a hat", b"a lighthouse", b"a mask")}
HAT, LIGHTHOUSE, MASK = INPUTS
REQUEST = {
    "references": [{"sha256": "of no file that is kept"}, {"key": HAT, "role": "object"}],
    "area": {"picture": {"key": LIGHTHOUSE}, "mask": {"key": MASK}, "region": None},
}


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return LocalBlobs(tmp_path / "originals")


def an_edit(new_call: NewCall) -> Any:
    call = new_call("rec-0001")
    return replace(call, record=replace(call.record, request=REQUEST))


def test_a_record_names_its_input_images(new_call: NewCall) -> None:
    call = new_call("rec-0001")
    plain = blob_keys(replace(call.record, request={}))
    assert blob_keys(an_edit(new_call).record) == (*plain, HAT, LIGHTHOUSE, MASK)
    twice = {"references": [{"key": HAT}, {"key": HAT}], "area": {"picture": {"key": HAT}}}
    assert blob_keys(replace(call.record, request=twice)) == (*plain, HAT)


@pytest.mark.parametrize(
    "request_",
    [
        {"references": 3},
        {"references": "key"},
        {"references": {"key": HAT}},
        {"references": [None, 5, "key", {}, {"key": None}, {"key": 5}, {"key": {"key": HAT}}]},
        {"area": [{"key": HAT}]},
        {"area": {"picture": HAT, "mask": None, "key": HAT}},
        {"area": None, "references": None, "key": HAT},
    ],
    ids=str,
)
def test_whatever_else_stands_there_is_no_key(new_call: NewCall, request_: Any) -> None:
    record = new_call("rec-0001").record
    assert blob_keys(replace(record, request=request_)) == blob_keys(replace(record, request={}))


@pytest.mark.parametrize("missing", INPUTS)
async def test_a_record_is_not_stored_without_them(
    new_call: NewCall, blobs: Blobs, missing: str
) -> None:
    call = an_edit(new_call)
    for key, data in INPUTS.items():
        if key != missing:
            await blobs.put_bytes(data, key)
    with pytest.raises(StorageError, match="not stored") as caught:
        await store(call.record, call.lines, blobs=blobs, files=call.files)
    assert caught.value.facts == {"key": missing}
    await blobs.put_bytes(INPUTS[missing], missing)
    record, _ = await store(call.record, call.lines, blobs=blobs, files=call.files)
    assert record == call.record


async def test_rebuild_knows_them(new_call: NewCall, blobs: Blobs, tmp_path: Path) -> None:
    call = an_edit(new_call)
    files = dict(call.files)
    for number, (key, data) in enumerate(INPUTS.items()):
        files[key] = tmp_path / f"input-{number}"
        files[key].write_bytes(data)
    await keep(call.record, call.lines, blobs=blobs, books=MemoryBooks(), files=files)
    books = MemoryBooks()
    report = await rebuild(blobs, books)
    assert (report.damaged, report.unclaimed, report.intact) == ((), (), len(files))
    assert await books.find("rec-0001") == call.record


async def test_verify_holds_them_against_their_names(
    new_call: NewCall, blobs: Blobs, tmp_path: Path
) -> None:
    call = an_edit(new_call)
    for key, data in INPUTS.items():
        await blobs.put_bytes(data, key)
    await store(call.record, call.lines, blobs=blobs, files=call.files)

    async def no_picture(path: Path) -> str | None:
        # only what the call made is looked into; the input images of this test are no pictures
        data = await asyncio.to_thread(path.read_bytes)
        return "no picture" if data in INPUTS.values() else None

    checks = {check.key: check for check in await verify([call.record], blobs, no_picture)}
    assert set(checks) == {*call.files, *INPUTS}
    assert {check.condition for check in checks.values()} == {Condition.INTACT}

    root = tmp_path / "originals"
    (root / HAT).chmod(0o600)
    (root / HAT).write_bytes(b"another hat")
    (root / MASK).unlink()
    checks = {check.key: check for check in await verify([call.record], blobs, no_picture)}
    wrong = {key: check.condition for key, check in checks.items() if check.reason}
    assert wrong == {HAT: Condition.DAMAGED, MASK: Condition.MISSING}


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "A B", "", ".."])
async def test_a_key_that_leaves_the_folder_is_no_file(
    new_call: NewCall, blobs: Blobs, key: str
) -> None:
    call = new_call("rec-0001")
    record = replace(call.record, request={"references": [{"key": key}]})
    with pytest.raises(StorageError):
        await store(record, call.lines, blobs=blobs, files=call.files)
    (check,) = [c for c in await verify([record], blobs, _intact) if c.key == key]
    assert check.condition is not Condition.INTACT


async def _intact(_path: Path) -> None:
    return None

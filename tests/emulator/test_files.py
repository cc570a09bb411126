"""The file store, with a clock of its own."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from heliograph.emulator.envelope import ApiError
from heliograph.emulator.files import FileStore, StoredFile, Upload

GRANULE = 256 * 1024


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[FileStore]:
    store = FileStore(1, clock)
    yield store
    store.close()


def begin(store: FileStore, declared: int | None = None, **meta: str) -> Upload:
    return store.start(meta, project="p", mime="image/png", declared=declared, base="http://h/v1")


def put(store: FileStore, data: bytes) -> StoredFile:
    upload = begin(store, len(data))
    upload.add(data, 0, last=True)
    return store.finish(upload)


def note(work: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ApiError) as caught:
        work(*args, **kwargs)
    return caught.value.note


def test_chunks_become_a_file(store: FileStore) -> None:
    data = bytes(range(256)) * 1024 * 2 + b"tail"
    upload = begin(store, len(data), display_name="dn")
    upload.add(data[:GRANULE], 0, last=False)
    upload.add(data[GRANULE:], GRANULE, last=True)
    stored = store.finish(upload)
    assert store.read_uri(stored.sheet("http://h/v1")["uri"], "p") == (data, "image/png")
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    sheet = stored.sheet("http://h/v1")
    assert sheet["sizeBytes"] == str(len(data))
    assert sheet["displayName"] == "dn"
    assert (sheet["state"], sheet["source"]) == ("ACTIVE", "UPLOADED")


def test_chunks_must_be_in_order_whole_and_as_long_as_declared(store: FileStore) -> None:
    upload = begin(store, 100)
    assert "multiple" in note(upload.add, b"short", 0, last=False)
    assert "offset" in note(upload.add, b"late", 50, last=True)
    assert "declared" in note(upload.add, b"x" * 101, 0, last=True)
    upload.add(b"x" * 99, 0, last=True)
    assert "99 of 100" in note(store.finish, upload)


def test_files_expire_after_48_hours(store: FileStore, clock: Clock) -> None:
    stored = put(store, b"abc")
    clock.now += 48 * 3600 - 1
    assert store.get(stored.id, "p") == stored
    clock.now += 1
    with pytest.raises(ApiError, match="You do not have permission to access the File"):
        store.get(stored.id, "p")
    assert store.listed("p") == []
    assert not stored.path.exists()


def test_a_file_belongs_to_its_project(store: FileStore) -> None:
    stored = put(store, b"abc")
    with pytest.raises(ApiError) as caught:
        store.get(stored.id, "q")
    assert caught.value.code == 403
    assert store.listed("q") == []


def test_names_are_checked(store: FileStore) -> None:
    begin(store, name="files/my-file-1")
    assert "not a file id" in note(begin, store, name="files/-bad")
    assert "not a file id" in note(begin, store, name="files/" + "a" * 41)
    assert "512" in note(begin, store, display_name="x" * 513)


def test_foreign_urls_are_refused(store: FileStore) -> None:
    with pytest.raises(ApiError, match="Cannot fetch content"):
        store.read_uri("https://example.org/a.png", "p")


def test_the_folder_goes_with_the_store() -> None:
    store = FileStore(int(time.time()))
    stored = put(store, b"abc")
    assert stored.path.exists()
    store.close()
    assert not stored.path.parent.exists()


def test_what_nothing_looks_at_is_not_read(store: FileStore) -> None:
    upload = store.start({}, project="p", mime="video/mp4", declared=None, base="http://h/v1")
    upload.add(b"film", None, last=True)
    stored = store.finish(upload)
    assert store.read_uri(stored.sheet("http://h/v1")["uri"], "p") == (b"", "video/mp4")


def test_a_repeated_chunk_is_written_once(store: FileStore) -> None:
    chunk = bytes(GRANULE * 8)
    upload = begin(store, len(chunk))

    def add(_: int) -> bool:
        try:
            upload.add(chunk, 0, last=True)
        except ApiError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(add, range(8))) == [False] * 7 + [True]
    assert store.finish(upload).path.stat().st_size == len(chunk)


def test_an_upload_ends_once(store: FileStore) -> None:
    upload = begin(store, 0)
    store.finish(upload)
    assert "upload_id" in note(store.finish, upload)
    store.cancel(upload)


def test_of_two_uploads_of_one_name_the_first_to_end_wins(store: FileStore) -> None:
    one, two = begin(store, 0, name="files/same"), begin(store, 0, name="files/same")
    store.finish(one)
    with pytest.raises(ApiError, match="already exists"):
        store.finish(two)

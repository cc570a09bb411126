"""Uploaded files: how long they stay, how much there may be, and lists of them."""

import base64
import hashlib
import io
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from google import genai
from hypothesis import given
from hypothesis import strategies as st
from tests.server.abuse.conftest import attacked
from tests.server.gemini.conftest import Clients, Plain, picture

from heliograph.server.faults import Fault
from heliograph.server.gemini import files as files_module
from heliograph.server.gemini.files import LIFETIME, SWEEP_AFTER, FileStore, StoredFile
from heliograph.server.gemini.uploads import _page
from heliograph.server.health import LEAST_FREE

USER, OTHER = "0" * 32, "1" * 32


def uploaded(store: FileStore, user: str = USER, **meta: Any) -> str:
    upload_id = store.start(user, meta, media_type="image/png", declared=3, base="http://g/v1")
    upload = store.upload(upload_id)
    upload.path.write_bytes(b"abc")
    return store.finish(upload).id


def test_files_outlive_the_process_and_end_after_48_hours(tmp_path: Path) -> None:
    now = [1000.0]
    store = FileStore(tmp_path, lambda: now[0])
    name = uploaded(store, displayName="dn")
    again = FileStore(tmp_path, lambda: now[0])
    sheet = again.get(USER, name).sheet("http://g/v1")
    assert (sheet["displayName"], sheet["sizeBytes"], sheet["state"]) == ("dn", "3", "ACTIVE")
    assert base64.b64decode(sheet["sha256Hash"]).decode() == hashlib.sha256(b"abc").hexdigest()
    now[0] += LIFETIME
    assert again.listed(USER) == []
    with pytest.raises(Fault):
        again.get(USER, name)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_id_of_an_upload_is_not_on_disk(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    upload_id = store.start(USER, {}, media_type="", declared=None, base="b")
    names = " ".join(str(path) for path in tmp_path.rglob("*"))
    texts = " ".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert upload_id not in names + texts


def test_one_user_cannot_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.server.gemini.files.USER_LIMIT", 5)
    store = FileStore(tmp_path)
    uploaded(store)
    with pytest.raises(Fault) as caught:
        uploaded(store)
    assert caught.value.status == 503
    uploaded(store, user="1" * 32)


def test_a_lent_file_outlives_its_deletion(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "files")
    name = uploaded(store)
    _, path = store.lend(USER, name, tmp_path)
    store.delete(USER, name)
    assert path.read_bytes() == b"abc"


def begun(store: FileStore, user: str = USER, declared: int | None = 3) -> str:
    return store.start(user, {}, media_type="image/png", declared=declared, base="b")


def test_open_uploads_count_with_all_they_may_become(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "USER_LIMIT", 10)
    store = FileStore(tmp_path)
    first = begun(store, declared=7)
    with pytest.raises(Fault) as caught:
        begun(store, declared=4)
    assert (caught.value.status, caught.value.code) == (503, "storage_low")
    begun(store, OTHER, declared=10)
    # its own open upload is not in the way of the file that it becomes
    upload = store.upload(first)
    upload.path.write_bytes(b"1234567")
    store.finish(upload)
    last = begun(store, declared=3)
    with pytest.raises(Fault):
        begun(store, declared=1)
    store.cancel(store.upload(last))
    begun(store, declared=3)


def test_an_upload_of_unknown_size_counts_as_the_largest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "FILE_LIMIT", 8)
    monkeypatch.setattr(files_module, "USER_LIMIT", 10)
    store = FileStore(tmp_path)
    begun(store, declared=None)
    with pytest.raises(Fault):
        begun(store, declared=3)
    begun(store, declared=2)


def test_uploads_that_nobody_finished_do_not_count_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "USER_LIMIT", 10)
    now = [time.time()]
    store = FileStore(tmp_path, lambda: now[0])
    begun(store, declared=10)
    now[0] += LIFETIME
    begun(store, declared=10)
    assert len(list(tmp_path.glob("uploads/*.json"))) == 1


def test_what_expired_goes_though_its_user_does_not_come_back(tmp_path: Path) -> None:
    now = [time.time()]
    store = FileStore(tmp_path, lambda: now[0])
    uploaded(store)
    begun(store)
    now[0] += 2 * SWEEP_AFTER
    kept = uploaded(store, user=OTHER)
    now[0] += LIFETIME - SWEEP_AFTER
    # by the one that took them, and by one of a later process
    for each in (store, FileStore(tmp_path, lambda: now[0])):
        each.sweep()
        assert list((tmp_path / "files" / USER).iterdir()) == []
        assert list((tmp_path / "uploads").iterdir()) == []
        assert each.get(OTHER, kept).size == 3


def test_what_a_dead_process_left_of_files_goes(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    kept = uploaded(store)
    folder = tmp_path / "files" / USER
    for name, age in (("old", LIFETIME + 10), ("new", 0.0), (".old", LIFETIME + 10)):
        (folder / name).write_bytes(b"a")
        os.utime(folder / name, (time.time() - age,) * 2)
    # its bytes came long before it was finished
    os.utime(store.get(USER, kept).path, (time.time() - 2 * LIFETIME,) * 2)
    FileStore(tmp_path).sweep()
    left = {path.name for path in folder.iterdir()}
    assert {"old", ".old"} & left == set()
    assert "new" in left
    assert store.get(USER, kept).id == kept
    assert len(left) == 3


async def test_a_disk_that_is_nearly_full_takes_no_uploads(
    emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    async with attacked(tmp_path / "home", emulator) as house:

        async def begin(**headers: str) -> tuple[int, str]:
            answer = await house.send(
                "anna", "POST", "/upload/v1/files", json={"file": {}}, headers={**start, **headers}
            )
            return answer.status, "" if answer.status == 200 else answer.code

        size = {"x-goog-upload-header-content-length": "3"}
        assert await begin(**size) == (200, "")
        usage = shutil.disk_usage(tmp_path)._replace(free=LEAST_FREE - 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        assert await begin(**size) == (503, "storage_low")
        assert await begin() == (503, "storage_low")
        assert len(list((tmp_path / "home").glob("server/uploaded/uploads/*.json"))) == 1


# ---------------------------------------------------------------- lists


def test_a_loop_that_deletes_what_it_lists_misses_nothing(clients: Clients) -> None:
    client: genai.Client = clients("ben")
    for number in range(7):
        config = {"mime_type": "image/png", "display_name": f"f{number}"}
        client.files.upload(file=_picture(), config=config)  # type: ignore[arg-type]
    for file in client.files.list(config={"page_size": 2}):
        client.files.delete(name=file.name or "")
    assert list(client.files.list()) == []


def _picture() -> io.BytesIO:
    return io.BytesIO(picture())


@given(
    moments=st.lists(st.sampled_from([1.5, 2.0, 1e9 + 0.1]) | st.floats(0, 2e9), max_size=9),
    size=st.integers(1, 4),
    data=st.data(),
)
def test_pages_hold_every_file_once_whatever_comes_and_goes(
    moments: list[float], size: int, data: st.DataObject
) -> None:
    files = [_file(f"f{n}", moment) for n, moment in enumerate(moments)]
    there = sorted(files, key=lambda file: (-file.created, file.id))
    shown: list[str] = []
    gone: set[str] = set()
    query = {"pageSize": str(size)}
    while True:
        rows, more = _page(there, query)
        assert len(rows) <= size
        assert bool(more) == (bool(rows) and rows[-1] is not there[-1])
        shown += [row.id for row in rows]
        assert len(shown) == len(set(shown))
        if not more:
            break
        for file in data.draw(st.lists(st.sampled_from(there), unique_by=id)):
            there.remove(file)
            gone.add(file.id)
        query["pageToken"] = more["nextPageToken"]
        if not there:
            break
    assert {file.id for file in files} - gone <= set(shown)


def _file(file_id: str, created: float) -> StoredFile:
    return StoredFile(
        id=file_id,
        user=USER,
        display_name="",
        media_type="image/png",
        size=1,
        sha256="0" * 64,
        created=created,
        path=Path("x"),
    )


@pytest.mark.parametrize("token", ["!", "b2Zmc2V0OjU=", "ZmlsZTplOmE=", "ZmlsZToxOkE="])
def test_a_token_that_is_none_is_refused(plain: Plain, token: str) -> None:
    answer = plain.get(f"/v1/files?pageToken={token}")
    assert (answer.status, answer.error["message"]) == (400, "Invalid page token.")

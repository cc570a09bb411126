"""What every implementation of the `Blobs` port must do."""

import asyncio
import hashlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from obstore.store import LocalStore, MemoryStore

from heliograph.errors import RecordNotFound, StorageError
from heliograph.ports import Blobs
from heliograph.storage import LocalBlobs, ObjectBlobs, blob_key, blobs_at

Build = Callable[[Path], Blobs]
IMPLEMENTATIONS: dict[str, Build] = {
    "local": LocalBlobs,
    "object-memory": lambda _: ObjectBlobs(MemoryStore()),
    "object-local": lambda folder: ObjectBlobs(LocalStore(folder, mkdir=True)),
}
DATA = bytes(range(256)) * 5000
KEY = blob_key(hashlib.sha256(DATA).hexdigest(), ".jpg")
BAD_KEYS = (
    "",
    "/etc/passwd",
    "../up",
    "a/../b",
    "a//b",
    "a/",
    "a\\b",
    "a\0b",
    "A.jpg",
    "a b",
    ".hidden",
    "a/.incoming",
    "ä",
    "a:b",
    "a\n",
)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a real S3 server with an empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    made = urllib.request.Request(f"{address}/pictures", method="PUT")  # noqa: S310
    for attempt in range(600):
        try:
            urllib.request.urlopen(made).close()  # noqa: S310
            break
        except OSError:
            assert attempt < 599, "the S3 server does not come up"
            time.sleep(0.1)
    yield address
    server.kill()
    server.wait()


@pytest.fixture(params=[*IMPLEMENTATIONS, "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    if request.param != "s3":
        return IMPLEMENTATIONS[request.param](tmp_path / "store")
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3"))
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    return blobs_at(f"s3://pictures/{uuid4().hex}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "spooled"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    path = tmp_path / "scratch"
    path.mkdir()
    return path


def bytes_at(path: Path) -> bytes:
    return path.read_bytes()


def replace(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"another file of the same name")


async def test_reads_back_a_stored_file(blobs: Blobs, file: Path) -> None:
    await blobs.put(file, KEY)
    assert await blobs.read(KEY) == DATA


async def test_the_given_file_may_be_removed_or_replaced(blobs: Blobs, file: Path) -> None:
    await blobs.put(file, KEY)
    assert bytes_at(file) == DATA
    replace(file)
    assert await blobs.read(KEY) == DATA


async def test_reads_back_stored_bytes(blobs: Blobs) -> None:
    await blobs.put_bytes(b"{}", "records/r1.json")
    assert await blobs.read("records/r1.json") == b"{}"


async def test_stores_nothing_as_nothing(blobs: Blobs) -> None:
    await blobs.put_bytes(b"", "records/empty.json")
    assert await blobs.read("records/empty.json") == b""


async def test_leaves_an_existing_key_as_it_is(blobs: Blobs, file: Path) -> None:
    assert await blobs.put_bytes(b"first", "records/r1.json")
    assert not await blobs.put_bytes(b"second", "records/r1.json")
    await blobs.put(file, "records/r1.json")
    assert await blobs.read("records/r1.json") == b"first"


async def test_stores_all_of_an_answer(blobs: Blobs, file: Path) -> None:
    await blobs.put_bytes(b"first", "records/r1.json")
    await blobs.put_all({KEY: file, "records/r1.json": b"second", "answers/r1.json": b"{}"})
    assert await blobs.keys("") == ["answers/r1.json", "records/r1.json", KEY]
    assert await blobs.read(KEY) == DATA
    assert await blobs.read("answers/r1.json") == b"{}"
    assert await blobs.read("records/r1.json") == b"first"


async def test_many_writers_of_one_key_all_succeed(blobs: Blobs, file: Path) -> None:
    await asyncio.gather(*(blobs.put(file, KEY) for _ in range(20)))
    assert await blobs.read(KEY) == DATA
    assert await blobs.keys("") == [KEY]


async def test_one_of_many_writers_is_the_first(blobs: Blobs) -> None:
    told = await asyncio.gather(*(blobs.put_bytes(DATA, KEY) for _ in range(20)))
    assert sum(told) == 1


async def test_a_missing_key_is_not_found(blobs: Blobs, scratch: Path) -> None:
    with pytest.raises(RecordNotFound):
        await blobs.read("sha256/ab/missing.jpg")
    with pytest.raises(RecordNotFound):
        await blobs.local("sha256/ab/missing.jpg", scratch)


async def test_a_missing_file_is_a_storage_error(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        await blobs.put(tmp_path / "never-written", "sha256/ab/abc.jpg")
    assert await blobs.keys("") == []


async def test_local_gives_a_file_with_the_bytes(blobs: Blobs, file: Path, scratch: Path) -> None:
    await blobs.put(file, KEY)
    path = await blobs.local(KEY, scratch)
    assert bytes_at(path) == DATA
    assert path.suffix == ".jpg"
    assert await blobs.local(KEY, scratch) == path


async def test_lists_keys_by_any_prefix_sorted(blobs: Blobs) -> None:
    keys = ["records/r2.json", "records/r1.json", "sha256/ab/ab1.jpg", "sha256/ab/ab1.r1.json"]
    for key in [*keys, "sha256/ac/ac1.jpg"]:
        await blobs.put_bytes(b"x", key)
    assert await blobs.keys("records/") == ["records/r1.json", "records/r2.json"]
    assert await blobs.keys("sha256/ab/ab1.") == ["sha256/ab/ab1.jpg", "sha256/ab/ab1.r1.json"]
    assert await blobs.keys("sha256/a") == [
        "sha256/ab/ab1.jpg",
        "sha256/ab/ab1.r1.json",
        "sha256/ac/ac1.jpg",
    ]
    assert await blobs.keys("rec") == ["records/r1.json", "records/r2.json"]
    assert len(await blobs.keys("")) == 5
    assert await blobs.keys("nothing/here") == []


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_refuses_keys_that_could_leave_the_store(
    blobs: Blobs, key: str, file: Path, scratch: Path
) -> None:
    with pytest.raises(StorageError, match="no valid blob key"):
        await blobs.put(file, key)
    with pytest.raises(StorageError, match="no valid blob key"):
        await blobs.put_bytes(b"x", key)
    with pytest.raises(StorageError, match="no valid blob key"):
        await blobs.read(key)
    with pytest.raises(StorageError, match="no valid blob key"):
        await blobs.local(key, scratch)

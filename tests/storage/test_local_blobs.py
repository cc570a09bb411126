"""`LocalBlobs` beyond the contract: kills, full disks, forbidden folders, leftovers."""

import asyncio
import errno
import hashlib
import os
import random
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.errors import StorageError
from heliograph.storage import LocalBlobs
from heliograph.storage.refused import os_refused

PUT_FOREVER = Path(__file__).with_name("put_forever.py")
KILLS = 12


def _put(root: Path, data: bytes, key: str = "sha256/ab/abc.jpg") -> None:
    asyncio.run(LocalBlobs(root).put_bytes(data, key))


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_kept_files_are_read_only_and_only_for_their_owner(tmp_path: Path) -> None:
    _put(tmp_path, b"x")
    (file,) = _files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o400


def test_killed_at_any_moment_every_visible_key_is_whole(tmp_path: Path) -> None:
    root = tmp_path / "store"
    promised: list[str] = []
    chance = random.Random(7)
    for _ in range(KILLS):
        arguments = [sys.executable, str(PUT_FOREVER), str(root), str(tmp_path / "spooled")]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            promised.append(child.stdout.readline().strip())
            time.sleep(chance.uniform(0, 0.1))
            child.kill()
            promised += [line.strip() for line in child.stdout if line.endswith("\n")]
    visible = asyncio.run(LocalBlobs(root).keys(""))
    assert set(promised) <= set(visible)
    for key in visible:
        digest = hashlib.sha256((root / key).read_bytes()).hexdigest()
        assert digest == Path(key).stem


def test_a_file_beyond_the_size_limit_is_refused_whole(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match="Free some disk space") as caught:
            _put(tmp_path, bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.facts == {"errno": "EFBIG"}
    assert _files(tmp_path) == []
    _put(tmp_path, bytes(200_000))  # space was made: the same step succeeds
    assert len(_files(tmp_path)) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_refused_and_leaves_nothing(small_disk: Path) -> None:
    _put(small_disk, bytes(100_000), "sha256/ab/first.jpg")
    with pytest.raises(StorageError, match="Free some disk space") as caught:
        _put(small_disk, bytes(400_000), "sha256/ab/second.jpg")
    assert caught.value.facts == {"errno": "ENOSPC"}
    assert [path.name for path in _files(small_disk)] == ["first.jpg"]


def test_a_forbidden_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    if os.geteuid() == 0:  # root may write anywhere, so step down for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(StorageError, match="write access") as caught:
            _put(tmp_path / "store", b"x")
    finally:
        os.seteuid(os.getuid())
        tmp_path.chmod(0o700)
    assert caught.value.facts == {"errno": "EACCES"}


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sha256").write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        _put(tmp_path, b"x")
    assert caught.value.facts["errno"] in {"ENOTDIR", "EEXIST"}


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "disk space"),
        (errno.EDQUOT, "disk space"),
        (errno.EACCES, "write access"),
        (errno.EROFS, "write access"),
        (errno.EMFILE, "open files"),
        (errno.EIO, "Check the disk"),
    ],
)
def test_each_refusal_names_its_way_out(number: int, hint: str) -> None:
    error = os_refused("It failed.", OSError(number, os.strerror(number), "/secret/place"))
    assert hint in (error.remedy or "")
    assert "/secret" not in error.what
    assert error.facts == {"errno": errno.errorcode[number]}


def test_sweeps_only_what_no_living_writer_holds(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    blobs.sweep()  # nothing there yet
    _put(tmp_path, b"x")
    aside, spooled = tmp_path / ".incoming", tmp_path / "spooled"
    (aside / "half").write_bytes(b"half a pict")
    spooled.write_bytes(b"a whole answer of last week")
    week_ago = time.time() - 7 * 24 * 3600
    os.utime(spooled, (week_ago, week_ago))
    os.link(spooled, aside / "linked")  # just now, by another process
    blobs.sweep()
    assert {path.name for path in _files(aside)} == {"half", "linked"}
    blobs.sweep(now=time.time() + 590)
    assert {path.name for path in _files(aside)} == {"half", "linked"}
    blobs.sweep(now=time.time() + 610)
    assert {path.name for path in _files(tmp_path)} == {"spooled", "abc.jpg"}

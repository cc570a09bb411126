"""Opening the data folder: what is made, what is refused, what it costs."""

import asyncio
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.contract.test_accounts import a_user
from tests.contract.test_jobs import a_job

from heliograph.errors import ConfigurationError, HeliographError, StorageError
from heliograph.storage import LocalBlobs, ObjectBlobs, blobs_at, keep, open_storage
from heliograph.storage.engine import connect

NewCall = Callable[..., Any]  # the fixture in conftest.py

HEAVY = ("sqlalchemy", "alembic", "obstore", "psycopg", "pyvips", "aiohttp")
IMPORT = "import sys; import heliograph.storage; sys.stdout.write(' '.join(sys.modules))"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_makes_its_folders_for_the_owner_only(tmp_path: Path) -> None:
    root = tmp_path / "new" / "data? 100% #1"  # characters that mean something in a URL
    storage = open_storage(root)
    assert storage.spool == root / "spool"
    assert [mode(path) for path in (root, root / "spool", root / "originals")] == [0o700] * 3
    assert await storage.books.recent(limit=1) == ()
    await storage.close()
    assert mode(root / "heliograph.db")


async def test_opens_again_what_was_kept(tmp_path: Path, new_call: NewCall) -> None:
    call = new_call("rec-0001")
    for _ in range(2):
        storage = open_storage(tmp_path / "data")
        await keep(
            call.record, call.lines, blobs=storage.blobs, books=storage.books, files=call.files
        )
        await storage.close()
    storage = open_storage(tmp_path / "data")
    assert await storage.books.find("rec-0001") == call.record
    await storage.close()


async def test_users_and_jobs_are_in_the_same_database(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "data")
    await storage.accounts.add_user(a_user())
    assert await storage.jobs.submit(a_job()) is None
    await storage.close()
    storage = open_storage(tmp_path / "data")
    assert await storage.accounts.users() == (a_user(),)
    assert await storage.jobs.jobs(limit=9) == (a_job(),)
    await storage.close()


async def test_other_places_for_files_and_database(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    storage = open_storage(tmp_path / "data", database_url=database, blobs_url="memory:")
    await storage.close()
    assert isinstance(storage.blobs, ObjectBlobs)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"spool"}


def test_blobs_are_where_their_address_says(tmp_path: Path) -> None:
    assert isinstance(blobs_at(tmp_path / "a"), LocalBlobs)
    assert isinstance(blobs_at(str(tmp_path / "b")), LocalBlobs)
    assert isinstance(blobs_at("memory:"), ObjectBlobs)
    assert isinstance(blobs_at("s3://bucket/prefix"), ObjectBlobs)
    azure = "abfss://container@account.dfs.core.windows.net/prefix"
    assert isinstance(blobs_at(azure), ObjectBlobs)
    with pytest.raises(ConfigurationError, match="Account must be specified"):
        blobs_at("az://container/prefix")


@pytest.mark.parametrize("url", ["ftp://host/x", "https://host/x", "s3://", "file:///x"])
def test_other_addresses_for_files_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="address for image files"):
        blobs_at(url)


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://host/x", "sqlite://", "sqlite:///:memory:", "postgres://h:port/x"],
)
def test_other_addresses_for_the_database_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="database address"):
        connect(url)


def test_a_password_never_reaches_an_error() -> None:
    with pytest.raises(HeliographError) as caught:
        open_storage(Path("/tmp"), database_url="postgresql://me:hunter2@127.0.0.1:1/x")  # noqa: S108
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__cause__)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(StorageError, match="data folder"):
        open_storage(tmp_path / "data")


def test_importing_storage_loads_nothing_heavy() -> None:
    arguments = [sys.executable, "-c", IMPORT]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint(HEAVY)


def test_speed_is_printed(
    tmp_path: Path, new_call: NewCall, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = 40

    async def measure() -> dict[str, float]:
        storage = open_storage(tmp_path / "data")
        calls = [new_call(f"rec-{number:04}") for number in range(rounds)]
        clock = [time.perf_counter()]
        for call in calls:
            await storage.books.keep(call.record, call.lines)
        clock.append(time.perf_counter())
        for call in calls:
            await keep(
                call.record, call.lines, blobs=storage.blobs, books=storage.books, files=call.files
            )
        clock.append(time.perf_counter())
        await storage.books.recent(limit=rounds)
        clock.append(time.perf_counter())
        await storage.close()
        clock.append(time.perf_counter())
        await open_storage(tmp_path / "data").close()
        clock.append(time.perf_counter())
        names = ("commit", "keep, 6 files", "recent, a record", "close", "open and close")
        counts = (rounds, rounds, rounds, 1, 1)
        spans = [after - before for before, after in pairwise(clock)]
        return {n: 1000 * s / c for n, s, c in zip(names, spans, counts, strict=True)}

    measured = asyncio.run(measure())
    with capsys.disabled():
        print("\n" + ", ".join(f"{name}: {ms:.2f} ms" for name, ms in measured.items()))

"""Probes: alive is not ready; and a full disk keeps paid calls out."""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tests.server.waiting import HANG

from heliograph import AsyncHeliograph
from heliograph.errors import StorageError
from heliograph.server import health
from heliograph.server.faults import StorageLow, verdict
from heliograph.server.health import (
    LEAST_FREE,
    Health,
    expected_bytes,
    needed_space,
    refuse_low_disk,
)


class Stand:
    """As much of a gateway as probes look at."""

    def __init__(self, client: AsyncHeliograph) -> None:
        self.client = client
        self.is_draining = False


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that is only slow on a busy machine is waited for."""
    monkeypatch.setattr(health, "CHECK_SECONDS", HANG)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with AsyncHeliograph(home=tmp_path / "home", simulate=True) as client:
        await client.store()
        yield Stand(client)


async def test_a_sound_gateway_is_ready(stand: Stand) -> None:
    found = await Health(stand).readiness()
    assert found.checks == {"running": "ok", "database": "ok", "blobs": "ok", "disk": "ok"}
    assert found.is_ready


async def test_draining_is_seen_at_once(stand: Stand) -> None:
    probes = Health(stand)
    assert (await probes.readiness()).is_ready
    stand.is_draining = True
    found = await probes.readiness()
    assert not found.is_ready
    assert found.checks["running"] == "stopping"


async def test_a_database_that_refuses_is_named(stand: Stand, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "home" / "heliograph.db") as database:
        database.execute("DROP TABLE budgets")
    found = await Health(stand).readiness()
    assert not found.is_ready
    assert found.checks["database"] == "refuses"
    assert found.checks["blobs"] == "ok"


async def test_a_check_that_hangs_is_not_waited_for(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.2)
    path = stand.client.settings.home / "heliograph.db"
    lock = sqlite3.connect(path, isolation_level=None)
    # WAL lets readers pass every writer; this mode alone keeps them out
    await (await stand.client.store()).books.close()
    lock.execute("PRAGMA journal_mode=DELETE")
    lock.execute("BEGIN EXCLUSIVE")
    async with AsyncHeliograph(home=path.parent, simulate=True) as second:
        slow = Stand(second)
        found = await Health(slow).readiness()
        assert found.checks["database"] == "slow"
        lock.execute("ROLLBACK")
    lock.close()


async def test_a_disk_that_is_full_or_cannot_be_written(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, LEAST_FREE - 1))
        assert (await Health(stand).readiness()).checks["disk"] == "low"
    shutil.rmtree(stand.client.settings.home / "spool")
    assert (await Health(stand).readiness()).checks["disk"] == "refuses"


def test_probes_over_http(tmp_path: Path) -> None:
    client = AsyncHeliograph(home=tmp_path / "home", simulate=True)
    stand = Stand(client)
    with TestClient(Starlette(routes=Health(stand).routes())) as web:
        assert web.get("/healthz").text == "ok\n"
        ready = web.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["ready"] is True
        stand.is_draining = True
        stopping = web.get("/readyz")
        assert stopping.status_code == 503
        assert stopping.json()["checks"]["running"] == "stopping"
        assert web.get("/healthz").status_code == 200
        assert str(tmp_path) not in stopping.text


# ------------------------------------------------------------ the disk guard


@given(st.integers(0, 10**12))
def test_three_times_what_may_come_and_never_less_than_2_gb(expected: int) -> None:
    assert needed_space(expected) == max(2 * 10**9, 3 * expected)


def test_a_size_that_nobody_knows_counts_as_the_largest() -> None:
    sizes = [expected_bytes(size) for size in ("512", "1K", "2K", "4K")]
    assert sizes == sorted(sizes)
    assert expected_bytes("8K") == sizes[-1]
    assert expected_bytes(None) == expected_bytes("1K")  # models that have one size


async def test_the_guard_refuses_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = 100 * expected_bytes("4K")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 3 * answers))
    await refuse_low_disk(tmp_path, answers)
    with pytest.raises(StorageLow) as caught:
        await refuse_low_disk(tmp_path, answers + 1)
    found = verdict(caught.value)
    assert (found.status, found.code) == (503, "storage_low")
    assert found.headers["retry-after"] == "60"
    assert str(tmp_path) not in str(caught.value)


async def test_a_disk_that_cannot_be_asked_takes_no_call(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nothing was sent"):
        await refuse_low_disk(tmp_path / "gone", 0)

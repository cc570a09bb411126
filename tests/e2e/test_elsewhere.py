"""An answer for which the library's disk has no room lies elsewhere, and is taken in from there."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.conftest import Bill, Emulated

from heliograph import AsyncHeliograph
from heliograph.errors import Charged, OutcomeUnknown, StorageError
from heliograph.journal import Stage
from heliograph.killpoints import armed
from heliograph.types import Outcome


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def client(emulated: Emulated, project: str) -> dict[str, object]:
    return {"base_url": emulated.url, "api_key": f"emu-project-{project}"}


@pytest.fixture
def rescues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files, as far as this test is concerned."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def within(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def full(home: Path, *, from_then_on: bool) -> Callable[[str], None]:
    """The disk takes no more when an answer has begun: not its body, and no picture either."""

    def at(point: str) -> None:
        if point != "headers":
            return
        for head in (home / "spool").glob("*/attempt-*/head.json"):
            head.with_name("body.raw").symlink_to(home / "nowhere" / "at all")
        if from_then_on:
            (home / "originals").rename(home / "before")
            (home / "originals").write_bytes(b"")

    return at


async def test_the_next_process_takes_it_in_from_where_it_lies(
    client: dict[str, object], home: Path, rescues: Path, bill: Bill
) -> None:
    async with AsyncHeliograph(**client) as helio:  # type: ignore[arg-type]
        first = await helio.generate("A hare", size="1K")
        with armed(full(home, from_then_on=True)), pytest.raises(StorageError) as caught:
            await helio.generate("A fox", size="1K", idempotency_key="k")
        (call,) = [call for call in await helio.calls() if call.job != first.record.id]
    (lies,) = within(rescues)
    assert caught.value.charged is Charged.YES
    assert str(lies) in str(caught.value.remedy)
    assert caught.value.facts["spool"] == str(lies)
    assert (lies / "body.raw").stat().st_size > 0
    assert call.stage is Stage.RECEIVED

    (home / "originals").unlink()
    (home / "before").rename(home / "originals")
    async with AsyncHeliograph(**client) as again:  # type: ignore[arg-type]
        made = await again.generate("A fox", size="1K", idempotency_key="k")
        assert await again.audit() == ()
    assert made.source == "replay"
    assert made.record.outcome is Outcome.KEPT
    assert first.record.cost + made.record.cost == bill.micro
    assert len(bill.lines) == 2
    assert within(rescues) == []
    assert within(home / "spool") == []


async def test_nothing_lies_elsewhere_any_more_once_it_is_kept(
    client: dict[str, object], home: Path, rescues: Path
) -> None:
    async with AsyncHeliograph(**client) as helio:  # type: ignore[arg-type]
        with armed(full(home, from_then_on=False)):
            made = await helio.generate("A fox", size="1K")
    assert made.record.outcome is Outcome.KEPT
    assert within(rescues) == []


async def test_what_arrived_of_an_unknown_outcome_goes_to_quarantine_from_there(
    client: dict[str, object], home: Path, rescues: Path
) -> None:
    async with AsyncHeliograph(**client) as helio:  # type: ignore[arg-type]
        with armed(full(home, from_then_on=False)), pytest.raises(OutcomeUnknown) as caught:
            await helio.generate("A fox [[fault:cut-json]]", size="1K")
    kept = list((home / "quarantine" / str(caught.value.record_id)).glob("*-body.raw"))
    assert [path for path in kept if path.stat().st_size > 0]
    assert within(rescues) == []


async def test_a_stray_that_another_process_puts_aside_is_left_to_it(
    client: dict[str, object], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncHeliograph(**client) as helio:  # type: ignore[arg-type]
        stray, theirs = home / "spool" / f"{'7' * 32}-1", tmp_path / "theirs"
        stray.mkdir()
        for name in ("body.raw", "part-000"):
            (stray / name).write_bytes(b"paid for")
        os.utime(stray, (0, 0))
        rename = Path.rename

        def after_them(path: Path, target: Path) -> Path:
            if path.parent == stray:
                theirs.mkdir(exist_ok=True)
                rename(path, theirs / path.name)
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", after_them)
        await helio.recover()
        assert len(within(theirs)) == 1
        assert len(within(stray)) == 1, "the other process has not come to it yet"
        monkeypatch.setattr(Path, "rename", rename)
        os.utime(stray, (0, 0))
        await helio.recover()
    assert not stray.exists()
    assert len(within(home / "quarantine" / ("7" * 32))) == 1

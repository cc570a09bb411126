"""The pool: nothing hangs, nothing is mixed up, nothing is left behind."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from tests.imaging.pictures import bytes_of, encoded, natural, saved
from tests.server.waiting import until

from heliograph.errors import FinishError, StorageError
from heliograph.imaging import VipsImager
from heliograph.ports import AreaShape, Cell
from heliograph.types import ExportSpec, Pixels

FAKE = Path(__file__).with_name("fake_worker.py")
AREA = AreaShape(region=(1, 1, 9, 9))
SPEC = ExportSpec(name="export", pixels=Pixels(20, 20))


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    with contextlib.suppress(psutil.NoSuchProcess):
        return [c for c in found if c.status() != psutil.STATUS_ZOMBIE and _is_worker(c)]
    return children()


def _is_worker(process: psutil.Process) -> bool:
    return any("imaging.worker" in word or "fake_worker" in word for word in process.cmdline())


def fake(how: str, flag: Path | None = None) -> tuple[str, ...]:
    return (sys.executable, str(FAKE), how, *([str(flag)] if flag else []))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return saved(tmp_path / "good.jpg", encoded(natural(400, 300), "jpeg"))


@pytest.fixture
async def imager() -> AsyncIterator[VipsImager]:
    made = VipsImager(workers=2)
    yield made
    await made.close()
    assert children() == []


async def test_workers_start_when_needed_and_are_used_again(imager: VipsImager, good: Path) -> None:
    assert children() == []
    await imager.prepare()
    await imager.prepare()
    (first,) = children()
    for _ in range(3):
        assert (await imager.inspect(good)).intact
    assert children() == [first]
    await asyncio.gather(*(imager.inspect(good) for _ in range(9)))
    assert len(children()) == 2


async def test_a_worker_killed_while_idle_condemns_no_picture(
    imager: VipsImager, good: Path
) -> None:
    await imager.inspect(good)
    for _ in range(3):
        for child in children():
            child.kill()
        assert (await imager.inspect(good)).intact


async def test_a_worker_killed_as_it_starts_is_replaced(imager: VipsImager, good: Path) -> None:
    job = asyncio.create_task(imager.inspect(good))
    (await until(children))[0].kill()  # long before it has read its own modules
    assert (await job).intact


async def test_a_worker_killed_at_work_is_replaced(imager: VipsImager, tmp_path: Path) -> None:
    large = saved(tmp_path / "large.jpg", encoded(natural(4096, 2304), "jpeg", quality=90))
    spec = ExportSpec(name="export", format="webp")
    await imager.prepare()
    job = asyncio.create_task(imager.finish(large, spec, tmp_path))
    await asyncio.sleep(0.5)
    for child in children():
        child.kill()
    assert (await job).pixels == Pixels(4096, 2304)


@pytest.mark.parametrize("how", ["die", "garble", "list", "out of turn", "flood"])
async def test_a_worker_that_always_fails_gives_a_defect_and_an_error(
    how: str, good: Path, tmp_path: Path
) -> None:
    imager = VipsImager(command=fake(how))
    found = await imager.inspect(good)
    assert not found.intact
    assert found.defect
    assert "died" in found.defect
    if how == "die":
        assert "corrupted size vs. prev_size" in found.defect
    with pytest.raises(FinishError, match="worker died"):
        await imager.finish(good, SPEC, tmp_path)
    with pytest.raises(FinishError, match=r"marked copy .* The image worker died"):
        await imager.mark(good, AREA, tmp_path)
    await imager.close()
    assert children() == []


@pytest.mark.parametrize("how", ["die", "garble", "out of turn"])
async def test_a_worker_that_fails_once_is_forgiven(how: str, good: Path, tmp_path: Path) -> None:
    imager = VipsImager(command=fake(how, tmp_path / "flag"))
    assert (await imager.inspect(good)).intact
    await imager.close()


async def test_a_hung_worker_is_killed_and_replaced(good: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    imager = VipsImager(
        workers=1, inspect_timeout=60, finish_timeout=0.7, command=fake("hang", flag)
    )
    with pytest.raises(FinishError, match=r"not done within 0\.7 s"):
        await imager.finish(good, SPEC, tmp_path)
    flag.touch()
    assert (await imager.inspect(good)).intact
    flag.unlink()
    with pytest.raises(FinishError, match=r"contact sheet .* not done within 1\.7 s"):
        await imager.sheet([Cell(picture=good)], tmp_path, columns=1, title="")
    await imager.close()
    assert children() == []


async def test_an_inspection_that_hangs_is_a_defect(good: Path) -> None:
    imager = VipsImager(workers=1, inspect_timeout=0.7, command=fake("hang"))
    async with asyncio.timeout(60):  # the worker hangs for 600
        found = await imager.inspect(good)
    assert found.defect == "the decoder did not finish within 0.7 s"
    await imager.close()
    assert children() == []


async def test_cancelled_jobs_mix_nothing_up(imager: VipsImager, tmp_path: Path) -> None:
    sides = [40 + 8 * i for i in range(12)]
    paths = [saved(tmp_path / f"{s}", encoded(natural(s, s), "jpeg")) for s in sides]
    for turn in range(6):
        jobs = [asyncio.create_task(imager.inspect(path)) for path in paths]
        await asyncio.sleep(0.02 * turn)
        for job in jobs[::2]:
            job.cancel()
        answers = await asyncio.gather(*jobs, return_exceptions=True)
        for side, answer in list(zip(sides, answers, strict=True))[1::2]:
            assert not isinstance(answer, BaseException)
            assert answer.pixels == Pixels(side, side)


async def test_closing_ends_jobs_and_refuses_new_ones(good: Path, tmp_path: Path) -> None:
    imager = VipsImager(workers=1, command=fake("hang"))
    jobs = [asyncio.create_task(imager.inspect(good)) for _ in range(3)]
    await asyncio.sleep(0.3)
    await imager.close()
    answers = await asyncio.gather(*jobs, return_exceptions=True)
    assert all(isinstance(a, StorageError) for a in answers)
    with pytest.raises(StorageError, match="closed"):
        await imager.inspect(good)
    await imager.close()
    assert children() == []


async def test_closing_while_a_worker_starts_leaves_none(good: Path) -> None:
    imager = VipsImager(workers=1)
    job = asyncio.create_task(imager.inspect(good))
    await asyncio.sleep(0)
    await imager.close()
    assert children() == []
    with pytest.raises(StorageError, match="closed"):
        await job


async def test_a_worker_that_cannot_start_is_no_verdict_on_the_picture(good: Path) -> None:
    imager = VipsImager(command=("/nonexistent/python",))
    for job in (imager.inspect(good), imager.prepare()):
        with pytest.raises(StorageError, match="No image worker"):
            await job
    await imager.close()


async def test_the_worker_sees_none_of_our_environment_and_has_limits(
    imager: VipsImager, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    await imager.inspect(good)
    (worker,) = children()
    assert "SOME_API_KEY" not in worker.environ()
    limits = bytes_of(Path(f"/proc/{worker.pid}/limits")).decode()
    found = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()}
    assert found["Max address space"] == str(4 << 30)
    assert found["Max file size"] == str(2 << 30)
    assert found["Max core file size"] == "0"
    assert found["Max cpu time"] != "unlimited"


async def test_a_protected_4k_result_is_made_within_the_limits_of_a_worker(
    imager: VipsImager, tmp_path: Path
) -> None:
    parent = saved(tmp_path / "parent.jpg", encoded(natural(5504, 3072), "jpeg", quality=90))
    change = saved(tmp_path / "change.jpg", encoded(natural(5504, 3072, seed=2), "jpeg"))
    await imager.prepare()
    (worker,) = children()
    area = AreaShape(region=(10, 10, 5480, 3050), feather=256)
    made = await imager.blend(parent, change, area, tmp_path)
    assert children() == [worker]  # no limit on CPU time or memory killed it
    status = bytes_of(Path(f"/proc/{worker.pid}/status")).decode()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 400_000  # kB
    assert bytes_of(made).startswith(b"\x89PNG")


def test_workers_go_when_their_parent_is_killed(good: Path) -> None:
    script = (
        "import asyncio, sys, pathlib, time\n"
        "from heliograph.imaging import VipsImager\n"
        "async def main():\n"
        "    imager = VipsImager(workers=1)\n"
        "    await imager.inspect(pathlib.Path(sys.argv[1]))\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(good)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    assert parent.stdout.readline() == "ready\n"
    (worker,) = psutil.Process(parent.pid).children()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    worker.wait(timeout=60)


def test_importing_imaging_loads_no_decoder() -> None:
    script = (
        "import sys, heliograph.imaging as i\n"
        "for name in i.__all__: getattr(i, name)\n"
        "print('pyvips' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


def test_unknown_names_are_attribute_errors() -> None:
    import heliograph.imaging

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        heliograph.imaging.Nothing  # noqa: B018

"""The worker's side of the pipe, run in this process, and its own confinement in another."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.imaging.pictures import encoded, natural, saved

from heliograph.errors import FinishError, InvalidRequest, StorageError
from heliograph.imaging import protocol, worker
from heliograph.ports import AreaShape, Cell
from heliograph.types import Anchor, ExportSpec, Pixels

SPEC = ExportSpec(name="export", pixels=Pixels(30, 20), anchor=Anchor.TOP, dpi=300, srgb=True)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return saved(tmp_path / "o.jpg", encoded(natural(90, 90), "jpeg"))


@pytest.fixture(autouse=True)
def _no_cpu_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit would stay with the test run."""
    monkeypatch.setattr(worker, "allow_cpu", lambda _seconds: None)


def test_jobs_are_answered_line_by_line(original: Path, tmp_path: Path) -> None:
    jobs = [
        protocol.ask_inspect(original),
        protocol.ask_finish(original, SPEC, tmp_path),
        protocol.ask_inspect(tmp_path / "missing"),
        protocol.ask_finish(original, ExportSpec(name="x", format="gif"), tmp_path),
        {"finish": {"spec": {}}},
    ]
    asked = b"".join(protocol.line({"id": i, **job}) for i, job in enumerate(jobs))
    out = io.BytesIO()
    worker.serve(io.BytesIO(asked), out)
    ready, *lines = out.getvalue().splitlines(keepends=True)
    assert ready == protocol.READY
    answers = [json.loads(raw) for raw in lines]
    assert [a["id"] for a in answers] == list(range(len(jobs)))
    assert protocol.read_inspection(answers[0]).pixels == Pixels(90, 90)
    assert protocol.read_export(answers[1]).pixels == Pixels(30, 20)
    with pytest.raises(StorageError, match="cannot be read"):
        protocol.read_inspection(answers[2])
    with pytest.raises(FinishError, match="Formats are"):
        protocol.read_export(answers[3])
    with pytest.raises(StorageError, match="worker failed"):
        protocol.read_export(answers[4])


def test_orders_cross_unchanged(original: Path, tmp_path: Path) -> None:
    strange = Path("/tmp/\udcff図\n[x].jpg")  # noqa: S108  a name that is no valid UTF-8
    for spec in (SPEC, ExportSpec(name="n", fit_within=9, format="webp", quality=3, max_bytes=4)):
        job = json.loads(protocol.line(protocol.ask_finish(strange, spec, tmp_path)))
        assert protocol.read_finish(job["finish"]) == (strange, spec, tmp_path)


def test_new_pictures_are_answered_with_their_paths(original: Path, tmp_path: Path) -> None:
    area = AreaShape(region=(5, 5, 40, 40), feather=3)
    limits = {"max_bytes": 10**6, "max_side": 30, "max_area": 10**6}
    jobs = [
        protocol.ask_mark(original, area, tmp_path),
        protocol.ask_blend(original, original, area, tmp_path),
        protocol.ask_fit(original, limits, tmp_path),
        protocol.ask_sheet([Cell(picture=original)], tmp_path, columns=1, title="one"),
    ]
    paths = [protocol.read_path(worker.answer(job)) for job in jobs]
    assert [path.name.partition("-")[0] for path in paths] == [
        "marked",
        "blended",
        "fitted",
        "sheet",
    ]
    with pytest.raises(InvalidRequest) as caught:
        protocol.read_path(worker.answer(protocol.ask_mark(original, AreaShape(), tmp_path)))
    assert caught.value.problems[0].field == "region"
    with pytest.raises(StorageError, match="worker failed"):
        protocol.read_path(worker.answer({"mark": {}}))


def test_areas_and_cells_cross_unchanged(tmp_path: Path) -> None:
    strange = Path("/tmp/\udcff図\n[x].png")  # noqa: S108  a name that is no valid UTF-8
    for area in (
        AreaShape(region=(1, 2, 3, 4), feather=7),
        AreaShape(region=(0, 0, 0, 0)),
        AreaShape(mask=strange),
        AreaShape(),
    ):
        job = json.loads(protocol.line(protocol.ask_mark(strange, area, tmp_path)))
        assert protocol.read_mark(job["mark"]) == (strange, area, tmp_path)
        job = json.loads(protocol.line(protocol.ask_blend(strange, strange, area, tmp_path)))
        assert protocol.read_blend(job["blend"]) == (strange, strange, area, tmp_path)
    cells = (
        Cell(picture=strange, lines=("\ud800", "図"), badge="b"),
        Cell(picture=None),
    )
    job = json.loads(protocol.line(protocol.ask_sheet(cells, tmp_path, columns=2, title="t\0")))
    assert protocol.read_sheet(job["sheet"]) == (cells, tmp_path, 2, "t\0")


def test_a_confined_process_opens_the_three_formats_and_nothing_else(tmp_path: Path) -> None:
    for kind in ("jpeg", "png", "webp", "gif", "tiff"):
        saved(tmp_path / kind, encoded(natural(20, 20), kind))
    saved(tmp_path / "svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>")
    script = (
        "import pyvips, sys, pathlib\n"
        "from heliograph.imaging.confinement import confine_libvips, confine_process\n"
        "confine_process(); confine_libvips()\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        pyvips.Image.new_from_file(str(path)).avg()\n"
        "        print(path.name)\n"
        "    except pyvips.Error: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, check=True, text=True
    )
    assert done.stdout.split() == ["jpeg", "png", "webp"]


def test_stray_prints_do_not_reach_the_parent(original: Path) -> None:
    script = (
        "import os, sys\n"
        "from heliograph.imaging import worker\n"
        "real = worker.inspect\n"
        "def loud(path):\n"
        "    print('stray'); os.write(1, b'stray'); return real(path)\n"
        "worker.inspect = loud\n"
        "worker.main()\n"
    )
    job = protocol.line({"id": 5, **protocol.ask_inspect(original)})
    done = subprocess.run(
        [sys.executable, "-c", script], input=job, capture_output=True, check=True
    )
    ready, answer = done.stdout.splitlines(keepends=True)
    assert (ready, json.loads(answer)["id"]) == (protocol.READY, 5)
    assert b"stray" in done.stderr

"""What every `Imager` promises, run on each of them."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.imaging.pictures import bytes_of, encoded, files_in, natural, saved

from heliograph.errors import FinishError, StorageError
from heliograph.imaging import DirectImager, VipsImager, read_header
from heliograph.ports import Imager
from heliograph.types import ExportSpec, Pixels


@pytest.fixture(params=["workers", "direct"])
async def imager(request: pytest.FixtureRequest) -> AsyncIterator[Imager]:
    made: Imager = VipsImager(workers=1) if request.param == "workers" else DirectImager()
    yield made
    await made.close()


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return saved(tmp_path / "original.jpg", encoded(natural(640, 360), "jpeg", quality=90))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
async def test_an_intact_picture(imager: Imager, kind: str, tmp_path: Path) -> None:
    found = await imager.inspect(saved(tmp_path / "a", encoded(natural(300, 200), kind)))
    assert (found.intact, found.defect, found.pages) == (True, None, 1)
    assert found.pixels == Pixels(300, 200)


async def test_a_damaged_picture_says_what_is_wrong(
    imager: Imager, original: Path, tmp_path: Path
) -> None:
    data = bytes_of(original)
    for bad in (data[:-999], data[:-999] + b"\xff\xd9", data[:300], b"<html>", b""):
        found = await imager.inspect(saved(tmp_path / "bad", bad))
        assert not found.intact
        assert found.defect
    assert (await imager.inspect(original)).intact


async def test_a_missing_file_is_an_error_not_a_verdict(imager: Imager, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        await imager.inspect(tmp_path / "missing.jpg")
    assert not isinstance(caught.value, FinishError)


async def test_an_export_is_what_it_says(imager: Imager, original: Path, tmp_path: Path) -> None:
    before = bytes_of(original)
    spec = ExportSpec(name="export", pixels=Pixels(320, 320), format="webp", quality=70, dpi=300)
    export = await imager.finish(original, spec, tmp_path)
    data = bytes_of(export.path)
    assert export.path == tmp_path / "export.webp"
    assert export.sha256 == hashlib.sha256(data).hexdigest()
    assert (export.name, export.format, export.quality) == ("export", "webp", 70)
    assert (export.size, export.pixels) == (len(data), Pixels(320, 320))
    assert read_header(export.path).pixels == export.pixels
    assert bytes_of(original) == before


async def test_nothing_asked_is_a_copy(imager: Imager, original: Path, tmp_path: Path) -> None:
    export = await imager.finish(original, ExportSpec(name="copy"), tmp_path)
    assert bytes_of(export.path) == bytes_of(original)
    assert export.path.name == "copy.jpg"


async def test_what_cannot_be_made_is_an_error_with_facts(
    imager: Imager, original: Path, tmp_path: Path
) -> None:
    spec = ExportSpec(name="export", format="png", max_bytes=1000)
    with pytest.raises(FinishError) as caught:
        await imager.finish(original, spec, tmp_path)
    assert caught.value.facts["max_bytes"] == 1000
    assert caught.value.facts["reached"] > 1000
    assert caught.value.remedy
    with pytest.raises(FinishError):
        await imager.finish(tmp_path / "missing", ExportSpec(name="copy"), tmp_path)
    assert files_in(tmp_path) == ["original.jpg"]


async def test_relative_and_awkward_names(
    imager: Imager, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await imager.inspect(original)  # a worker that runs already keeps its own folder
    monkeypatch.chdir(tmp_path)
    saved(Path("図 [x=1].jpg"), bytes_of(original))
    assert (await imager.inspect(Path("図 [x=1].jpg"))).intact
    spec = ExportSpec(name="thumbnail", fit_within=64, format="png")
    export = await imager.finish(Path("図 [x=1].jpg"), spec, Path())
    assert export.path.exists()


async def test_closing_twice_is_fine(imager: Imager, original: Path) -> None:
    await imager.inspect(original)
    await imager.close()


def test_the_preview_for_notebooks_is_a_png(original: Path) -> None:
    data = DirectImager().preview_png(original)
    assert data.startswith(b"\x89PNG")
    with pytest.raises(FinishError):
        DirectImager().preview_png(original.with_name("missing"))

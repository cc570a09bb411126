"""What every `Imager` promises, run on each of them."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from tests.imaging.pictures import bytes_of, encoded, files_in, natural, saved

from heliograph.errors import FinishError, InvalidRequest, StorageError
from heliograph.imaging import DirectImager, VipsImager, read_header
from heliograph.ports import AreaShape, Cell, Imager
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


def read(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
        return picture


async def test_a_marked_copy_is_a_new_small_jpeg(
    imager: Imager, original: Path, tmp_path: Path
) -> None:
    before = bytes_of(original)
    folder = tmp_path / "made"
    folder.mkdir()
    area = AreaShape(region=(100, 100, 200, 100), feather=8)
    made = await imager.mark(original, area, folder)
    assert (made.parent, made.suffix) == (folder, ".jpg")
    assert read(made).size == (640, 360)
    difference = ImageChops.difference(read(made), read(original)).convert("L")
    assert max(difference.crop((110, 110, 290, 190)).tobytes()) > 60
    assert bytes_of(original) == before


async def test_a_protected_result_differs_in_the_area_only(
    imager: Imager, original: Path, tmp_path: Path
) -> None:
    change = saved(tmp_path / "change", encoded(natural(800, 450, seed=5), "webp"))
    mask = Image.new("L", (640, 360))
    mask.paste(255, (100, 100, 300, 200))
    shapes = [
        AreaShape(region=(100, 100, 200, 100), feather=8),
        AreaShape(mask=saved(tmp_path / "mask.png", encoded(mask, "png")), feather=8),
    ]
    first, second = [await imager.blend(original, change, shape, tmp_path) for shape in shapes]
    assert first == second  # the same bytes have the same name
    made = read(first)
    assert (made.format, made.size) == ("PNG", (640, 360))
    difference = ImageChops.difference(made, read(original))
    assert difference.getbbox() is not None
    difference.paste((0, 0, 0), (100, 100, 300, 200))
    assert difference.getbbox() is None


async def test_areas_that_do_not_go_with_a_picture(
    imager: Imager, original: Path, tmp_path: Path
) -> None:
    black = saved(tmp_path / "black.png", encoded(Image.new("L", (640, 360)), "png"))
    cases = [
        (AreaShape(region=(600, 0, 100, 100)), "region", ("600,0,40,100",)),
        (AreaShape(mask=black), "mask", ()),
        (AreaShape(mask=original), "mask", ()),
        (AreaShape(), "region", ()),
    ]
    for area, field, nearest in cases:
        for job in (
            imager.mark(original, area, tmp_path),
            imager.blend(original, original, area, tmp_path),
        ):
            with pytest.raises(InvalidRequest) as caught:
                await job
            (problem,) = caught.value.problems
            assert (problem.field, problem.nearest) == (field, nearest)
    assert files_in(tmp_path) == ["black.png", "original.jpg"]


async def test_a_copy_within_limits(imager: Imager, original: Path, tmp_path: Path) -> None:
    loose = {"max_bytes": 10**7, "max_side": 640, "max_area": 640 * 360}
    assert await imager.fit(original, **loose, folder=tmp_path) is original
    made = await imager.fit(original, **{**loose, "max_side": 320}, folder=tmp_path)
    assert read(made).size == (320, 180)
    with pytest.raises(FinishError) as caught:
        await imager.fit(original, **{**loose, "max_bytes": 20}, folder=tmp_path)
    assert caught.value.facts["max_bytes"] == 20
    bad = saved(tmp_path / "bad", b"GIF89a")
    with pytest.raises(InvalidRequest, match="GIF"):
        await imager.fit(bad, **loose, folder=tmp_path)


async def test_a_contact_sheet(imager: Imager, original: Path, tmp_path: Path) -> None:
    cells = [
        Cell(picture=original, lines=("図 <b>&", "640x360", "0.13 $"), badge="SIMULATED"),
        Cell(picture=None, lines=("refused",)),
        Cell(picture=tmp_path / "\udcff missing", lines=("\ud800\x00",)),
    ]
    made = await imager.sheet(cells, tmp_path, columns=2, title="Two & one")
    page = read(made)
    assert (page.format, page.width) == ("PNG", 2 * 48 + 2 * 480 + 32)
    small = read(original).resize((480, 270), Image.Resampling.LANCZOS)
    part = page.crop((48 + 200, 48 + 53 + 32 + 100, 48 + 400, 48 + 53 + 32 + 200))
    difference = ImageChops.difference(part, small.crop((200, 100, 400, 200))).convert("L")
    assert sum(difference.tobytes()) / 20_000 < 6
    with pytest.raises(InvalidRequest) as caught:
        await imager.sheet([], tmp_path, columns=2, title="")
    assert caught.value.problems[0].field == "cells"


async def test_new_pictures_of_broken_ones_are_errors(imager: Imager, tmp_path: Path) -> None:
    good = saved(tmp_path / "good", encoded(natural(300, 200), "jpeg"))
    cut = saved(tmp_path / "cut", bytes_of(good)[:-600])
    area = AreaShape(region=(0, 0, 300, 200))
    for job in (
        imager.mark(cut, area, tmp_path),
        imager.blend(cut, good, area, tmp_path),
        imager.blend(good, cut, area, tmp_path),
        imager.mark(tmp_path / "missing", area, tmp_path),
        imager.mark(good, area, tmp_path / "no folder"),
    ):
        with pytest.raises(FinishError) as caught:
            await job
        assert caught.value.why
        assert caught.value.remedy
    assert files_in(tmp_path) == ["cut", "good"]


async def test_closing_twice_is_fine(imager: Imager, original: Path) -> None:
    await imager.inspect(original)
    await imager.close()


def test_the_preview_for_notebooks_is_a_png(original: Path) -> None:
    data = DirectImager().preview_png(original)
    assert data.startswith(b"\x89PNG")
    with pytest.raises(FinishError):
        DirectImager().preview_png(original.with_name("missing"))


async def test_a_level_of_tiles(imager: Imager, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010E] = "PRIVATE"
    picture = saved(tmp_path / "a.jpg", encoded(natural(300, 200), "jpeg", exif=exif))
    (folder := tmp_path / "made").mkdir()
    made = await imager.tiles(picture, Pixels(100, 150), folder, side=80, overlap=1)
    assert made.parent == folder
    assert files_in(made) == ["0_0.webp", "0_1.webp", "1_0.webp", "1_1.webp"]
    data = bytes_of(made / "1_1.webp")
    assert b"PRIVATE" not in data
    with Image.open(made / "0_1.webp") as tile:
        assert tile.size == (81, 71)


async def test_tiles_of_what_is_no_picture(imager: Imager, tmp_path: Path) -> None:
    bad = saved(tmp_path / "bad", b"<html>")
    with pytest.raises(FinishError):
        await imager.tiles(bad, Pixels(1, 1), tmp_path, side=80, overlap=1)
    assert files_in(tmp_path) == ["bad"]

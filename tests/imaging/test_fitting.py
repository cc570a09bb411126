"""Copies that are small enough, of every kind of picture; Pillow reads them back."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.imaging.pictures import encoded, files_in, natural, png_with, saved

from heliograph.errors import FinishError, InvalidRequest
from heliograph.imaging import check_references
from heliograph.imaging.fitting import Limits, fit
from heliograph.types import Pixels

LOOSE = Limits(max_bytes=20_000_000, max_side=16_000, max_area=64_000_000)


def limits(
    max_bytes: int = 20_000_000, max_side: int = 16_000, max_area: int = 64_000_000
) -> Limits:
    return Limits(max_bytes=max_bytes, max_side=max_side, max_area=max_area)


def fitted(folder: Path, data: bytes, within: Limits) -> Image.Image:
    path = saved(folder / "given", data)
    made = fit(path, within, folder)
    assert path.read_bytes() == data
    assert made != path
    assert made.stat().st_size <= within.max_bytes
    with Image.open(made) as picture:
        picture.load()
    assert max(picture.size) <= within.max_side
    assert math.prod(picture.size) <= within.max_area
    assert check_references([made])
    return picture


def test_what_fits_is_itself(tmp_path: Path) -> None:
    for kind in ("jpeg", "png", "webp"):
        path = saved(tmp_path / kind, encoded(natural(300, 200), kind))
        exact = Limits(max_bytes=path.stat().st_size, max_side=300, max_area=60_000)
        assert fit(path, exact, tmp_path) == path
    assert files_in(tmp_path) == ["jpeg", "png", "webp"]


@settings(max_examples=40)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    max_side=st.integers(1, 500),
    max_area=st.integers(1, 100_000),
)
def test_pixels_come_within_the_limits_and_no_lower_than_they_must(
    width: int, height: int, max_side: int, max_area: int
) -> None:
    within = limits(max_side=max_side, max_area=max_area)
    pixels = Pixels(width, height)
    scale = within.scale(pixels)
    target = within.target(pixels, scale)
    assert max(target.width, target.height) <= max_side
    assert target.area <= max(max_area, target.width, target.height)
    fits = max(width, height) <= max_side and width * height <= max_area
    assert (scale == 1.0) == fits
    assert target.width + 1 > width * scale
    assert target.height + 1 > height * scale


def test_a_large_photograph_becomes_a_smaller_jpeg(tmp_path: Path) -> None:
    data = encoded(natural(1600, 900), "png")
    picture = fitted(tmp_path, data, limits(max_bytes=600_000))
    assert (picture.format, picture.size) == ("JPEG", (1600, 900))
    picture = fitted(tmp_path, data, limits(max_bytes=20_000, max_side=1200))
    assert picture.format == "JPEG"
    assert 150 < max(picture.size) < 1200
    assert abs(picture.width / picture.height - 16 / 9) < 0.02
    picture = fitted(tmp_path, data, limits(max_area=1_000_000))
    assert picture.size == (1333, 750)


def test_transparency_stays(tmp_path: Path) -> None:
    picture = natural(600, 400).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((600, 400)))
    data = encoded(picture, "png")
    small = fitted(tmp_path, data, limits(max_side=300))
    assert (small.format, small.mode, small.size) == ("PNG", "RGBA", (300, 200))
    packed = fitted(tmp_path, data, limits(max_bytes=int(len(data) * 0.9)))
    assert (packed.format, packed.size) == ("WEBP", (600, 400))
    lossy = fitted(tmp_path, data, limits(max_bytes=20_000))
    assert (lossy.format, lossy.mode) == ("WEBP", "RGBA")
    alpha = lossy.getchannel("A").resize((600, 400))
    pairs = zip(alpha.tobytes(), picture.getchannel("A").tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 12


def test_a_transparency_that_nothing_uses_is_no_reason_for_a_png(tmp_path: Path) -> None:
    data = encoded(natural(600, 400).convert("RGBA"), "png")
    assert fitted(tmp_path, data, limits(max_side=300)).format == "JPEG"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "CMYK", "I;16", "1"])
def test_every_kind_of_picture(mode: str, tmp_path: Path) -> None:
    picture = Image.new("L", (300, 200), 255).convert(mode)
    data = encoded(picture, "jpeg" if mode == "CMYK" else "png")
    small = fitted(tmp_path, data, limits(max_side=100))
    assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (100, 66))


def test_turned_pictures_come_out_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(natural(200, 300), "jpeg", exif=exif.tobytes())
    small = fitted(tmp_path, data, limits(max_side=150))
    assert small.size == (150, 100)
    assert not small.getexif()


def test_a_weight_of_metadata_is_left_behind(tmp_path: Path) -> None:
    heavy = png_with(encoded(natural(80, 60), "png"), b"eXIf", bytes(1_100_000))
    with pytest.raises(InvalidRequest, match="metadata"):
        check_references([heavy])
    assert fitted(tmp_path, heavy, LOOSE).size == (80, 60)


def test_what_cannot_be_that_small_is_said(tmp_path: Path) -> None:
    for size, mode in (((400, 300), "RGB"), ((40, 30), "RGBA"), ((1, 1), "RGB")):
        picture = natural(*size, mode=mode)
        if mode == "RGBA":
            picture.putalpha(7)
        path = saved(tmp_path / "p", encoded(picture, "png"))
        with pytest.raises(FinishError, match="within 20 bytes") as caught:
            fit(path, limits(max_bytes=20), tmp_path)
        assert caught.value.facts["reached"] > 20
    assert files_in(tmp_path) == ["p"]


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    good = encoded(natural(200, 200), "jpeg")
    frames = [Image.new("RGB", (80, 60), colour) for colour in ("red", "blue")]
    bad = [
        (encoded(frames[0], "webp", save_all=True, append_images=frames[1:]), "animated"),
        (good[: len(good) // 2], "refused"),
        (good[:-400] + b"\xff\xd9", "refused"),
        (encoded(frames[0], "tiff"), "TIFF"),
        (b"", "empty file"),
    ]
    for data, words in bad:
        with pytest.raises(InvalidRequest, match=words) as caught:
            fit(saved(tmp_path / "p", data), limits(max_side=10), tmp_path)
        (problem,) = caught.value.problems
        assert (problem.field, problem.value) == ("picture", "p")
    with pytest.raises(InvalidRequest, match="no such file"):
        fit(tmp_path / "none", LOOSE, tmp_path)
    with pytest.raises(FinishError, match="could not be made"):
        fit(saved(tmp_path / "p", good), limits(max_side=10), tmp_path / "no folder")

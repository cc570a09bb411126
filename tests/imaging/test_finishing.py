"""Finished files: exact pixels, the right part, the budget, density, colour, metadata.

Pillow reads back everything that libvips wrote.
"""

import errno
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms
from tests.imaging.pictures import QUADRANTS, encoded, files_in, natural, quadrants, saved

from heliograph.errors import FinishError
from heliograph.imaging.finishing import finish
from heliograph.imaging.steps.encode import ENCODINGS
from heliograph.types import Anchor, Export, ExportSpec, Pixels

FORMATS = sorted(ENCODINGS)


@pytest.fixture(scope="session")
def four_k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 16:9 4K answer, as Gemini gives it."""
    folder = tmp_path_factory.mktemp("four-k")
    return saved(folder / "original.jpg", encoded(natural(5504, 3072), "jpeg", quality=90))


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return saved(tmp_path / "original", encoded(natural(344, 192), "jpeg", quality=92))


def made(original: Path, **spec: Any) -> tuple[Export, Image.Image]:
    """Make an export and let Pillow read it; what both say of it must agree."""
    export = finish(original, ExportSpec(**{"name": "export", **spec}), original.parent)
    data = export.path.read_bytes()
    assert export.size == len(data)
    assert export.sha256 == hashlib.sha256(data).hexdigest()
    picture = Image.open(io.BytesIO(data))
    picture.load()
    assert picture.format is not None
    assert picture.format.lower() == export.format
    assert Pixels(*picture.size) == export.pixels
    return export, picture


@pytest.mark.parametrize("pixels", [(4096, 2304), (1920, 1080), (2480, 3508)])
def test_4k_answers_become_exact_sizes(pixels: tuple[int, int], four_k: Path) -> None:
    export, _ = made(four_k, pixels=Pixels(*pixels), dpi=300)
    assert export.pixels == Pixels(*pixels)
    assert export.path.name == "export.jpg"


def test_a_thumbnail_of_a_4k_answer_looks_like_it(four_k: Path) -> None:
    export, thumbnail = made(four_k, name="thumbnail", fit_within=512, format="webp")
    assert export.pixels == Pixels(512, 286)
    with Image.open(four_k) as whole:
        theirs = whole.resize((512, 286), Image.Resampling.LANCZOS).convert("RGB")
    pairs = zip(thumbnail.convert("RGB").tobytes(), theirs.tobytes(), strict=True)
    differences = [abs(a - b) for a, b in pairs]
    assert sum(differences) / len(differences) < 4


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("source", ["jpeg", "png", "webp"])
def test_every_format_from_every_original(format_name: str, source: str, tmp_path: Path) -> None:
    original = saved(tmp_path / "o", encoded(natural(120, 90), source))
    export, _ = made(original, pixels=Pixels(64, 64), format=format_name)
    assert export.pixels == Pixels(64, 64)
    assert export.path.suffix == ENCODINGS[format_name].suffix
    assert (export.quality is None) == (format_name in ("png", "tiff"))


@pytest.mark.parametrize("width", [1, 2, 3, 17, 100, 333, 700])
@pytest.mark.parametrize("height", [1, 31, 192, 500])
def test_any_exact_size(width: int, height: int, original: Path) -> None:
    export, _ = made(original, pixels=Pixels(width, height), format="png")
    assert export.pixels == Pixels(width, height)


@pytest.mark.parametrize(
    ("fit", "pixels"), [(172, (172, 96)), (100, (100, 56)), (1, (1, 1)), (5000, (344, 192))]
)
def test_fitting_keeps_the_ratio_and_never_enlarges(
    fit: int, pixels: tuple[int, int], original: Path
) -> None:
    export, _ = made(original, name="preview", fit_within=fit, format="webp")
    assert export.pixels == Pixels(*pixels)


@pytest.mark.parametrize("anchor", Anchor)
@pytest.mark.parametrize("pixels", [(40, 10), (10, 40)])
def test_the_anchor_names_the_part_that_is_kept(
    anchor: Anchor, pixels: tuple[int, int], tmp_path: Path
) -> None:
    original = saved(tmp_path / "o", encoded(quadrants(200, 200), "png"))
    _, picture = made(original, pixels=Pixels(*pixels), anchor=anchor, format="png")
    wide = pixels[0] > pixels[1]
    cut = ("top", "bottom") if wide else ("left", "right")
    named = [side for side in cut if side in anchor.value]
    for where, colour in QUADRANTS.items():
        point = (
            3 if "left" in where else picture.width - 4,
            2 if "top" in where else picture.height - 3,
        )
        kept = [side for side in cut if side in where]
        if named and named != kept:  # the other half is cut off; the named one fills the place
            other = where.replace(kept[0], named[0])
            colour = QUADRANTS[other]
        assert picture.convert("RGB").getpixel(point) == pytest.approx(colour, abs=8)


def test_the_budget_is_met_with_the_highest_quality_that_fits(original: Path) -> None:
    for format_name in ("jpeg", "webp", "avif"):
        full, _ = made(original, format=format_name, quality=95)
        budget = full.size // 2
        export, _ = made(original, format=format_name, quality=95, max_bytes=budget)
        assert export.size <= budget
        assert export.quality is not None
        better, _ = made(original, format=format_name, quality=export.quality + 1)
        assert better.size > budget


def test_a_wide_budget_changes_nothing(original: Path) -> None:
    export, _ = made(original, quality=80, max_bytes=10_000_000)
    assert export.quality == 80
    assert made(original, format="png", max_bytes=10_000_000)[0].quality is None


def test_a_quality_below_the_floor_is_taken_at_its_word(original: Path) -> None:
    assert made(original, quality=5, max_bytes=1_000_000)[0].quality == 5
    with pytest.raises(FinishError, match="at quality 5"):
        made(original, quality=5, max_bytes=100)


@pytest.mark.parametrize("format_name", ["jpeg", "png", "tiff"])
def test_an_unreachable_budget_says_what_was_reached(format_name: str, original: Path) -> None:
    with pytest.raises(FinishError, match="as small as 500 bytes") as caught:
        made(original, format=format_name, max_bytes=500)
    reached = caught.value.facts["reached"]
    assert reached > 500
    assert f"at least {reached} bytes" in str(caught.value)
    assert files_in(original.parent) == ["original"]


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("dpi", [72, 150, 300, 600])
def test_density_is_read_back(format_name: str, dpi: int, original: Path) -> None:
    _, picture = made(original, pixels=Pixels(32, 32), format=format_name, dpi=dpi)
    if format_name in ("jpeg", "png", "tiff"):
        assert picture.info["dpi"] == pytest.approx((dpi, dpi), abs=0.02)
    else:
        exif = picture.getexif()
        assert (exif[282], exif[283], exif[296]) == (dpi, dpi, 2)


@pytest.mark.parametrize("format_name", FORMATS)
def test_srgb_is_embedded(format_name: str, original: Path) -> None:
    _, picture = made(original, format=format_name, srgb=True)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_colours_are_converted_from_the_embedded_profile(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for mode in ("RGB", "CMYK", "L", "RGBA"):
        kind = "png" if mode == "RGBA" else "jpeg"
        profile = {"icc_profile": lab} if mode == "RGB" else {}
        data = encoded(Image.new(mode, (40, 40), 0), kind, **profile)
        original = saved(tmp_path / "o", data)
        for format_name in ("jpeg", "png"):
            _, picture = made(original, format=format_name, srgb=True, pixels=Pixels(20, 20))
            assert picture.mode in ("RGB", "RGBA")


def test_inks_become_light_only_where_the_format_needs_it(tmp_path: Path) -> None:
    original = saved(tmp_path / "o", encoded(natural(40, 40, mode="CMYK"), "jpeg"))
    modes = {f: made(original, format=f, quality=80)[1].mode for f in ("jpeg", "png", "webp")}
    assert modes == {"jpeg": "CMYK", "png": "RGB", "webp": "RGB"}


def test_transparency_lands_on_white_in_jpeg_and_stays_elsewhere(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 20, 40))
    original = saved(tmp_path / "o", encoded(clear, "png"))
    flat = made(original, format="jpeg", pixels=Pixels(20, 20))[1]
    assert flat.getpixel((18, 10)) == pytest.approx((255, 255, 255), abs=4)
    for format_name in ("png", "webp", "avif", "tiff"):
        picture = made(original, format=format_name, pixels=Pixels(20, 20))[1]
        assert picture.mode == "RGBA"
        # the red under full transparency must not show in the edge
        edge = picture.getpixel((9, 10))
        assert isinstance(edge, tuple)
        assert edge[0] < 60


def test_exif_turns_the_picture_upright_before_anything_else(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # stored lying on its left side
    lying = quadrants(80, 40).transpose(Image.Transpose.ROTATE_90)
    original = saved(tmp_path / "o", encoded(lying, "jpeg", exif=exif, quality=98))
    export, picture = made(original, pixels=Pixels(40, 20), quality=98)
    assert picture.getexif().get(274, 1) == 1
    assert picture.getpixel((2, 2)) == pytest.approx(QUADRANTS["top-left"], abs=20)
    assert picture.getpixel((37, 17)) == pytest.approx(QUADRANTS["bottom-right"], abs=20)
    assert made(original, fit_within=40, format="png")[0].pixels == Pixels(40, 20)
    assert export.pixels == Pixels(40, 20)


def test_own_exports_keep_metadata_and_shared_ones_only_the_profile(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    data = encoded(natural(90, 90), "jpeg", exif=exif, icc_profile=profile, xmp=xmp)
    original = saved(tmp_path / "o", data)
    for format_name in ("jpeg", "png", "webp", "avif"):
        own = made(original, pixels=Pixels(40, 40), format=format_name)[1]
        assert own.getexif()[0x010E] == "a description"
        assert b"xmpmeta" in bytes(str(own.info), "utf-8")
        assert own.info["icc_profile"] == profile
        shared = made(original, fit_within=40, format=format_name)[1]
        assert 0x010E not in shared.getexif()
        assert b"xmpmeta" not in bytes(str(shared.info), "utf-8")
        assert shared.info["icc_profile"] == profile


def test_deep_pngs_stay_deep_only_where_that_is_possible(tmp_path: Path) -> None:
    deep = Image.frombytes("I;16", (30, 30), bytes(range(225)) * 8)
    original = saved(tmp_path / "o", encoded(deep, "png"))
    assert made(original, pixels=Pixels(10, 10))[1].mode == "I;16"
    assert made(original, pixels=Pixels(10, 10), format="jpeg")[1].mode == "L"
    assert made(original, pixels=Pixels(10, 10), format="png", srgb=True)[1].mode == "RGB"


def test_nothing_asked_is_a_copy_to_the_byte(original: Path) -> None:
    data = original.read_bytes() + b"tail"
    export, _ = made(saved(original, data), anchor=Anchor.TOP)
    assert export.path.read_bytes() == data
    assert export.quality is None
    assert original.read_bytes() == data


def test_an_older_export_is_replaced(original: Path) -> None:
    first, _ = made(original, quality=50)
    second, _ = made(original, quality=90)
    assert first.path == second.path
    assert second.size > first.size


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"format": "gif"}, "Formats are jpeg"),
        ({"name": "../up", "quality": 80}, "one plain word"),
        ({"name": "../up"}, "one plain word"),
        ({"format": "webp", "pixels": Pixels(16_384, 8)}, "could not be made"),
    ],
)
def test_what_cannot_be_made_is_said(spec: dict[str, Any], words: str, original: Path) -> None:
    with pytest.raises(FinishError, match=words):
        made(original, **spec)
    assert files_in(original.parent) == ["original"]


def test_broken_originals_and_folders_are_said(original: Path, tmp_path: Path) -> None:
    data = original.read_bytes()
    broken = [
        data[:-200],
        data[:-30] + b"\xff\xd9",
        b"GIF89a",
        encoded(natural(200, 200), "png")[:-500],
    ]
    for bad in broken:
        path = saved(tmp_path / "bad", bad)
        with pytest.raises(FinishError, match="could not be made"):
            made(path, pixels=Pixels(100, 100), format="png")
    with pytest.raises(FinishError, match="could not be made"):
        finish(tmp_path / "missing", ExportSpec(name="export", quality=3), tmp_path)
    with pytest.raises(FinishError, match="could not be made"):
        finish(original, ExportSpec(name="export", quality=3), tmp_path / "no folder")


def test_a_full_disk_leaves_nothing_behind(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FinishError, match="No space left"):
        made(original, quality=50)
    assert files_in(original.parent) == ["original"]

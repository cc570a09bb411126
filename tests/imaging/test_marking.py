"""The marked copy: small, plain to see, in the right place. Pillow looks at it."""

from pathlib import Path

import pytest
from PIL import Image, ImageChops
from tests.imaging.pictures import encoded, natural, saved

from heliograph.errors import FinishError, InvalidRequest
from heliograph.imaging.blending import blend
from heliograph.imaging.marking import mark
from heliograph.ports import AreaShape

MAGENTA = (255, 0, 255)


def marked(folder: Path, data: bytes, area: AreaShape) -> Image.Image:
    made = mark(saved(folder / "picture", data), area, folder)
    with Image.open(made) as picture:
        picture.load()
        assert (picture.format, picture.mode) == ("JPEG", "RGB")
        return picture


def near(colour: object, wanted: tuple[int, ...], by: int = 40) -> bool:
    assert isinstance(colour, tuple)
    return all(abs(a - b) <= by for a, b in zip(colour, wanted, strict=True))


@pytest.mark.parametrize("ground", ["white", "black", "grey", "magenta", "lime"])
def test_the_area_can_be_told_on_any_ground(ground: str, tmp_path: Path) -> None:
    plain = Image.new("RGB", (4000, 2000), ground)
    area = AreaShape(region=(1000, 500, 1000, 1000))
    made = marked(tmp_path, encoded(plain, "png"), area)
    assert made.size == (2048, 1024)
    background = plain.getpixel((0, 0))
    assert isinstance(background, tuple)
    assert near(made.getpixel((100, 100)), background)
    assert near(made.getpixel((2000, 1000)), background)
    assert near(made.getpixel((514, 512)), MAGENTA)  # the outline, just inside the left edge
    assert near(made.getpixel((1021, 512)), MAGENTA)
    tint = tuple(round(0.55 * a + 0.45 * b) for a, b in zip(background, MAGENTA, strict=True))
    assert near(made.getpixel((768, 512)), tint)
    hairline = made.getpixel((510, 512))
    assert near(hairline, (255, 255, 255), by=60)


def test_the_rest_looks_like_the_picture(tmp_path: Path) -> None:
    whole = natural(5504, 3072)
    area = AreaShape(region=(3000, 2000, 800, 600))
    made = marked(tmp_path, encoded(whole, "jpeg", quality=92), area)
    theirs = whole.resize(made.size, Image.Resampling.LANCZOS)
    box = (0, 0, 1000, 1143)
    difference = ImageChops.difference(made.crop(box), theirs.crop(box)).convert("L")
    histogram = difference.histogram()
    mean = sum(i * n for i, n in enumerate(histogram)) / sum(histogram)
    assert made.size == (2048, 1143)
    assert mean < 4


def test_small_pictures_stay_small_and_tiny_areas_are_seen(tmp_path: Path) -> None:
    made = marked(
        tmp_path, encoded(Image.new("RGB", (90, 60)), "png"), AreaShape(region=(40, 30, 9, 9))
    )
    assert made.size == (90, 60)
    large = encoded(Image.new("RGB", (8000, 100)), "png")
    made = marked(tmp_path, large, AreaShape(region=(4000, 50, 1, 1)))
    assert made.size == (2048, 26)
    assert max(made.getchannel("R").tobytes()) > 200


def test_an_area_at_the_edge_of_the_picture_is_outlined_there(tmp_path: Path) -> None:
    data = encoded(Image.new("RGB", (400, 300), "white"), "png")
    made = marked(tmp_path, data, AreaShape(region=(0, 0, 400, 300)))
    for corner in ((0, 150), (399, 150), (200, 0), (200, 299)):
        assert near(made.getpixel(corner), MAGENTA)


def test_half_of_the_strongest_weight_is_marked(tmp_path: Path) -> None:
    mask = Image.new("L", (200, 100))
    mask.paste(60, (0, 0, 50, 100))
    mask.paste(20, (50, 0, 100, 100))
    area = AreaShape(mask=saved(tmp_path / "m.png", encoded(mask, "png")))
    made = marked(tmp_path, encoded(Image.new("RGB", (200, 100), "white"), "png"), area)
    assert near(made.getpixel((25, 50)), (255, 140, 255))
    assert near(made.getpixel((75, 50)), (255, 255, 255))
    assert near(made.getpixel((150, 50)), (255, 255, 255))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "I;16"])
def test_every_kind_of_picture_can_be_marked(mode: str, tmp_path: Path) -> None:
    picture = Image.new("L", (300, 200), 200).convert(mode)
    data = encoded(picture, "jpeg" if mode == "CMYK" else "png")
    made = marked(tmp_path, data, AreaShape(region=(100, 50, 100, 100)))
    assert near(made.getpixel((101, 100)), MAGENTA)


def test_a_turned_picture_is_marked_as_it_is_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (200, 300), "white"), "jpeg", exif=exif.tobytes())
    made = marked(tmp_path, data, AreaShape(region=(200, 0, 100, 200)))
    assert made.size == (300, 200)
    assert near(made.getpixel((250, 100)), (255, 140, 255))
    assert near(made.getpixel((100, 100)), (255, 255, 255))


def test_what_cannot_be_marked_is_said(tmp_path: Path) -> None:
    good = encoded(natural(300, 200), "jpeg")
    area = AreaShape(region=(0, 0, 10, 10))
    for bad in (good[:-500], good[:-400] + b"\xff\xd9", b"GIF89a", b""):
        with pytest.raises(FinishError, match="marked copy could not be made"):
            marked(tmp_path, bad, area)
    with pytest.raises(InvalidRequest, match="outside"):
        marked(tmp_path, good, AreaShape(region=(295, 0, 10, 10)))
    with pytest.raises(InvalidRequest, match="mask"):
        marked(tmp_path, good, AreaShape(mask=tmp_path / "picture"))


def test_what_could_not_be_put_back_is_refused_where_it_will_be(tmp_path: Path) -> None:
    inks = encoded(Image.new("CMYK", (300, 200), (0, 255, 255, 0)), "jpeg")
    bogus = encoded(natural(300, 200), "jpeg", icc_profile=b"no profile at all" * 20)
    for data, words in ((inks, "CMYK"), (bogus, "profile")):
        area = AreaShape(region=(0, 0, 100, 100), protect=True)
        with pytest.raises(InvalidRequest, match=rf"{words}.*convert it to RGB") as caught:
            marked(tmp_path, data, area)
        assert [p.field for p in caught.value.problems] == ["base"]
        # the model may change the whole of it all the same
        assert marked(tmp_path, data, AreaShape(region=(0, 0, 100, 100))).size == (300, 200)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "I;16"])
def test_every_other_kind_of_picture_can_be_protected(mode: str, tmp_path: Path) -> None:
    if mode == "I;16":
        picture = Image.frombytes("I;16", (300, 200), bytes(range(200)) * 600)
    else:
        picture = natural(300, 200).convert(mode)
    area = AreaShape(region=(0, 0, 100, 100), protect=True)
    assert marked(tmp_path, encoded(picture, "png"), area).size == (300, 200)
    change = saved(tmp_path / "change", encoded(natural(300, 200, seed=2), "png"))
    assert blend(tmp_path / "picture", change, area, tmp_path).is_file()

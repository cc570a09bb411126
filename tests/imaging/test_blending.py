"""Protected results: outside the area nothing changes, not by one level, whatever the pictures.

Pillow decodes parent and result and compares them.
"""

import io
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw
from tests.imaging.pictures import encoded, files_in, natural, saved

from heliograph.errors import FinishError, InvalidRequest
from heliograph.imaging.blending import blend
from heliograph.ports import AreaShape

BOX = (20, 10, 50, 40)
AREA = AreaShape(region=(20, 10, 30, 30))


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
        return picture


def blended(folder: Path, parent: bytes, change: bytes, area: AreaShape = AREA) -> Image.Image:
    below, above = saved(folder / "parent", parent), saved(folder / "change", change)
    made = blend(below, above, area, folder)
    assert below.read_bytes() == parent
    picture = opened(made)
    assert picture.format == "PNG"
    return picture


def outside(picture: Image.Image, box: tuple[int, int, int, int]) -> bytes:
    """All pixels but those in the box."""
    blank = picture.copy()
    blank.paste(0 if picture.mode in ("L", "I;16") else (0,) * len(picture.getbands()), box)
    return blank.tobytes()


def flat(mode: str, colour: Any, size: tuple[int, int] = (80, 60)) -> Image.Image:
    return Image.new(mode, size, colour)


@pytest.fixture(scope="module")
def four_k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blend")
    saved(folder / "parent.jpg", encoded(natural(5504, 3072), "jpeg", quality=90))
    saved(folder / "change.jpg", encoded(natural(5504, 3072, seed=2), "jpeg", quality=90))
    return folder


@pytest.mark.parametrize("feather", [0, 48])
def test_at_4k_no_pixel_outside_a_region_changes(feather: int, four_k: Path) -> None:
    box = (1000, 800, 2800, 2000)
    area = AreaShape(region=(1000, 800, 1800, 1200), feather=feather)
    made = opened(blend(four_k / "parent.jpg", four_k / "change.jpg", area, four_k))
    parent, change = opened(four_k / "parent.jpg"), opened(four_k / "change.jpg")
    assert (made.size, made.mode) == ((5504, 3072), "RGB")
    assert outside(made, box) == outside(parent, box)
    core = (1000 + feather, 800 + feather, 2800 - feather, 2000 - feather)
    assert made.crop(core).tobytes() == change.crop(core).tobytes()


def test_at_4k_no_pixel_outside_a_mask_changes(four_k: Path) -> None:
    small = Image.new("L", (2752, 1536))
    ImageDraw.Draw(small).ellipse((400, 300, 1500, 1200), fill=255)
    area = AreaShape(mask=saved(four_k / "mask.png", encoded(small, "png")), feather=32)
    made = opened(blend(four_k / "parent.jpg", four_k / "change.jpg", area, four_k))
    difference = ImageChops.difference(made, opened(four_k / "parent.jpg"))
    mask = small.resize((5504, 3072), Image.Resampling.NEAREST)
    difference.paste((0, 0, 0), None, mask)
    assert difference.getbbox() is None
    middle = (1600, 1300, 2200, 1700)
    assert made.crop(middle).tobytes() == opened(four_k / "change.jpg").crop(middle).tobytes()


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_random_pictures_masks_and_feathers(seed: int) -> None:
    rng = random.Random(seed)
    width, height = rng.randint(1, 70), rng.randint(1, 70)
    mode = rng.choice(["L", "LA", "RGB", "RGBA"])
    kind = rng.choice(["png"] + (["webp", "jpeg"] if mode == "RGB" else []))
    bands = len(mode)
    raw = rng.randbytes(width * height * bands)
    parent = encoded(Image.frombytes(mode, (width, height), raw), kind)
    size = (rng.randint(1, 90), rng.randint(1, 90)) if rng.random() < 0.5 else (width, height)
    change = encoded(Image.frombytes("RGB", size, rng.randbytes(size[0] * size[1] * 3)), "png")
    mask = Image.frombytes("L", (width, height), rng.randbytes(width * height))
    mask = mask.point(lambda v: max(0, v - 128) * 2 if rng.random() < 0.8 else 0)
    mask.putpixel((rng.randrange(width), rng.randrange(height)), 255)
    folder = Path(tempfile.mkdtemp())
    try:
        path = saved(folder / "mask.png", encoded(mask, "png"))
        area = AreaShape(mask=path, feather=rng.choice([0, 1, 3, 30]))
        made = blended(folder, parent, change, area)
        before = Image.open(io.BytesIO(parent)).convert("RGBA" if "A" in mode else "RGB")
        assert (made.size, made.mode) == (before.size, before.mode)
        kept = mask.point(lambda v: 255 if v == 0 else 0)
        nothing = Image.new(made.mode, made.size)
        ours, theirs = nothing.copy(), nothing.copy()
        ours.paste(made, None, kept)
        theirs.paste(before, None, kept)
        assert ours.tobytes() == theirs.tobytes()
        if "A" in mode:
            assert made.getchannel("A").tobytes() == before.getchannel("A").tobytes()
    finally:
        shutil.rmtree(folder)


def test_grey_masks_mix(tmp_path: Path) -> None:
    mask = Image.linear_gradient("L").resize((80, 60))
    area = AreaShape(mask=saved(tmp_path / "m.png", encoded(mask, "png")))
    black, white = flat("RGB", "black"), flat("RGB", "white")
    made = blended(tmp_path, encoded(black, "png"), encoded(white, "png"), area)
    assert made.getchannel("R").tobytes() == mask.tobytes()


def test_the_same_inputs_give_the_same_file(tmp_path: Path) -> None:
    parent = saved(tmp_path / "p", encoded(natural(300, 200), "jpeg"))
    change = saved(tmp_path / "c", encoded(natural(400, 260, seed=2), "webp"))
    area = AreaShape(region=(50, 50, 100, 100), feather=9)
    first = blend(parent, change, area, tmp_path)
    data = first.read_bytes()
    first.unlink()
    again = blend(parent, change, area, tmp_path)
    assert (again, again.read_bytes()) == (first, data)


def test_a_change_of_another_size_is_scaled_to_its_place(tmp_path: Path) -> None:
    change = flat("RGB", (10, 20, 30), (160, 120))
    change.paste((200, 100, 50), (40, 20, 100, 80))
    made = blended(tmp_path, encoded(flat("RGB", "white"), "png"), encoded(change, "png"))
    assert made.getpixel((35, 25)) == (200, 100, 50)
    assert made.getpixel((19, 25)) == (255, 255, 255)
    assert made.size == (80, 60)


def test_a_turned_parent_is_edited_as_it_is_seen(tmp_path: Path) -> None:
    upright = natural(80, 60)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    parent = encoded(stored, "png", exif=exif.tobytes())
    made = blended(tmp_path, parent, encoded(flat("RGB", "red"), "png"))
    assert made.size == (80, 60)
    assert outside(made, BOX) == outside(upright, BOX)
    assert made.getpixel((35, 25)) == (255, 0, 0)
    assert not made.getexif()


def test_transparency_of_the_parent_is_kept_and_that_of_the_change_lets_it_through(
    tmp_path: Path,
) -> None:
    parent = natural(80, 60).convert("RGBA")
    parent.putalpha(Image.linear_gradient("L").resize((80, 60)))
    change = flat("RGBA", (255, 0, 0, 255))
    change.paste((0, 0, 255, 0), (20, 10, 30, 40))
    made = blended(tmp_path, encoded(parent, "png"), encoded(change, "png"))
    assert made.getchannel("A").tobytes() == parent.getchannel("A").tobytes()
    assert outside(made, BOX) == outside(parent, BOX)
    assert made.crop((20, 10, 30, 40)).tobytes() == parent.crop((20, 10, 30, 40)).tobytes()
    assert made.convert("RGB").getpixel((40, 20)) == (255, 0, 0)


def test_16_bits_stay_16_bits(tmp_path: Path) -> None:
    noise = pyvips.Image.gaussnoise(80, 60, sigma=9000, mean=30000, seed=3)
    deep = noise.bandjoin([noise + 99, noise - 99]).cast("ushort").copy(interpretation="rgb16")
    change = encoded(flat("RGB", (255, 128, 0)), "png")
    parent = saved(tmp_path / "p.png", bytes(deep.pngsave_buffer()))
    above = saved(tmp_path / "c.png", change)
    made = pyvips.Image.new_from_file(str(blend(parent, above, AREA, tmp_path)))
    assert (made.format, made.interpretation) == ("ushort", "rgb16")
    assert made(35, 25) == [65535, 128 * 257, 0]
    difference = (made - deep).abs().draw_rect([0, 0, 0], 20, 10, 30, 30, fill=True)
    assert difference.max() == 0


def test_a_16_bit_change_fits_an_8_bit_parent(tmp_path: Path) -> None:
    black = pyvips.Image.black(80, 60, bands=3)
    deep = black.linear(1, [65535, 32896, 257]).cast("ushort")
    change = bytes(deep.copy(interpretation="rgb16").pngsave_buffer())
    made = blended(tmp_path, encoded(natural(80, 60), "png"), change)
    assert made.getpixel((35, 25)) == (255, 128, 1)


def profiled(colour: list[int], profile: str) -> bytes:
    picture = (pyvips.Image.black(80, 60, bands=3) + colour).cast("uchar")
    picture = picture.copy(interpretation="srgb")
    blob = pyvips.Operation.call("profile_load", profile)
    picture.set_type(pyvips.GValue.blob_type, "icc-profile-data", blob)
    return bytes(picture.pngsave_buffer())


def test_the_change_is_converted_to_the_profile_of_the_parent(tmp_path: Path) -> None:
    parent = profiled([200, 40, 40], "p3")
    made = blended(tmp_path, parent, encoded(flat("RGB", (0, 200, 0)), "png"))
    assert made.info["icc_profile"] == opened(tmp_path / "parent").info["icc_profile"]
    assert made.getpixel((5, 5)) == (200, 40, 40)
    assert made.getpixel((35, 25)) == pytest.approx(
        (91, 197, 60), abs=8
    )  # the same green, said in P3
    back = blended(tmp_path, encoded(flat("RGB", "white"), "png"), profiled([91, 197, 60], "p3"))
    assert "icc_profile" not in back.info
    assert back.getpixel((35, 25)) == pytest.approx((0, 200, 0), abs=12)
    same = blended(tmp_path, parent, profiled([1, 2, 3], "p3"))
    assert same.getpixel((35, 25)) == (1, 2, 3)


def test_unusable_profiles_are_said_of_the_parent_and_harmless_in_the_change(
    tmp_path: Path,
) -> None:
    bogus = encoded(natural(80, 60), "jpeg", icc_profile=b"no profile at all" * 20)
    with pytest.raises(FinishError, match="profile"):
        blended(tmp_path, bogus, encoded(flat("RGB", "red"), "png"))
    change = encoded(flat("RGB", "red"), "jpeg", icc_profile=b"no profile at all" * 20)
    made = blended(tmp_path, encoded(natural(80, 60), "png"), change)
    assert made.getpixel((35, 25)) == pytest.approx((254, 0, 0), abs=2)


def test_a_grey_parent_can_get_colour(tmp_path: Path) -> None:
    parent = natural(80, 60, mode="L")
    made = blended(tmp_path, encoded(parent, "png"), encoded(flat("RGB", "red"), "png"))
    assert outside(made, BOX) == outside(parent.convert("RGB"), BOX)
    assert made.getpixel((35, 25)) == (255, 0, 0)
    made = blended(tmp_path, encoded(natural(80, 60), "png"), encoded(flat("L", 77), "jpeg"))
    assert made.getpixel((35, 25)) == (77, 77, 77)


def test_inks_are_refused_in_the_parent_and_converted_in_the_change(tmp_path: Path) -> None:
    inks = encoded(flat("CMYK", (0, 255, 255, 0)), "jpeg")
    plain = encoded(natural(80, 60), "png")
    with pytest.raises(FinishError, match="CMYK"):
        blended(tmp_path, inks, plain)
    red, green, blue = blended(tmp_path, plain, inks).crop((35, 25, 36, 26)).tobytes()
    assert red > 180
    assert max(green, blue) < 90


def test_broken_animated_and_missing_pictures_are_refused(tmp_path: Path) -> None:
    good = encoded(natural(200, 160), "jpeg", quality=95)
    frames = [flat("RGB", colour) for colour in ("red", "blue")]
    bad = [
        (encoded(frames[0], "webp", save_all=True, append_images=frames[1:]), "animated"),
        (good[: len(good) // 2], "could not be made"),
        (good[:-400] + b"\xff\xd9", "could not be made"),
        (encoded(frames[0], "gif"), "looks like GIF"),
        (b"%PDF-1.7\n%", "looks like PDF"),
        (b"", "empty file"),
    ]
    low = AreaShape(region=(20, 100, 100, 60))  # what is not taken from a picture is not judged
    for data, words in bad:
        with pytest.raises(FinishError, match=words) as caught:
            blended(tmp_path, data, good)
        assert caught.value.remedy
        with pytest.raises(FinishError, match=words):
            blended(tmp_path, good, data, low)
    with pytest.raises(FinishError, match="could not be made"):
        blend(tmp_path / "none", tmp_path / "parent", AREA, tmp_path)
    with pytest.raises(FinishError, match="could not be made"):
        blend(saved(tmp_path / "p", good), tmp_path / "none", AREA, tmp_path)
    with pytest.raises(FinishError, match="could not be made"):
        blend(tmp_path / "p", tmp_path / "p", AREA, tmp_path / "no folder")
    assert not [name for name in files_in(tmp_path) if name.startswith((".", "blended"))]


def test_an_area_outside_the_upright_picture_is_refused(tmp_path: Path) -> None:
    data = encoded(natural(80, 60), "png")
    with pytest.raises(InvalidRequest, match="80x60"):
        blended(tmp_path, data, data, AreaShape(region=(0, 0, 81, 10)))

"""Areas: what goes with a picture and what does not, before and after a mask is decoded."""

from pathlib import Path

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from tests.imaging.pictures import encoded, natural, saved

from heliograph.errors import InvalidRequest
from heliograph.imaging import check_area
from heliograph.imaging.masking import area_weights, boxed, feathered
from heliograph.ports import AreaShape
from heliograph.types import Pixels

SIZE = Pixels(60, 40)


def weights_of(picture: Image.Image, tmp_path: Path, size: Pixels = SIZE) -> Image.Image:
    path = saved(tmp_path / "mask.png", encoded(picture, "png"))
    found = area_weights(AreaShape(mask=path), size)
    assert (found.width, found.height, found.bands) == (size.width, size.height, 1)
    assert found.format == "uchar"
    return Image.frombytes("L", (size.width, size.height), found.write_to_memory())


def refusal(mask: Path, size: Pixels = SIZE) -> str:
    with pytest.raises(InvalidRequest) as caught:
        area_weights(AreaShape(mask=mask), size)
    (problem,) = caught.value.problems
    assert problem.field == "mask"
    assert "/" not in problem.value
    return problem.message


@pytest.mark.parametrize(
    ("area", "field", "nearest"),
    [
        (AreaShape(), "region", ()),
        (AreaShape(region=(0, 0, 1, 1), mask=Path("m.png")), "mask", ()),
        (AreaShape(region=(0, 0, 0, 5)), "region", ()),
        (AreaShape(region=(0, 0, 5, -1)), "region", ()),
        (AreaShape(region=(-2, 0, 5, 5)), "region", ("0,0,3,5",)),
        (AreaShape(region=(50, 30, 20, 20)), "region", ("50,30,10,10",)),
        (AreaShape(region=(60, 0, 5, 5)), "region", ()),
        (AreaShape(region=(0, 0, 5, 5), feather=-1), "feather", ("0",)),
        (AreaShape(region=(0, 0, 5, 5), feather=257), "feather", ("256",)),
    ],
)
def test_what_is_wrong_with_an_area(area: AreaShape, field: str, nearest: tuple[str, ...]) -> None:
    (problem,) = check_area(area, SIZE)
    assert (problem.field, problem.nearest) == (field, nearest)
    with pytest.raises(InvalidRequest) as caught:
        area_weights(area, SIZE)
    assert caught.value.problems == (problem,)


def test_all_problems_are_told_at_once() -> None:
    area = AreaShape(region=(0, 0, 99, 1), mask=Path("m"), feather=999)
    assert {p.field for p in check_area(area, SIZE)} == {"region", "mask", "feather"}


@given(
    left=st.integers(-70, 70),
    top=st.integers(-50, 50),
    width=st.integers(-5, 80),
    height=st.integers(-5, 60),
)
def test_a_region_is_good_exactly_when_all_of_it_is_in_the_picture(
    left: int, top: int, width: int, height: int
) -> None:
    inside = left >= 0 and top >= 0 and left + width <= 60 and top + height <= 40
    good = width > 0 and height > 0 and inside
    found = check_area(AreaShape(region=(left, top, width, height)), SIZE)
    assert (found == ()) == good
    for hint in (h for p in found for h in p.nearest):
        x, y, w, h = map(int, hint.split(","))
        assert check_area(AreaShape(region=(x, y, w, h)), SIZE) == ()


def test_a_region_weighs_its_own_pixels_and_no_others() -> None:
    found = area_weights(AreaShape(region=(3, 5, 7, 11)), SIZE)
    theirs = Image.new("L", (60, 40))
    theirs.paste(255, (3, 5, 10, 16))
    assert found.write_to_memory() == theirs.tobytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "P", "I;16", "RGBA", "LA"])
def test_white_is_change_in_every_kind_of_png(mode: str, tmp_path: Path) -> None:
    plain = Image.new("L", (60, 40))
    ImageDraw.Draw(plain).ellipse((10, 5, 30, 25), fill=255)
    if mode == "I;16":
        deep = Image.frombytes("I;16", (60, 40), bytes(b for v in plain.tobytes() for b in (v, v)))
        assert weights_of(deep, tmp_path).tobytes() == plain.tobytes()
    else:
        assert weights_of(plain.convert(mode), tmp_path).tobytes() == plain.tobytes()


def test_grey_is_partial(tmp_path: Path) -> None:
    grey = Image.linear_gradient("L").resize((60, 40))
    assert weights_of(grey, tmp_path).tobytes() == grey.tobytes()
    assert weights_of(grey.convert("RGB"), tmp_path).tobytes() == grey.tobytes()


@pytest.mark.parametrize("under", ["black", "white", "photo", "erased"])
def test_transparent_is_change_as_in_openai_edits(under: str, tmp_path: Path) -> None:
    colour = natural(60, 40) if under == "photo" else Image.new("RGB", (60, 40), "white")
    if under == "black":
        colour = Image.new("RGB", (60, 40))
    alpha = Image.new("L", (60, 40), 255)
    alpha.paste(0, (20, 10, 40, 20))
    alpha.paste(100, (20, 20, 40, 25))
    picture = colour.convert("RGBA")
    picture.putalpha(alpha)
    if under == "erased":  # as a canvas leaves it: black where nothing is seen
        picture.paste((0, 0, 0, 0), (20, 10, 40, 20))
    assert weights_of(picture, tmp_path).tobytes() == alpha.point(lambda v: 255 - v).tobytes()


@pytest.mark.parametrize("strength", [255, 120, 3])
@pytest.mark.parametrize("shade", [255, 140])
def test_light_paint_on_a_transparent_layer_is_unclear_to_the_strict(
    strength: int, shade: int, tmp_path: Path
) -> None:
    layer = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    layer.paste((shade, shade, shade, strength), (10, 10, 30, 30))
    path = saved(tmp_path / "layer.png", encoded(layer, "png"))
    with pytest.raises(InvalidRequest, match="unclear"):
        area_weights(AreaShape(mask=path, strict=True), Pixels(60, 40))
    assert area_weights(AreaShape(mask=path), Pixels(60, 40)).max() == 255


@pytest.mark.parametrize("under", ["black", "photo", "nothing"])
def test_what_can_be_meant_in_one_way_only_is_taken_by_the_strict_too(
    under: str, tmp_path: Path
) -> None:
    picture = natural(60, 40).convert("RGBA")
    if under != "photo":
        picture.paste((0, 0, 0, 255), (0, 0, 60, 40))
    picture.paste((255, 255, 255, 0), (0, 0, 60, 40) if under == "nothing" else (20, 10, 40, 20))
    path = saved(tmp_path / "mask.png", encoded(picture, "png"))
    found = area_weights(AreaShape(mask=path, strict=True), Pixels(60, 40))
    assert found(20, 10) == [255]
    assert found(0, 0) == [255 if under == "nothing" else 0]


def test_unclear_masks_are_refused(tmp_path: Path) -> None:
    both = Image.new("RGBA", (60, 40), (0, 0, 0, 255))
    both.paste((255, 255, 255, 255), (0, 0, 20, 40))
    both.paste((0, 0, 0, 0), (40, 0, 60, 40))
    assert "unclear" in refusal(saved(tmp_path / "both.png", encoded(both, "png")))
    photo = saved(tmp_path / "photo.png", encoded(natural(60, 40), "png"))
    assert "coloured" in refusal(photo)
    opaque = saved(tmp_path / "opaque.png", encoded(natural(60, 40).convert("RGBA"), "png"))
    assert "coloured" in refusal(opaque)


def test_masks_that_change_nothing_or_are_none_are_refused(tmp_path: Path) -> None:
    whole = encoded(Image.effect_noise((600, 400), 50), "png")
    cases = {
        "nothing would be changed": encoded(Image.new("L", (60, 40)), "png"),
        "ratio (60x60 px)": encoded(Image.new("L", (60, 60), 255), "png"),
        "it is a JPEG": encoded(Image.new("L", (60, 40), 255), "jpeg"),
        "looks like GIF": encoded(Image.new("L", (60, 40), 255), "gif"),
        "looks like": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "refused": whole[: len(whole) // 2],
    }
    for words, data in cases.items():
        assert words in refusal(saved(tmp_path / "mask.png", data))
    frames = [Image.new("L", (60, 40), shade) for shade in (255, 0)]
    animated = encoded(frames[0], "png", save_all=True, append_images=frames[1:])
    assert "animated" in refusal(saved(tmp_path / "mask.png", animated))
    assert "no such file" in refusal(tmp_path / "missing.png")
    assert "not a regular file" in refusal(tmp_path)


def test_masks_of_another_size_and_nearly_the_same_ratio_are_scaled(tmp_path: Path) -> None:
    small = Image.new("L", (30, 20))
    ImageDraw.Draw(small).polygon([(3, 3), (25, 10), (5, 18)], fill=255)
    large = weights_of(small, tmp_path)
    assert large.tobytes() == small.resize((60, 40), Image.Resampling.NEAREST).tobytes()
    odd = weights_of(small, tmp_path, Pixels(101, 67))
    assert odd.tobytes() == small.resize((101, 67), Image.Resampling.NEAREST).tobytes()
    assert weights_of(large, tmp_path, Pixels(30, 20)).getextrema() == (0, 255)
    path = saved(tmp_path / "m.png", encoded(small, "png"))
    assert "ratio" in refusal(path, Pixels(103, 67))


@given(
    region=st.tuples(
        st.integers(0, 40), st.integers(0, 25), st.integers(1, 20), st.integers(1, 15)
    ),
    feather=st.integers(0, 40),
)
def test_feathers_stay_inside_and_leave_at_least_half(
    region: tuple[int, int, int, int], feather: int
) -> None:
    hard = area_weights(AreaShape(region=region), SIZE)
    soft = feathered(hard, feather)
    assert (soft.width, soft.height, soft.format) == (60, 40, "uchar")
    before, after = bytes(hard.write_to_memory()), bytes(soft.write_to_memory())
    assert all(a <= b for a, b in zip(after, before, strict=True))
    assert 2 * sum(after) >= sum(before)


def test_a_feather_is_a_ramp_of_its_width_and_leaves_the_picture_edge_hard() -> None:
    size = Pixels(400, 100)
    hard = area_weights(AreaShape(region=(0, 0, 300, 100)), size)
    row = feathered(hard, 20).crop(0, 50, 400, 1).write_to_memory()
    assert set(row[:280]) == {255}
    assert set(row[300:]) == {0}
    ramp = list(row[280:300])
    assert ramp == sorted(ramp, reverse=True)
    assert 240 < ramp[0] < 255
    assert 0 <= ramp[-1] < 5
    assert 110 < ramp[10] < 145


def test_wide_feathers_are_ramps_too() -> None:
    size = Pixels(1500, 40)
    hard = area_weights(AreaShape(region=(0, 0, 1200, 40)), size)
    row = feathered(hard, 256).crop(0, 20, 1500, 1).write_to_memory()
    assert set(row[:940]) == {255}
    assert set(row[1200:]) == {0}
    ramp = list(row[944:1200])
    assert ramp == sorted(ramp, reverse=True)
    assert 110 < ramp[128] < 145


def test_grey_masks_keep_their_grey_under_a_feather(tmp_path: Path) -> None:
    mask = Image.new("L", (60, 40))
    mask.paste(128, (10, 5, 50, 35))
    path = saved(tmp_path / "m.png", encoded(mask, "png"))
    soft = feathered(area_weights(AreaShape(mask=path), SIZE), 4)
    assert soft.max() == 128
    assert 0 < soft(10, 20)[0] < 20


@pytest.mark.parametrize("radius", [1, 7, 64, 65, 200])
def test_box_means_are_means(radius: int) -> None:
    spot = pyvips.Image.black(500, 300).draw_rect(255, 200, 100, 90, 60, fill=True)
    found = boxed(spot, radius)
    x, y = 200, 130
    across = sum(200 <= i < 290 for i in range(x - radius, x + radius + 1))
    down = sum(100 <= i < 160 for i in range(y - radius, y + radius + 1))
    mean = across * down / (2 * radius + 1) ** 2
    assert found(x, y)[0] / 65535 == pytest.approx(mean, abs=0.01 if radius > 64 else 0.0005)

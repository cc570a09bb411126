"""Contact sheets: every picture in its place, every text harmless. Pillow looks at them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops
from tests.imaging.pictures import encoded, files_in, natural, saved

from heliograph.errors import FinishError, InvalidRequest
from heliograph.imaging.lettering import ink_width, line_height, plain, set_line
from heliograph.imaging.sheet import CELL, sheet
from heliograph.ports import Cell

MARGIN, GAP = 48, 32


def made(folder: Path, cells: list[Cell], *, columns: int = 3, title: str = "") -> Image.Image:
    path = sheet(cells, folder, columns=columns, title=title)
    with Image.open(path) as picture:
        picture.load()
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return picture


def inked(picture: Image.Image, box: tuple[int, int, int, int]) -> bool:
    part = picture.crop(box)
    blank = Image.new("RGB", part.size, "white")
    return ImageChops.difference(part, blank).getbbox() is not None


def test_pictures_lie_in_rows_in_their_order(tmp_path: Path) -> None:
    colours = ["red", "lime", "blue", "yellow", "cyan"]
    cells = [
        Cell(picture=saved(tmp_path / c, encoded(Image.new("RGB", (960, 540), c), "png")))
        for c in colours
    ]
    page = made(tmp_path, cells)
    assert page.width == 2 * MARGIN + 3 * CELL + 2 * GAP
    assert page.getpixel((0, 0)) == page.getpixel((page.width - 1, page.height - 1)) == (255,) * 3
    down = (page.height - 2 * MARGIN + GAP) // 2
    for index, colour in enumerate(colours):
        x = MARGIN + index % 3 * (CELL + GAP) + CELL // 2
        y = MARGIN + index // 3 * down + 135
        assert page.getpixel((x, y)) == Image.new("RGB", (1, 1), colour).getpixel((0, 0))
    assert not inked(page, (MARGIN + 2 * (CELL + GAP), MARGIN + down, page.width, page.height))


def test_pictures_are_shown_small_and_whole(tmp_path: Path) -> None:
    for size, shown in (((1000, 500), (480, 240)), ((300, 3000), (48, 480)), ((20, 10), (20, 10))):
        picture = Image.new("RGB", size, "red")
        cell = Cell(picture=saved(tmp_path / "p", encoded(picture, "png")))
        page = made(tmp_path, [cell])
        red = ImageChops.difference(page, Image.new("RGB", page.size, "red")).convert("L")
        box = red.point(lambda v: 255 if v == 0 else 0).getbbox()
        assert box is not None
        assert (box[2] - box[0], box[3] - box[1]) == shown


def test_words_are_under_the_picture_and_the_title_above(tmp_path: Path) -> None:
    picture = saved(tmp_path / "p", encoded(Image.new("RGB", (480, 200), "red"), "png"))
    bare = made(tmp_path, [Cell(picture=picture)])
    assert not inked(bare, (0, MARGIN + 200, bare.width, bare.height))
    told = made(tmp_path, [Cell(picture=picture, lines=("灯塔 Lighthouse", "", "0.24 $"))])
    assert told.size == bare.size
    first, height = MARGIN + 200 + 10, line_height(19)
    assert inked(told, (MARGIN, first, 400, first + height))
    second = first + height
    assert not inked(told, (MARGIN, second, 400, second + line_height(17)))
    assert inked(told, (MARGIN, second + line_height(17), 400, second + 2 * line_height(17)))
    titled = made(tmp_path, [Cell(picture=picture)], title="Twelve lighthouses")
    assert titled.height == bare.height + line_height(36) + GAP
    assert inked(titled, (MARGIN, MARGIN, titled.width, MARGIN + line_height(36)))


def test_a_badge_is_on_the_picture(tmp_path: Path) -> None:
    picture = saved(tmp_path / "p", encoded(Image.new("RGB", (480, 200), "red"), "png"))
    page = made(tmp_path, [Cell(picture=picture, badge="SIMULATED " * 20)])
    assert page.getpixel((MARGIN + 14, MARGIN + 14)) == (28, 28, 32)
    assert page.getpixel((MARGIN + 5, MARGIN + 5)) == (255, 0, 0)
    assert page.getpixel((MARGIN + CELL - 1, MARGIN + 20)) == (255, 0, 0)


def test_places_without_a_picture_say_so(tmp_path: Path) -> None:
    good = encoded(natural(900, 600), "jpeg")
    frames = [Image.new("RGB", (80, 60), colour) for colour in ("red", "blue")]
    bad = [
        good[:-900],
        good[:-900] + b"\xff\xd9",
        encoded(frames[0], "webp", save_all=True, append_images=frames[1:]),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"",
    ]
    paths = [saved(tmp_path / f"bad{i}", data) for i, data in enumerate(bad)]
    broken = made(tmp_path, [Cell(picture=tmp_path / "none")])
    for path in paths:
        assert made(tmp_path, [Cell(picture=path)]).tobytes() == broken.tobytes()
    empty = made(tmp_path, [Cell(picture=None)])
    assert empty.size == broken.size
    assert empty.tobytes() != broken.tobytes()
    beside = made(tmp_path, [Cell(picture=paths[0]), Cell(picture=saved(tmp_path / "g", good))])
    assert inked(beside, (MARGIN + CELL + GAP, MARGIN, beside.width - MARGIN, 200))


def test_too_much_and_too_little_is_refused(tmp_path: Path) -> None:
    one = Cell(picture=None)
    cases = [([], 3, "cells"), ([one], 0, "columns"), ([one], 13, "columns"), ([one] * 999, 12, "")]
    for cells, columns, field in cases:
        with pytest.raises(InvalidRequest) as caught:
            sheet(cells, tmp_path, columns=columns, title="")
        assert {p.field for p in caught.value.problems} == {field or "cells"}
    with pytest.raises(FinishError, match="contact sheet could not be made"):
        sheet([one], tmp_path / "no folder", columns=1, title="")
    assert files_in(tmp_path) == []


def test_the_tallest_sheet_that_is_allowed_can_be_opened(tmp_path: Path) -> None:
    tall = Cell(picture=saved(tmp_path / "p", encoded(Image.new("RGB", (10, 480)), "png")))
    with pytest.raises(InvalidRequest) as caught:
        sheet([tall] * 999, tmp_path, columns=1, title="Title")
    most = int(caught.value.problems[0].message.split()[2])
    assert most > 20
    assert made(tmp_path, [tall] * most, columns=1, title="Title").height <= 16_384


def test_nothing_in_a_text_is_obeyed(tmp_path: Path) -> None:
    marked_up = set_line("<b>&amp;</b>", 20, 300)
    assert ink_width(marked_up) > ink_width(set_line("&", 20, 300)) * 3
    assert plain("a\nb\t c\r\n") == "a b c"
    assert plain("a\x00b\x1b[0m\u202ec\ud800") == "a□b□[0m□c□"


@settings(max_examples=60)
@given(text=st.text(st.characters(), max_size=60), width=st.integers(1, 300))
def test_any_text_makes_a_line_of_exactly_its_size(text: str, width: int) -> None:
    mask = set_line(text, 17, width)
    assert (mask.width, mask.height, mask.bands) == (width, line_height(17), 1)
    assert mask.format == "uchar"


def test_long_lines_end_in_an_ellipsis() -> None:
    for text in ("word " * 500, "灯" * 9000, "W" * 300, "…" * 300):
        mask = set_line(text, 17, 200)
        assert 150 < ink_width(mask) <= 200
    short = set_line("word", 17, 200)
    assert ink_width(short) < 60
    same = set_line("x" * 10_000, 17, 200)
    assert bytes(same.write_to_memory()) == bytes(set_line("x" * 400, 17, 200).write_to_memory())


def framed(letter: str) -> bool:
    """Whether a letter is drawn as what is drawn for those that are missing: a box of digits."""
    mask = set_line(letter, 60, 200)
    left, top, width, height = mask.find_trim(background=0, threshold=0, line_art=True)
    edges = [
        (left, top, width, 2),
        (left, top + height - 2, width, 2),
        (left, top, 2, height),
        (left + width - 2, top, 2, height),
    ]
    return all(mask.crop(*edge).avg() > 100 for edge in edges)


@pytest.mark.parametrize(
    "text", ["Lighthouse", "灯塔與黃昏", "とうだい 灯台", "등대", "Façade ß €…"]
)
def test_scripts_are_in_the_face(text: str) -> None:
    assert framed("\U0001f9ff")
    assert [letter for letter in text.replace(" ", "") if framed(letter)] == []


def test_lines_share_a_base_line() -> None:
    flat, deep = set_line("ace", 40, 200), set_line("gage", 40, 200)
    rows = [i for i in range(flat.height) if flat.crop(0, i, 200, 1).max() > 128]
    low = [i for i in range(deep.height) if deep.crop(0, i, 200, 1).max() > 128]
    assert rows[0] == pytest.approx(low[0], abs=1)
    assert low[-1] > rows[-1] + 3

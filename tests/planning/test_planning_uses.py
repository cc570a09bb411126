"""Each named use gives its exact pixels from an original that covers them."""

import pytest

from heliograph.errors import InvalidRequest, Problem
from heliograph.planning import plan, uses
from heliograph.types import ExportSpec, Finish, Pixels, Plan, Request

NAMED = {
    "youtube thumbnail": (1280, 720),
    "youtube banner": (2560, 1440),
    "instagram post": (1080, 1080),
    "instagram portrait": (1080, 1350),
    "instagram landscape": (1080, 566),
    "instagram story": (1080, 1920),
    "facebook post": (1200, 630),
    "facebook cover": (1640, 624),
    "linkedin banner": (1584, 396),
    "linkedin post": (1200, 627),
    "x header": (1500, 500),
    "x post": (1600, 900),
    "pinterest pin": (1000, 1500),
    "open graph": (1200, 630),
    "web hero": (1920, 1080),
    "presentation slide": (1920, 1080),
    "desktop wallpaper": (2560, 1440),
    "4k wallpaper": (3840, 2160),
    "5k wallpaper": (5120, 2880),
    "ultrawide wallpaper": (3440, 1440),
    "phone wallpaper": (1440, 3200),
    "ebook cover": (1600, 2560),
    "podcast cover": (3000, 3000),
    "a6": (1240, 1748),
    "a5": (1748, 2480),
    "a4": (2480, 3508),
    "a3": (2923, 4134),  # 250 dpi
    "a2": (3307, 4677),  # 200 dpi
    "a1": (2806, 3973),  # 120 dpi
    "a0": (3311, 4681),  # 100 dpi
    "letter": (2550, 3300),
    "legal": (2550, 4200),
    "tabloid": (2750, 4250),  # 250 dpi
    "business card": (1004, 650),
    "us business card": (1050, 600),
    "photo 10x15": (1772, 1181),
    "poster 50x70": (2953, 4134),  # 150 dpi
    "us poster": (2700, 3600),  # 150 dpi
}


def planned(use: str, **wishes: object) -> Plan:
    return plan(Request(prompt="a lighthouse", use=use, **wishes))  # type: ignore[arg-type]


def export(use: str, **wishes: object) -> ExportSpec:
    return planned(use, **wishes).exports[0]


def problem(use: str, **wishes: object) -> Problem:
    with pytest.raises(InvalidRequest) as caught:
        planned(use, **wishes)
    (only,) = caught.value.problems
    return only


def test_every_row_is_tested() -> None:
    assert [row.name for row in uses().use] == list(NAMED)


@pytest.mark.parametrize(("use", "pixels"), NAMED.items())
def test_named_uses(use: str, pixels: tuple[int, int]) -> None:
    found = planned(use)
    assert found.exports[0].pixels == Pixels(*pixels)
    assert found.expected is not None
    assert found.expected.width >= pixels[0]
    assert found.expected.height >= pixels[1]


def test_every_alias_means_its_row() -> None:
    for row in uses().use:
        for alias in row.aliases:
            assert export(alias) == export(row.name), alias


@pytest.mark.parametrize(
    ("use", "pixels", "dpi"),
    [
        ("A4 portrait 300dpi", (2480, 3508), 300),
        ("a4 print at 300 dpi landscape", (3508, 2480), 300),
        ("A4 LANDSCAPE @ 150 DPI", (1754, 1240), 150),
        ("A3 print at 290 dpi", (3391, 4795), 290),
        ("poster 50x70 cm at 150 dpi", (2953, 4134), 150),
        ("poster 50×70 cm", (2953, 4134), 150),
        ("10 x 15 cm at 300 dpi", (1181, 1772), 300),
        ("100x150mm", (1181, 1772), 300),
        ("8.5x11 in at 200 dpi", (1700, 2200), 200),
        ('4"x6" 300 ppi', (1200, 1800), 300),
        ("business card print", (1004, 650), 300),
        ("web 1600px", (1600, 900), None),
        ("web 1200 px", (1200, 675), None),
        ("web 1600x1000", (1600, 1000), None),
        ("3000x2000 px", (3000, 2000), None),
        ("phone wallpaper landscape", (3200, 1440), None),
        ("youtube thumbnail at 72 dpi", (1280, 720), 72),
        ("手机壁纸", (1440, 3200), None),
        ("Ａ４", (2480, 3508), 300),
    ],
)
def test_free_forms(use: str, pixels: tuple[int, int], dpi: int | None) -> None:
    found = export(use)
    assert (found.pixels, found.dpi) == (Pixels(*pixels), dpi)


def test_a_ratio_shapes_the_web_and_turns_a_print() -> None:
    assert export("web 1600px", aspect="1:1").pixels == Pixels(1600, 1600)
    assert export("web 900px", aspect="9:16").pixels == Pixels(900, 1600)
    assert export("a4", aspect="3:2").pixels == Pixels(3508, 2480)


@pytest.mark.parametrize(
    ("use", "nearest"),
    [
        ("A3 print at 306 dpi", "a3 at 290 dpi"),
        ("a2 at 300 dpi", "a2 at 205 dpi"),
        ("a2 landscape at 300 dpi", "a2 landscape at 205 dpi"),
        ("50x70 cm at 300 dpi", "50x70 cm at 174 dpi"),
    ],
)
def test_prints_too_large_name_the_dpi_that_is_reached(use: str, nearest: str) -> None:
    found = problem(use)
    assert (found.field, found.value, found.nearest) == ("use", use, (nearest,))
    assert f"reaches {nearest.split()[-2]} dpi" in found.message
    planned(found.nearest[0])  # what is offered can be had


@pytest.mark.parametrize(
    ("use", "nearest"),
    [
        ("instgram stroy", "instagram story"),
        ("you tube thumbnail", "youtube thumbnail"),
        ("linkedin baner", "linkedin banner"),
        ("bussiness card", "business card"),
        ("kindle covr", "ebook cover"),
    ],
)
def test_unknown_uses_name_the_nearest(use: str, nearest: str) -> None:
    assert problem(use).nearest[0] == nearest


@pytest.mark.parametrize(
    "use", ["a4 at 0 dpi", "a4 at 9999 dpi", "0x0 cm", "0x5 px", "web 0px", "@", "dpi", "x", "90"]
)
def test_nonsense_is_a_problem(use: str) -> None:
    assert problem(use).field == "use"


def test_platform_limits_are_taken_over_unless_the_caller_says_otherwise() -> None:
    own = export("youtube thumbnail")
    assert (own.format, own.quality, own.max_bytes) == ("jpeg", 90, 2_000_000)
    png = export("youtube thumbnail", finish=Finish(format="png"))
    assert (png.format, png.quality, png.max_bytes) == ("png", None, 2_000_000)
    small = export("youtube thumbnail", finish=Finish(quality=70, max_bytes=500_000, dpi=96))
    assert (small.format, small.quality, small.max_bytes, small.dpi) == ("jpeg", 70, 500_000, 96)


def test_pixels_and_use_must_agree() -> None:
    assert export("youtube thumbnail", pixels="1280x720").pixels == Pixels(1280, 720)
    found = problem("youtube thumbnail", pixels="1920x1080")
    assert (found.field, found.nearest) == ("pixels", ("1280x720",))


def test_a_print_may_be_enlarged_a_little_and_says_so() -> None:
    # 3392 px on 297 mm are 290 dpi; 300 dpi is 3.5 % more, a3 at 306 dpi would be 5.5 %
    made = plan(Request(prompt="A poster", use="A3 print at 300 dpi"))
    assert made.exports[0].pixels == Pixels(3508, 4961)
    assert (made.size, made.expected) == ("4K", Pixels(3392, 5056))
    assert any("290 dpi" in note and "enlarged by 3.5 %" in note for note in made.notes)
    with pytest.raises(InvalidRequest):
        plan(Request(prompt="A poster", pixels="3508x4961"))

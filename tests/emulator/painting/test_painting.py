"""The painter keeps its promises: size, sameness, marks, type, edits, weight."""

import itertools
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import pyvips

from heliograph.emulator.painting import PaintOrder, paint, read_mark, read_metadata_mark
from heliograph.emulator.painting.brief import read
from heliograph.emulator.painting.compose import _GROUNDS, _SCENES
from heliograph.emulator.painting.lettering import typeset
from heliograph.emulator.painting.mark import strip_for
from heliograph.emulator.painting.palette import PALETTES
from heliograph.emulator.painting.vocabulary import MOODS, SCENES

CALL_ID = "00ff1234abcd5e6f"

PROMPTS = (
    "snowy mountains at golden hour with a wolf and a cabin",
    "night aurora over a misty lake",
    "sailboat on the sea at sunset with birds",
    "neon city in the rain",
    "desert dunes with a hot air balloon and an eagle",
    "autumn forest",
    "still life with wine, a vase, a cup, apple, orange, lemon and pear",
    "portrait of a woman",
    "poster",
    "a ringed planet in space",
    "",
)


def order(
    prompt: str = "mountains", width: int = 320, height: int = 240, **more: object
) -> PaintOrder:
    values: dict[str, object] = {"prompt": prompt, "width": width, "height": height}
    return PaintOrder(**{"seed": 1, "call_id": CALL_ID, **values, **more})  # type: ignore[arg-type]


def opened(data: bytes) -> pyvips.Image:
    return pyvips.Image.new_from_buffer(data, "")


def small_grey(image: pyvips.Image) -> list[float]:
    """The picture at 24×24 without colour, rows above the mark only."""
    top = image.crop(0, 0, image.width, int(image.height * 0.88))
    tiny = top.colourspace("b-w").thumbnail_image(24, height=24, size="force")
    return list(bytes(tiny.cast("uchar").write_to_memory()))


def correlation(one: pyvips.Image, other: pyvips.Image) -> float:
    a, b = small_grey(one), small_grey(other)
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    over = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    under = sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
    return float(over / under**0.5)


def difference(one: pyvips.Image, other: pyvips.Image) -> float:
    return float((one.cast("float") - other.cast("float")).abs().avg())


@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_scene_has_the_size_ordered_and_its_mark(prompt: str) -> None:
    data = paint(order(prompt, 336, 256))
    image = opened(data)
    assert (image.width, image.height, image.bands) == (336, 256, 3)
    assert data[:2] == b"\xff\xd8"
    assert read_mark(data) == CALL_ID
    assert read_metadata_mark(data) == CALL_ID


@pytest.mark.parametrize(
    ("width", "height"),
    [(64, 64), (65, 97), (64, 512), (512, 64), (191, 333), (768, 96), (96, 768), (1001, 1003)],
)
@pytest.mark.parametrize("prompt", ["lake in the mountains “Hi”", "planet", "still life"])
def test_odd_and_extreme_sizes_are_exact(prompt: str, width: int, height: int) -> None:
    data = paint(order(prompt, width, height))
    image = opened(data)
    assert (image.width, image.height) == (width, height)
    assert read_mark(data) == CALL_ID


@pytest.mark.parametrize(("width", "height"), [(5856, 704), (3072, 1632)])
def test_large_pictures_painted_at_half_size_are_exact(width: int, height: int) -> None:
    data = paint(order("dunes 'Far'", width + 1, height + 1))
    image = opened(data)
    assert (image.width, image.height) == (width + 1, height + 1)
    assert read_mark(data) == CALL_ID


def test_the_same_order_gives_the_same_bytes() -> None:
    wanted = order("sea at night “夜の海”", 512, 320)
    assert paint(wanted) == paint(wanted)


def test_another_seed_gives_another_picture() -> None:
    one, other = (opened(paint(order("mountains at dawn", seed=seed))) for seed in (1, 2))
    assert difference(one, other) > 6


@pytest.mark.parametrize("size", [(64, 64), (100, 130), (256, 256), (1024, 768), (1500, 420)])
def test_the_mark_survives_re_encoding(size: tuple[int, int]) -> None:
    image = opened(paint(order("neon city", *size)))
    for suffix, options in (
        (".png", {}),
        (".webp", {"Q": 80}),
        (".jpg", {"Q": 75}),
        (".jpg", {"Q": 50, "subsample_mode": "on"}),
    ):
        again = image.write_to_buffer(suffix, keep="none", **options)
        assert read_mark(again) == CALL_ID, (suffix, options)
        assert read_metadata_mark(again) is None


def test_any_call_id_is_read_back() -> None:
    for call_id in ("0000000000000000", "ffffffffffffffff", "0123456789abcdef"):
        data = paint(order(call_id=call_id, plain=True))
        assert (read_mark(data), read_metadata_mark(data)) == (call_id, call_id)


def test_pictures_without_a_mark_have_none() -> None:
    grey = pyvips.Image.black(400, 300) + 128
    noise = pyvips.Image.gaussnoise(400, 300, mean=128, sigma=60, seed=3)
    marked = opened(paint(order(width=400, height=300)))
    for image in (grey, noise, marked.flipver(), marked.resize(0.5), marked.crop(0, 0, 400, 280)):
        data = image.cast("uchar").write_to_buffer(".png")
        assert read_mark(data) is None
        assert read_metadata_mark(data) is None
    assert read_metadata_mark(b"") is None
    assert read_metadata_mark(b"\xff\xd8\xff\xfe") is None


def test_a_damaged_mark_is_never_read_as_another_id() -> None:
    image = opened(paint(order(width=1024, height=256)))
    cell = strip_for(1024, 256).cell
    white = (pyvips.Image.black(cell * 3, cell) + 255).cast("uchar")
    damaged = image.insert(white, cell * 20, image.height - cell)
    assert read_mark(damaged.write_to_buffer(".png")) in {None, CALL_ID}


def test_reading_what_is_no_image_says_so() -> None:
    with pytest.raises(ValueError, match="cannot be decoded"):
        read_mark(b"not an image")


def test_cells_are_eight_pixels_or_more_where_there_is_room() -> None:
    for width, height in ((512, 512), (1024, 1024), (4096, 4096), (11712, 1408), (1408, 11712)):
        strip = strip_for(width, height)
        assert strip.cell >= 8
        assert strip.height < height / 20


@pytest.mark.parametrize("words", ["HELLO", "山高水长", "東京ナイト", "안녕하세요", "Grüße & <b>"])
def test_quoted_text_is_set_in_the_picture(words: str) -> None:
    without = opened(paint(order("forest", 640, 360)))
    # The scene's dice fall by the prompt, so compare a plain ground: an edit of one source.
    source = paint(order("forest", 640, 360))
    text = opened(paint(order(f"add “{words}”", 640, 360, sources=(source,))))
    bare = opened(paint(order("add ", 640, 360, sources=(source,))))
    box = (100, 30, 440, 90)
    assert difference(text.crop(*box), without.crop(*box)) > 3
    assert difference(text.crop(*box), bare.crop(*box)) > 3


def test_every_script_has_its_own_glyphs_not_boxes() -> None:
    masks = {letter: typeset(letter, 48) for letter in "山水国한글あアAé"}
    for one, other in itertools.combinations(masks.values(), 2):
        same_size = (one.width, one.height) == (other.width, other.height)
        assert not same_size or difference(one, other) > 4


@pytest.mark.parametrize(
    "words",
    [
        "x" * 5000,
        "word " * 900,
        "字" * 700,
        "\x00\x07\ud800",
        "\u200d\u200b",
        "   ",
        "😀🏔",
        "&<>\\'&#0;",
    ],
)
def test_absurd_text_is_set_or_left_out_but_never_fails(words: str) -> None:
    data = paint(order(f"poster “{words}”", 320, 240))
    assert read_mark(data) == CALL_ID


def test_quoted_words_are_not_obeyed() -> None:
    brief = read("a sign saying “night ocean” on a table")
    assert brief.words == ("night ocean",)
    assert brief.moods == ()
    assert brief.scenes[0] == "still_life"


def test_apostrophes_are_not_quotes() -> None:
    assert read("the painter's table and the sailor's boat").words == ()
    assert read("a card with 'Don't stop'").words == ("Don't stop",)
    assert read("『富士』と「海」").words == ("富士", "海")


def test_every_word_leads_to_a_palette_and_a_scene() -> None:
    assert {name for name, _ in MOODS} <= set(PALETTES)
    assert {name for name, _ in SCENES} == set(_SCENES)
    assert set(_GROUNDS) <= set(_SCENES)


EDITS = ("make it warmer", "night", "snow", "remove the boat", "black and white", "add “NEW”", "?!")


@pytest.mark.parametrize("prompt", EDITS)
def test_an_edit_changes_the_picture_and_keeps_it_recognisable(prompt: str) -> None:
    source = paint(order("mountains at golden hour", 480, 320, call_id="1111111111111111"))
    edited = paint(order(prompt, 480, 320, sources=(source,)))
    before, after = opened(source), opened(edited)
    assert difference(before, after) > 3
    assert correlation(before, after) > 0.6
    assert read_mark(edited) == CALL_ID


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
def test_sources_of_any_kind_and_shape_are_fitted(suffix: str) -> None:
    source = opened(paint(order("sea", 300, 200)))
    alpha = source.bandjoin(200) if suffix != ".jpg" else source
    data = paint(order("cooler", 256, 384, sources=(b"ignored", alpha.write_to_buffer(suffix))))
    assert (opened(data).width, opened(data).height) == (256, 384)
    assert read_mark(data) == CALL_ID


@pytest.mark.parametrize("source", [b"", b"no image", paint(order())[:400]])
def test_an_unreadable_source_is_refused(source: bytes) -> None:
    with pytest.raises(ValueError, match="source image cannot be decoded"):
        paint(order("warmer", sources=(source,)))


@pytest.mark.parametrize(
    "wrong",
    [{"call_id": "xyz"}, {"call_id": "ABCDEF0123456789"}, {"width": 63}, {"height": 20000}],
)
def test_wrong_orders_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(order(), **wrong)  # type: ignore[arg-type]


def test_a_plain_picture_is_small_and_marked() -> None:
    data = paint(order("sunset", 1024, 1024, plain=True))
    assert len(data) < 60_000
    assert read_mark(data) == CALL_ID


def test_a_4k_picture_weighs_what_photographs_weigh() -> None:
    data = paint(order("mountain lake at dawn “4K”", 4096, 4096))
    image = pyvips.Image.new_from_buffer(data, "")
    assert (image.width, image.height) == (4096, 4096)
    assert 5_000_000 < len(data) < 12_000_000
    assert read_mark(data) == CALL_ID


def test_a_1k_picture_weighs_its_share() -> None:
    assert 400_000 < len(paint(order("city at night", 1024, 1024))) < 1_200_000


def test_type_is_set_without_system_fonts_and_without_a_word_on_stderr() -> None:
    program = (
        "from heliograph.emulator.painting.lettering import typeset\n"
        "mask = typeset('Ag山한', 40)\n"
        "print(mask.width, mask.height, round(mask.avg(), 3))"
    )
    nowhere = {
        "FONTCONFIG_FILE": "/nonexistent",
        "FONTCONFIG_PATH": "/nonexistent",
        "HOME": "/nonexistent",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        check=True,
    )
    here = typeset("Ag山한", 40)
    assert done.stderr == ""
    assert done.stdout.split() == [str(here.width), str(here.height), str(round(here.avg(), 3))]

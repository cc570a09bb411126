"""Changing a part of a picture: outside of it not one pixel is another one.

What is compared is decoded here by Pillow, which the product does not use. Plain pictures of one
time of day are all alike, so where a change has to show the words name another.
"""

import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.talking import Log, settled, stands_at

from heliograph import AsyncHeliograph, InvalidRequest
from heliograph.planning.wording import AREA_WORDS
from heliograph.sessions import Turn
from heliograph.types import Finish, Pixels

LARGE = Pixels(5504, 3072)
Region = tuple[int, int, int, int]


@pytest.fixture
async def helio(emulated: Emulated, project: str, bill: Bill) -> AsyncIterator[AsyncHeliograph]:
    key = f"emu-project-{project}"
    async with AsyncHeliograph(base_url=emulated.url, api_key=key) as client:
        yield client
        assert await client.audit() == ()
        if await client.calls():
            assert await settled(client) == bill.micro


@pytest.fixture
def log(emulated: Emulated) -> Log:
    return Log(emulated.url)


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def box(region: Region) -> tuple[int, int, int, int]:
    left, top, width, height = region
    return (left, top, left + width, top + height)


def difference(parent: Path, child: Path) -> tuple[int, int, int, int] | None:
    """The smallest box that holds every pixel that differs."""
    one, two = opened(parent), opened(child)
    assert one.size == two.size
    found = ImageChops.difference(one, two).getbbox()
    return found and (found[0], found[1], found[2], found[3])


def is_within(inner: tuple[int, int, int, int] | None, region: Region) -> bool:
    if inner is None:
        return False  # nothing was changed at all
    left, top, right, bottom = box(region)
    return left <= inner[0] and top <= inner[1] and inner[2] <= right and inner[3] <= bottom


async def seen(helio: AsyncHeliograph, turn: Turn) -> Path:
    return await helio.sessions.picture(turn.node)


def assert_original_untouched(turn: Turn) -> None:
    kept = turn.result.record.result
    assert kept is not None
    assert hashlib.sha256(turn.result.path.read_bytes()).hexdigest() == kept.sha256


async def protect(helio: AsyncHeliograph, words: str, region: Region, **options: Any) -> Turn:
    return await helio.edit(words, region=region, protect=True, **options)


async def test_at_4k_nothing_outside_of_the_region_changes_turn_after_turn(
    helio: AsyncHeliograph, log: Log
) -> None:
    first = await helio.generate("A house at sunset", aspect="16:9")
    roof, door = (200, 150, 1700, 900), (3001, 1203, 999, 1701)
    one = await protect(helio, "A red roof at night", roof)
    two = await protect(helio, "A green door in neon light", door, feather=0)
    whole = [first.path, await seen(helio, one), await seen(helio, two)]
    assert [opened(path).size for path in whole] == [(5504, 3072)] * 3
    # a kept parent, then one of which a part was put back itself
    assert is_within(difference(whole[0], whole[1]), roof)
    assert is_within(difference(whole[1], whole[2]), door)
    # what the model had made is another picture, and is kept as it came
    for turn in (one, two):
        assert turn.result.pixels == LARGE
        assert_original_untouched(turn)
    model_made = difference(whole[1], two.result.path)
    assert not is_within(model_made, door)
    (export,) = two.result.exports
    assert (export.path, export.pixels) == (whole[2], LARGE)
    # what was sent of the parent is what its user sees, then where to change it
    base, mark = two.node.record.request["references"]
    assert [base["role"], mark["role"]] == ["base", "mark"]
    assert base["sha256"] == hashlib.sha256(whole[1].read_bytes()).hexdigest()
    assert log.last.images("user")[-2:] == [base["sha256"], mark["sha256"]]
    assert AREA_WORDS in log.last.texts()[-1]
    # and it goes on without an area from what is seen, not from what the model had made
    three = await helio.edit("At night")
    (base,) = three.node.record.request["references"]
    assert base["sha256"] == hashlib.sha256(whole[2].read_bytes()).hexdigest()
    assert AREA_WORDS not in log.last.texts()[-1]


async def test_what_is_seen_can_be_made_again_byte_for_byte(
    helio: AsyncHeliograph, tmp_path: Path
) -> None:
    await helio.generate("A house", size="1K", aspect="16:9")
    await protect(helio, "A red roof", (100, 100, 400, 300))
    turn = await protect(helio, "A green door", (600, 300, 300, 300))
    before = (await seen(helio, turn)).read_bytes()
    for made in (tmp_path / "library" / "derived").rglob("protected.png"):
        made.unlink()
    assert (await seen(helio, turn)).read_bytes() == before
    assert (await helio.picture(turn.node.record)).read_bytes() == before
    (export,) = await helio.export(turn.node.id, finish=Finish(format="png"))
    assert difference(await seen(helio, turn), export.path) is None


async def test_a_file_of_ones_own_is_changed_in_a_part_of_it(
    helio: AsyncHeliograph, tmp_path: Path
) -> None:
    noise = Image.effect_noise((800, 600), 60)
    mine = tmp_path / "mine.png"
    Image.merge("RGB", (noise, noise.rotate(90, fillcolor=9), noise)).save(mine)
    before = mine.read_bytes()
    region = (50, 60, 200, 150)
    turn = await protect(helio, "A red roof at sunset", region, of=mine, size="1K")
    assert is_within(difference(mine, await seen(helio, turn)), region)
    mine.unlink()
    # the library keeps what it was made of
    again = await protect(helio, "A green door at night", (400, 200, 100, 100))
    assert is_within(
        difference(await seen(helio, turn), await seen(helio, again)), (400, 200, 100, 100)
    )
    mine.write_bytes(before)
    assert (again.node.number, stands_at(again.session)) == (2, 2)


async def test_a_picture_of_a_ratio_that_no_answer_has_is_refused(
    helio: AsyncHeliograph, log: Log
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (700, 500)).save(file, "PNG")
    with pytest.raises(InvalidRequest, match="ratio of the picture") as caught:
        await protect(helio, "A red roof", (0, 0, 10, 10), of=file.getvalue(), size="1K")
    assert [problem.field for problem in caught.value.problems] == ["aspect"]
    assert list(log.sent) == []


async def test_a_mask_is_kept_to_as_well(helio: AsyncHeliograph, tmp_path: Path) -> None:
    first = await helio.generate("A house at sunset", size="1K")
    assert first.pixels == Pixels(1024, 1024)
    mask = Image.new("L", (1024, 1024), 0)
    ImageDraw.Draw(mask).ellipse((300, 300, 700, 600), fill=255)
    mask.save(tmp_path / "mask.png")
    turn = await helio.edit("A pond at night", mask=tmp_path / "mask.png", protect=True, feather=8)
    (tmp_path / "mask.png").unlink()
    parent, child = opened(first.path), opened(await seen(helio, turn))
    changed = ImageChops.difference(parent, child).convert("L").point(lambda v: 255 if v else 0)
    assert changed.getbbox() is not None
    outside = ImageChops.subtract(changed, mask)
    assert outside.getbbox() is None
    assert_original_untouched(turn)


@pytest.mark.parametrize("feather", [0, 1, 32, 256])
async def test_the_soft_edge_lies_inside(helio: AsyncHeliograph, feather: int) -> None:
    first = await helio.generate("A house", size="1K")
    region = (500, 400, 60, 40)  # narrower than the widest edges
    turn = await protect(helio, "A red roof", region, feather=feather)
    found = difference(first.path, await seen(helio, turn))
    assert found is None or is_within(found, region)


@pytest.mark.parametrize("region", [(0, 0, 1024, 1024), (0, 0, 1, 1), (1023, 1023, 1, 1)])
async def test_the_smallest_and_the_largest_region(helio: AsyncHeliograph, region: Region) -> None:
    first = await helio.generate("A house", size="1K")
    turn = await protect(helio, "A red roof", region, feather=0)
    found = difference(first.path, await seen(helio, turn))
    assert found is None or is_within(found, region)


async def test_a_smaller_answer_still_gives_a_picture_of_the_parents_size(
    helio: AsyncHeliograph,
) -> None:
    first = await helio.generate("A house at sunset", aspect="16:9")
    region = (1000, 800, 1500, 900)
    turn = await protect(helio, "A red roof at night [[fault:silent-1k]]", region)
    assert turn.result.pixels == Pixels(1376, 768)
    assert turn.result.verdict.value == "downgraded"
    whole = await seen(helio, turn)
    assert opened(whole).size == (5504, 3072)
    assert is_within(difference(first.path, whole), region)
    assert_original_untouched(turn)


async def test_without_protection_the_model_has_the_last_word(helio: AsyncHeliograph) -> None:
    await helio.generate("A house", size="1K")
    turn = await helio.edit("A red roof", region=(10, 10, 100, 100))
    assert turn.result.exports == ()
    assert await seen(helio, turn) == turn.result.path


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"region": (0, 0, 1025, 10)}, "region"),
        ({"region": (-1, 0, 10, 10)}, "region"),
        ({"region": (0, 0, 0, 10)}, "region"),
        ({"region": (0, 0, 10, 10), "feather": 257}, "feather"),
        ({"region": (0, 0, 10, 10), "protect": True, "finish": Finish(format="jpeg")}, "format"),
        ({"region": "1,2,3,4"}, "region"),
        ({"region": (1, 2)}, "region"),
        ({"region": (0.5, 0, 5, 5)}, "region"),
        ({"region": 5}, "region"),
        ({"region": (0, 0, 10, True)}, "region"),
        ({"region": (0, 0, 10, 10), "feather": "8"}, "feather"),
        ({"region": (0, 0, 10, 10), "feather": 1.5}, "feather"),
        ({"region": (0, 0, 10, 10), "safety": "x"}, "safety"),
        ({"region": (0, 0, 10, 10), "safety": {"harassment": 3}}, "safety"),
        ({"region": (0, 0, 10, 10), "finish": 3}, "finish"),
        ({"session": 5}, "session"),
        ({"of": 5}, "of"),
        ({"mask": 5}, "mask"),
        ({"references": [5]}, "references"),
        ({"context": 5}, "context"),
        ({"casts": [5]}, "casts"),
        ({"protect": True}, "protect"),
        ({"mask": b"no picture"}, "mask"),
        ({"mask": "small"}, "mask"),
        ({"mask": "black", "protect": True}, "mask"),
    ],
)
async def test_an_area_that_cannot_be_meant_is_refused_before_anything_is_sent(
    helio: AsyncHeliograph, log: Log, options: dict[str, Any], field: str
) -> None:
    await helio.generate("A house", size="1K")
    sizes = {"small": (10, 10), "black": (1024, 1024)}
    if options.get("mask") in sizes:
        file = io.BytesIO()
        Image.new("L", sizes[options["mask"]], 0).save(file, "PNG")
        options = {**options, "mask": file.getvalue()}
    with pytest.raises(InvalidRequest) as caught:
        await helio.edit("A red roof", **options)
    assert {problem.field for problem in caught.value.problems} == {field}
    assert len(log.sent) == 1


@pytest.mark.parametrize("given", ["path", "bytes"])
async def test_white_paint_on_a_transparent_layer_is_refused_by_the_name_it_was_given(
    helio: AsyncHeliograph, log: Log, tmp_path: Path, given: str
) -> None:
    await helio.generate("A house", size="1K")
    layer = Image.new("RGBA", (1024, 1024), (0, 0, 0, 0))
    ImageDraw.Draw(layer).ellipse((300, 300, 700, 600), fill="white")
    path = tmp_path / "my layer.png"
    layer.save(path)
    mask: Path | bytes = path if given == "path" else path.read_bytes()
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="unclear") as caught:
            await helio.edit("A pond", mask=mask, protect=True)
        (problem,) = caught.value.problems
        named = "my layer.png" if given == "path" else "the mask"
        assert (problem.field, problem.value) == ("mask", named)
        # what the gateway has taken as OpenAI means it is refused here all the same
        request = await helio.sessions.request("A pond", options={"mask": mask, "protect": True})
        assert (await helio.plan_request(replace(request, owner="a" * 32))).area is not None
    assert len(log.sent) == 1

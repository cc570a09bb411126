"""Runs of thousands: tiny pictures, and a ledger that stays quick to read."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from heliograph.emulator.ledger import Call, Ledger
from heliograph.emulator.models import PIXELS
from heliograph.emulator.painting import read_metadata_mark
from heliograph.emulator.prices import Bill
from heliograph.emulator.scene import Shot
from heliograph.emulator.tiny import paint_tiny


@pytest.mark.parametrize("size", ["1K", "2K", "4K"])
@pytest.mark.parametrize("ratio", PIXELS)
def test_a_tiny_picture_keeps_the_ratio(ratio: str, size: str) -> None:
    width, height = PIXELS[ratio][size]
    picture = paint_tiny("0" * 16, 0, Shot(role="final", width=width, height=height, tokens=1))
    with Image.open(io.BytesIO(picture.data)) as image:
        image.load()
        assert image.size == (picture.width, picture.height)
    small_width, small_height = PIXELS[ratio]["1K"]
    assert (picture.width * 16, picture.height * 16) == (small_width, small_height)
    assert len(picture.data) < 4096


async def test_tiny_answers_are_unique_billed_as_asked_and_short(start: Any) -> None:
    async with start(small=False, tiny=True) as emu:
        replies = [await emu.generate(size="4K") for _ in range(3)]
        pictures = [base64.b64decode(reply.images[0]["inlineData"]["data"]) for reply in replies]
        lines = await emu.ledger()
        assert [read_metadata_mark(data) for data in pictures] == [line["call"] for line in lines]
        assert len(set(pictures)) == 3
        assert {line["images"][0]["width"] for line in lines} == {64}
        assert {line["split_pico"]["image"] for line in lines} == {240_000_000_000}
        assert all(len(reply.body) < 10_000 for reply in replies)


async def test_pictures_of_one_answer_differ(start: Any) -> None:
    async with start(tiny=True) as emu:
        reply = await emu.generate("[[fault:extra-images:9]]", size="1K")
        data = {part["inlineData"]["data"] for part in reply.images}
        assert len(data) == 10


@pytest.mark.parametrize("kind", ["bitflip", "cut", "forged_eoi", "animated", "png"])
async def test_tiny_pictures_can_be_spoilt_too(start: Any, kind: str) -> None:
    async with start(tiny=True) as emu:
        good = await emu.generate()
        spoilt = await emu.generate(f"[[fault:image:{kind}]]")
        assert good.images[0]["inlineData"]["data"] != spoilt.images[0]["inlineData"]["data"]


async def test_a_flipped_bit_is_elsewhere_in_every_call(start: Any) -> None:
    async def spoilt(seed: int) -> list[str]:
        async with start(seed=seed, tiny=True) as emu:
            replies = [await emu.generate("[[fault:image:bitflip]]") for _ in range(4)]
            return [reply.images[0]["inlineData"]["data"] for reply in replies]

    first = await spoilt(7)
    assert first == await spoilt(7)
    assert len(set(first)) == 4


async def test_the_ledger_of_one_project(emu: Any) -> None:
    for project, count in (("one", 2), ("two", 1)):
        for _ in range(count):
            await emu.generate(key=f"emu-project-{project}")
    lines = (await emu.get("/_emulator/ledger?project=one")).json
    assert [line["project"] for line in lines] == ["one", "one"]
    total = (await emu.get("/_emulator/ledger/total?project=one")).json
    micro = sum(line["billed_micro"] for line in lines)
    assert total == {
        "calls": 2,
        "billed_calls": 2,
        "billed_micro": micro,
        "by_project": {"one": micro},
    }
    assert (await emu.get("/_emulator/ledger/total?project=none")).json["calls"] == 0
    everybody = (await emu.get("/_emulator/ledger/total")).json
    assert (everybody["calls"], set(everybody["by_project"])) == (3, {"one", "two"})
    await emu.post("/_emulator/reset", None)
    assert (await emu.get("/_emulator/ledger/total")).json["calls"] == 0


def test_sums_are_kept_and_not_counted_again(tmp_path: Any) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    for number in range(300):
        call = Call(id=f"{number:016x}", method="g", model="m", path="/", project=f"p{number % 3}")
        ledger.open(call)
        call.bill = Bill(image=number * 1_000_000) if number % 2 else None
        if number < 299:
            ledger.close(call)
    for book in (ledger, Ledger(path)):
        lines = book.lines()
        for project in (None, "p0", "p1", "p2"):
            mine = [line for line in lines if project in (None, line["project"])]
            assert book.lines(project=project) == mine
            total = book.total(project)
            assert total["calls"] == len(mine)
            assert total["billed_calls"] == sum(line["billed"] for line in mine)
            assert total["billed_micro"] == sum(line["billed_micro"] for line in mine)

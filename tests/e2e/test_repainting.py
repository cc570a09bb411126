"""Protected pictures in bad company: odd parents, several at once, disks and damage."""

import asyncio
import io
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image
from tests.e2e.conftest import Emulated
from tests.e2e.talking import Log
from tests.e2e.test_areas import difference, is_within, opened, protect, seen

from heliograph import AsyncHeliograph, InvalidRequest, StorageError
from heliograph.errors import Charged
from heliograph.ports import Event
from heliograph.repaint import protected
from heliograph.types import Record

REGION = (50, 60, 200, 150)


@pytest.fixture
async def helio(emulated: Emulated, project: str) -> AsyncIterator[AsyncHeliograph]:
    key = f"emu-project-{project}"
    async with AsyncHeliograph(base_url=emulated.url, api_key=key) as client:
        yield client
        assert await client.audit() == ()


@pytest.fixture
def log(emulated: Emulated) -> Log:
    return Log(emulated.url)


@pytest.fixture
def derived(tmp_path: Path) -> Path:
    return tmp_path / "library" / "derived"


def noise(width: int, height: int) -> Image.Image:
    grain = Image.effect_noise((width, height), 60)
    return Image.merge("RGB", (grain, grain.transpose(Image.Transpose.FLIP_LEFT_RIGHT), grain))


def mine(picture: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95, **options)
    return file.getvalue()


async def test_a_turned_picture_is_planned_as_it_is_seen(
    helio: AsyncHeliograph, log: Log, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(mine(noise(1280, 720), exif=exif))
    low = (300, 900, 200, 300)  # below the lower edge of the picture as it is stored
    turn = await protect(helio, "A red door at sunset", low, of=photo, size="1K")
    assert log.last.settings["imageConfig"]["aspectRatio"] == "9:16"
    whole = await seen(helio, turn)
    stands = tmp_path / "stands.png"
    opened(photo).transpose(Image.Transpose.ROTATE_270).save(stands)
    assert opened(whole).size == (720, 1280)
    changed = difference(stands, whole)
    assert changed is not None
    assert is_within(changed, low)
    # and on from a kept turned picture, of which nothing was put back yet
    first = await helio.edit("At sunset", of=photo, size="1K", aspect="9:16")
    again = await protect(helio, "A blue door at night", REGION, session=first.session.id)
    assert log.last.settings["imageConfig"]["aspectRatio"] == "9:16"
    assert is_within(difference(first.result.path, await seen(helio, again)), REGION)


@pytest.mark.parametrize("kind", ["inks", "profile"])
async def test_a_parent_that_nothing_can_be_put_back_from_is_refused_unpaid(
    helio: AsyncHeliograph, log: Log, kind: str
) -> None:
    picture = noise(640, 640)
    data = (
        mine(picture.convert("CMYK"))
        if kind == "inks"
        else mine(picture, icc_profile=b"no profile at all" * 20)
    )
    # a mark of the same area that was made when nothing was to be put back is no way around it
    await helio.edit("A red roof", of=data, region=REGION, size="1K", aspect="1:1")
    sent = len(log.sent)
    with pytest.raises(InvalidRequest, match="convert it to RGB") as caught:
        await protect(helio, "A red roof", REGION, of=data, size="1K", aspect="1:1")
    assert [p.field for p in caught.value.problems] == ["base"]
    assert len(log.sent) == sent


async def test_several_may_make_the_same_at_once(
    helio: AsyncHeliograph, emulated: Emulated, project: str, derived: Path
) -> None:
    data = mine(noise(640, 640))
    plans = (helio.plan("A roof", base=data, region=REGION) for _ in range(6))
    marks = {plan.references[-1].sha256 for plan in await asyncio.gather(*plans)}
    assert len(marks) == 1
    turn = await protect(helio, "A roof", REGION, of=data, size="1K")
    before = (await seen(helio, turn)).read_bytes()
    key = f"emu-project-{project}"
    async with AsyncHeliograph(base_url=emulated.url, api_key=key) as other:
        for _ in range(3):
            shutil.rmtree(derived)
            asked = (client.picture(turn.node.record) for client in (helio, other) for _ in "abc")
            found = await asyncio.gather(*asked)
            assert {path.read_bytes() for path in found} == {before}
    assert list((derived / "making").iterdir()) == []


async def test_what_killed_processes_left_is_removed_and_what_is_being_made_is_not(
    helio: AsyncHeliograph, derived: Path
) -> None:
    old, new = derived / "making" / "old", derived / "making" / "new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "half.png").write_bytes(b"half")
    os.utime(old, (1, 1))
    await helio.plan("A roof", base=mine(noise(640, 640)), region=REGION)
    assert list((derived / "making").iterdir()) == [new]


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
async def test_a_damaged_picture_or_mark_is_made_again(
    helio: AsyncHeliograph, derived: Path, damage: str
) -> None:
    data = mine(noise(640, 640))
    turn = await protect(helio, "A roof", REGION, of=data, size="1K")
    (mark,) = (derived / "marks").iterdir()
    for path in (await seen(helio, turn), mark):
        whole = path.read_bytes()
        half = len(whole) // 2
        bit = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
        broken = {"cut": whole[:half], "bit": bit, "empty": b"", "other": b"<html>"}[damage]
        if path == mark and damage == "bit":
            continue  # of a JPEG it does not show without decoding
        path.write_bytes(broken)
        if path == mark:
            plan = await helio.plan("A roof", base=data, region=REGION, protect=True, size="1K")
            assert plan.references[-1].source == mark
        else:
            assert await seen(helio, turn) == path
        assert path.read_bytes() == whole


async def test_a_disk_that_refuses_after_payment_is_told_as_such(
    emulated: Emulated, project: str, derived: Path
) -> None:
    def stand_in_the_way(event: Event) -> None:
        if event.name == "kept":
            (derived / event.job).write_text("no folder")

    data, key = mine(noise(640, 640)), f"emu-project-{project}"
    async with AsyncHeliograph(
        base_url=emulated.url, api_key=key, observer=stand_in_the_way
    ) as helio:
        with pytest.raises(StorageError, match="The original is safe") as caught:
            await protect(helio, "A roof", REGION, of=data, size="1K")
        error = caught.value
        assert error.charged is Charged.YES
        assert opened(Path(error.facts["original"])).size
        assert error.record_id is not None
        (derived / error.record_id).unlink()
        (record,) = await helio.images()
        assert opened(await helio.picture(record)).size == (640, 640)
        (derived / record.id / "protected.png").unlink()
        (derived / record.id / "protected.png").mkdir()
        with pytest.raises(StorageError, match="may be deleted"):
            await helio.picture(record)


async def test_a_long_way_back_is_no_deep_one(helio: AsyncHeliograph, derived: Path) -> None:
    turn = await protect(helio, "A roof", REGION, of=mine(noise(640, 640)), size="1K")
    store = await helio._open_store()
    first = last = turn.node.record
    for _ in range(1200):
        last = await _follow(helio, last)
    # the picture of the last but one is there: it alone is walked back to
    there = derived / str(last.follows)
    there.mkdir()
    shutil.copy(await seen(helio, turn), there / "protected.png")
    shutil.rmtree(derived / first.id)
    assert opened(await helio.picture(last)).size == (640, 640)
    assert not (derived / first.id).exists()
    # with none of them there, the walk back ends at what cannot be had, and says so
    shutil.rmtree(derived)
    astray = replace(first, id=secrets.token_hex(16), request={"area": {"protect": True}})
    await store.books.keep(astray, ())
    last = astray
    for _ in range(1200):
        last = await _follow(helio, last)
    with pytest.raises(StorageError, match="not in the library"):
        await helio.picture(last)


async def _follow(helio: AsyncHeliograph, parent: Record) -> Record:
    store = await helio._open_store()
    record = replace(
        parent,
        id=secrets.token_hex(16),
        follows=parent.id,
        created=parent.created + timedelta(microseconds=1),
    )
    await store.books.keep(record, ())
    return record


async def test_a_chain_without_its_pictures_is_blended_in_order(
    helio: AsyncHeliograph, derived: Path
) -> None:
    data = mine(noise(640, 640))
    one = await protect(helio, "A roof at sunset", REGION, of=data, size="1K")
    two = await protect(helio, "A door at night", (400, 300, 100, 100))
    three = await protect(helio, "A tree at sunset", (20, 400, 90, 100))
    before = [(await seen(helio, turn)).read_bytes() for turn in (one, two, three)]
    shutil.rmtree(derived)
    assert (await seen(helio, three)).read_bytes() == before[2]
    for turn, whole in zip((one, two), before, strict=False):
        assert (derived / turn.node.id / "protected.png").read_bytes() == whole


async def test_a_picture_that_was_not_protected_never_passes_for_one_that_was(
    helio: AsyncHeliograph,
) -> None:
    result = await helio.generate("A house", size="1K")
    with pytest.raises(StorageError, match="without protect"):
        await protected(result.record, await helio._open_store())


@pytest.mark.parametrize(
    "area",
    [
        {"protect": True, "picture": {}, "region": [0, 0, 9, 9]},
        {"protect": True, "region": [0, 0, 9, 9]},
        {"protect": True, "picture": "a", "region": 7},
        {"protect": True, "picture": {"key": 5}, "mask": "x"},
    ],
)
async def test_records_that_make_no_sense_are_refused(
    helio: AsyncHeliograph, area: dict[str, object]
) -> None:
    result = await helio.generate("A house", size="1K")
    strange = replace(result.record, id=secrets.token_hex(16), request={"area": area})
    with pytest.raises(StorageError):
        await helio.picture(strange)
    kept = {"sha256": result.record.result and result.record.result.sha256}
    kept["key"] = result.record.result and result.record.result.key
    strange = replace(strange, request={"area": {**area, "picture": kept, "region": 7}})
    with pytest.raises(StorageError):
        await helio.picture(strange)
    circle = replace(strange, follows=strange.id)
    await (await helio._open_store()).books.keep(circle, ())
    with pytest.raises(StorageError, match="made of itself"):
        await helio.picture(circle)
